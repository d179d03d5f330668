"""Optimiser settings as closed-form functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from vgspeech.config import TrainingConfig
from vgspeech.models import GroundingModel

START_DIVISOR = 20.0
"""onecycle starts at learning_rate / 20 ..."""
END_DIVISOR = 2000.0
"""... and ends at learning_rate / 2000."""
BETA1_RANGE = (0.85, 0.95)
"""onecycle: beta1 moves against the learning rate, lowest where the rate is highest."""
BETA2 = 0.999


def schedule(config: TrainingConfig, step: int, total_steps: int, steps_per_epoch: int) -> tuple[float, float]:
    """Learning rate and beta1 (momentum) of one update.

    onecycle is that of Smith and Topin (2018) with cosine arcs and two phases, as ``torch.optim.lr_scheduler.OneCycleLR``
    computes it: up during the first ``warmup`` part of all steps, then down; beta1 mirrors it. cosine goes down to zero
    in half a period (Loshchilov and Hutter 2017, without restarts), step by ``step_factor`` every ``step_epochs``. All but
    onecycle rise linearly during ``warmup_epochs`` first; cosine takes what is left for its arc.

    Args:
        step: 0 for the first update.
        total_steps, steps_per_epoch: of the whole training.
    """
    peak, (low, high) = config.learning_rate, BETA1_RANGE
    if config.schedule != "onecycle":
        rising = round(config.warmup_epochs * steps_per_epoch)
        if step < rising:
            return peak * (step + 1) / (rising + 1), 0.9
        if config.schedule == "cosine":
            return _cosine(peak, 0.0, (step - rising) / max(total_steps - rising, 1)), 0.9
        if config.schedule == "step":
            return peak * config.step_factor ** (step // steps_per_epoch // config.step_epochs), 0.9
        return peak, 0.9
    turn = config.warmup * total_steps - 1
    if step <= turn:
        part = step / turn if turn > 0 else 1.0
        return _cosine(peak / START_DIVISOR, peak, part), _cosine(high, low, part)
    part = (step - turn) / max(total_steps - 1 - turn, 1e-9)
    return _cosine(peak, peak / END_DIVISOR, part), _cosine(low, high, part)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def freeze_image(model: GroundingModel, config: TrainingConfig, epoch: int) -> bool:
    """Hold the image encoder (or its backbone alone) fixed, its batch statistics too, or let it learn, as the epoch
    demands; whether it is held.

    Call it after ``model.train()``.
    """
    held = config.freeze_image_epochs < 0 or epoch <= config.freeze_image_epochs
    part = model.image if config.freeze_image == "encoder" else model.image.backbone
    part.requires_grad_(not held)
    if held:
        part.eval()
    return held


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD; biases, normalisation and the similarity scale are not decayed. A speech model that is tuned has groups
    of its own, which move at its part of the rate (``rate_factor``)."""
    speech = getattr(model, "speech_model", None)
    tuned = [] if speech is None else [p for p in speech.parameters() if p.requires_grad]
    apart = set(map(id, tuned))
    groups = _groups([p for p in model.parameters() if p.requires_grad and id(p) not in apart], config, 1.0)
    if speech is not None and tuned:
        groups += _groups(tuned, config, speech.config.rate_factor)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, betas=(0.9, BETA2), fused=True)


def _groups(parameters: list[nn.Parameter], config: TrainingConfig, factor: float) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay, "rate_factor": factor},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "rate_factor": factor},
    ]


def set_schedule(optimizer: torch.optim.Optimizer, rate: float, beta1: float) -> None:
    """Put the values of ``schedule`` into the optimiser."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)
        if "betas" in group:
            group["betas"] = (beta1, BETA2)
        else:
            group["momentum"] = beta1
