"""Checkpoints: whole or absent, the newest readable one counts, and changed settings are refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from vgspeech.config import ExperimentConfig, LossConfig, TrainingConfig
from vgspeech.errors import DataError, DriftError
from vgspeech.training.checkpoint import load_checkpoint, record_start, same_experiment, save_checkpoint


def test_newest_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    left = []
    for epoch, step in ((1, 10), (1, 20), (1, 30), (2, 0), (3, 0), (3, 10), (3, 20), (4, 0)):
        save_checkpoint(tmp_path, epoch, step, {"at": [epoch, step], "w": torch.full((2,), float(epoch))})
        left.append([(int(path.name[6:11]), int(path.stem[17:])) for path in sorted(tmp_path.iterdir())])
    assert left[:3] == [[(1, 10)], [(1, 10), (1, 20)], [(1, 20), (1, 30)]]
    # Where an epoch ends nothing tells whether the training was interrupted within it.
    assert left[3:] == [[(2, 0)], [(2, 0), (3, 0)], [(3, 0), (3, 10)], [(3, 0), (3, 20)], [(3, 0), (4, 0)]]
    state = load_checkpoint(tmp_path)
    assert state is not None and state["at"] == [4, 0] and state["w"].tolist() == [4.0, 4.0]


def test_damaged_newest_falls_back_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_checkpoint(tmp_path / "none") is None
    save_checkpoint(tmp_path, 1, 0, {"at": 1})
    save_checkpoint(tmp_path, 2, 0, {"at": 2})
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:50])
    assert load_checkpoint(tmp_path) == {"at": 1}
    assert newest.name in capsys.readouterr().err


def test_changed_settings_are_drift_and_named() -> None:
    old = ExperimentConfig(training=TrainingConfig(precision="bfloat16"))
    auto = dataclasses.replace(old, training=TrainingConfig(loader_workers=3, checkpoint_minutes=1.0))
    assert same_experiment(old, auto, "x").training == TrainingConfig(
        precision="bfloat16", loader_workers=3, checkpoint_minutes=1.0
    )
    with pytest.raises(DriftError, match=r"loss\.margin: 1\.0 -> 0\.5") as caught:
        same_experiment(old, dataclasses.replace(auto, loss=LossConfig(margin=0.5)), "exp/x/config.yaml")
    assert caught.value.exit_code == 3 and "--force" in str(caught.value)


def test_facts_of_the_first_start_are_imposed(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    record_start(path, {"threads": 2, "train_data": "abc"})
    record_start(path, {"threads": 2, "train_data": "abc"})
    with pytest.raises(DriftError, match="threads: 2 -> 1"):
        record_start(path, {"threads": 1, "train_data": "abc"})


def test_a_checkpoint_of_another_version_is_refused_with_a_remedy(tmp_path: Path) -> None:
    torch.save({"model": {}, "optimizer": {}, "state": {"epoch": 3}}, tmp_path / "epoch-00003-step-0000000.pt")
    with pytest.raises(DataError, match=r"format 1, written by another version.*reads 2") as caught:
        load_checkpoint(tmp_path)
    assert "--force" in str(caught.value) and "epoch-00003" in str(caught.value)
