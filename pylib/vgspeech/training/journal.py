"""What a training tells of itself: train.log, metrics.jsonl and, when wanted, TensorBoard. The first process writes it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vgspeech.files import append_line, atomic_write
from vgspeech.models import GroundingModel
from vgspeech.training.board import Board
from vgspeech.training.codebooks import codebook_usage
from vgspeech.training.distributed import Processes
from vgspeech.training.state import State

GRADIENT_NORM = "gradient_norm"
"""Of all gradients of an update together, before they are clipped."""
Line = dict[str, Any]
"""One epoch's line of metrics.jsonl."""


class Journal:
    """The files of a model directory that tell how its training went.

    Args:
        out: the model directory.
        processes: all but the first write nothing.
    """

    def __init__(self, out: Path, processes: Processes) -> None:
        self._out, self._writes = out, processes.first
        self._board: Board | None = None

    def say(self, text: str) -> None:
        """One line to the terminal and to train.log."""
        if self._writes:
            print(text, flush=True)
            append_line(self._out / "train.log", f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    def go_on(self, history: Sequence[Line], epoch: int, tensorboard: bool) -> None:
        """Write down what a checkpoint knows; ``epoch`` is the next that will be added.

        A run killed between two files may have left a line too many or too few: the checkpoint decides.
        """
        if not self._writes:
            return
        with atomic_write(self._out / "metrics.jsonl") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in history)
        if tensorboard:
            self._board = Board(self._out / "tensorboard", epoch)

    def add(self, line: Line) -> None:
        """One more epoch."""
        if self._writes:
            append_line(self._out / "metrics.jsonl", json.dumps(line))
        if self._board is not None:
            self._board.write(line)


def epoch_line(state: State, model: GroundingModel, optimizer: torch.optim.Optimizer) -> Line:
    """What a finished epoch is worth writing down, before anything is validated."""
    means = state.means()
    norm = means.pop(GRADIENT_NORM, None)
    line: Line = {"epoch": state.epoch, "loss": means.pop("loss"), "losses": means}
    line["learning_rate"] = optimizer.param_groups[0]["lr"]
    if norm is not None:
        line[GRADIENT_NORM] = norm
    if model.log_scale.requires_grad:
        line["scale"] = model.scale().item()
    if model.quantizers():
        line["codebooks"] = codebook_usage(model)
    if state.codebook_start:
        line["codebook_start"] = state.codebook_start
    line["seconds"] = round(state.seconds, 3)
    return line


def spoken(line: Line) -> str:
    """One epoch in a line of the log."""
    terms = ", ".join(f"{name} {value:.3f}" for name, value in line["losses"].items())
    text = f"epoch {line['epoch']}: loss {line['loss']:.3f} ({terms}), {line['seconds']:.1f} s"
    if GRADIENT_NORM in line:
        text += f"; gradient norm {line[GRADIENT_NORM]:.3g}"
    for name, usage in line.get("codebooks", {}).items():
        text += f"; {name} perplexity {usage['perplexity']:.1f}, {usage['dead']} dead"
    if "dev" in line:
        text += f"; dev R@10 {100 * line['dev']['r10']:.1f}, R@1 {100 * line['dev']['r1']:.1f}"
    return text
