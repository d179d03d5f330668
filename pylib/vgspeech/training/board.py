"""The numbers of metrics.jsonl for TensorBoard, when that is wanted and installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class Board:
    """Writes an epoch's numbers as scalars, named by their place in the line: ``losses/image-en``.

    Args:
        folder: for the event files.
        epoch: the first epoch that will be written; what an earlier run wrote from there on is taken back.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=epoch)

    def write(self, line: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl."""
        for name, value in scalars(line):
            self._writer.add_scalar(name, value, line["epoch"])
        self._writer.flush()


def scalars(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """All single numbers of a nested dictionary with their paths."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and key != "epoch":
            yield f"{prefix}{key}", float(value)
