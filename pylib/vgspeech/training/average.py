"""A moving average of the weights, which often generalises better than the last ones (Polyak and Juditsky 1992)."""

from __future__ import annotations

import copy

import torch

from vgspeech.models import GroundingModel


class WeightAverage:
    """A second model whose parameters follow those of the model in training.

    Buffers (batch statistics, codebooks) are averages of their own already and are copied as they are.

    Args:
        model: where the average starts.
        decay: part of the average that an update leaves; smaller at first, min(decay, (1 + n) / (10 + n)) after n
            updates, so that the initial weights are soon forgotten.
    """

    def __init__(self, model: GroundingModel, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: GroundingModel, updates: int) -> None:
        """Follow the model, after its ``updates`` th update."""
        kept = min(self.decay, (1 + updates) / (10 + updates))
        for slow, current in zip(self.model.parameters(), model.parameters(), strict=True):
            slow.lerp_(current, 1 - kept)
        for own, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(buffer)
