"""A micro model of random weights, and its embeddings of a corpus as the step makes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vgspeech.archive import ArchiveReader
from vgspeech.bin import embed as verb
from vgspeech.config import ExperimentConfig, save_config
from vgspeech.models import build_model, save_weights


def write_model(folder: Path, config: ExperimentConfig) -> Path:
    torch.manual_seed(7)
    model = build_model(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    folder.mkdir(parents=True)
    save_config(config, folder / "config.yaml")
    save_weights(model, folder / "best.pt")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["embed.py", *map(str, arguments)])
    verb.main()


def embed_all(
    monkeypatch: pytest.MonkeyPatch, model: Path, corpus: Path, out: Path, jobs: int, *more: str
) -> dict[str, dict[str, np.ndarray]]:
    """Run the verb as the step does; all arrays it wrote."""
    common = ["--model", model, "--data", corpus, "--split", "test", "--out", out, "--num-jobs", jobs, *more]
    for job in range(1, jobs + 1):
        run(monkeypatch, *common, "--job", job)
    run(monkeypatch, *common, "--merge")
    return {what: dict(ArchiveReader(out / f"{what}.scp")) for what in ("en", "hi", "images")}
