"""How far a training has come: what a checkpoint holds beside weights and optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vgspeech.training.selection import Scores


@dataclass
class State:
    """How far a training has come; with model, optimiser and the like this is a checkpoint."""

    epoch: int = 1
    """The epoch under way."""
    step: int = 0
    """Its finished batches."""
    sums: dict[str, float] = field(default_factory=dict)
    """Losses (and gradient norms) summed over these."""
    counts: dict[str, int] = field(default_factory=dict)
    """Batches that had each of these losses, as one may lack a language; updates that had a gradient norm."""
    seconds: float = 0.0
    """How long they took."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The lines of metrics.jsonl."""
    best: Scores = field(default_factory=list)
    """The best epochs on the development set, the first of them best.pt."""
    finished: bool = False
    codebook_start: dict[str, dict[str, float]] = field(default_factory=dict)
    """Codebooks that started from data, until the first epoch's line tells."""

    def add(self, values: Mapping[str, float]) -> None:
        """Count the losses of one more batch, or the gradient norm of an update."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Of everything that was counted in the epoch under way."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def next_epoch(self, finished: bool) -> State:
        """The state in which the epoch after this one begins, or training ends."""
        return State(epoch=self.epoch + 1, history=self.history, best=self.best, finished=finished)
