"""training.tensorboard: event files as TensorBoard itself reads them, also after a resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from micro_corpus import make_corpus, micro_config
from training_processes import ALONE
from vgspeech.config import ExperimentConfig
from vgspeech.errors import ConfigError
from vgspeech.training import board, check, loop


def with_board(**settings: object) -> ExperimentConfig:
    config = micro_config()
    return dataclasses.replace(config, training=dataclasses.replace(config.training, tensorboard=True, **settings))


def test_numbers_are_named_by_their_place() -> None:
    line = {"epoch": 3, "loss": 1.5, "losses": {"image-en": 2}, "dev": {"r1": 0.5, "directions": {"en>image": [1, 2]}}}
    assert dict(board.scalars(line)) == {"loss": 1.5, "losses/image-en": 2.0, "dev/r1": 0.5}


def test_a_missing_package_is_named_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"tensorboard is true but TensorBoard is not installed\n  pip install tensorboard"
    ):
        check.check_training_config(with_board())


def test_tensorboard_reads_what_metrics_hold_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between a line of the board and its checkpoint, a run repeats an epoch: the board shows each epoch once."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    torch.set_num_threads(1)
    corpus = make_corpus(tmp_path / "corpus", {"train": 6, "dev": 4})
    config, out = with_board(epochs=3), tmp_path / "out"
    written = board.Board.write

    def write_and_die(self: board.Board, line: dict[str, Any]) -> None:
        written(self, line)
        if line["epoch"] == 2:
            for checkpoint in (out / "checkpoints").glob("epoch-00003-*"):
                checkpoint.unlink()  # as if this epoch's checkpoint had not reached the disk
            raise MemoryError("killed")

    monkeypatch.setattr(board.Board, "write", write_and_die)
    with pytest.raises(MemoryError):
        loop.train(config, corpus, out, ALONE, train_split="train", dev_split="dev")
    monkeypatch.setattr(board.Board, "write", written)
    loop.train(config, corpus, out, ALONE, train_split="train", dev_split="dev")
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    expected = {name: [] for name, _ in board.scalars(lines[0])}
    for line in lines:
        for name, value in board.scalars(line):
            expected[name].append((line["epoch"], pytest.approx(value)))
    shown = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert {"loss", "losses/image-en", "dev/r10", "learning_rate"} <= set(shown)
    assert shown == expected
