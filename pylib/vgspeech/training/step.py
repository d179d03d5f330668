"""One update of the weights: encode this process's rows of a batch, gather embeddings, compute the loss of the whole batch,
sum gradients, step."""

from __future__ import annotations

import copy
import dataclasses
import math
import time

import numpy as np
import torch

from vgspeech.config import ExperimentConfig
from vgspeech.errors import VgspeechError
from vgspeech.models import GroundingModel
from vgspeech.training.cached_grids import backbone_features
from vgspeech.training.data import Batch, EpochBatches
from vgspeech.training.distributed import Processes, sum_gradients
from vgspeech.training.gradient_cache import cached_backward
from vgspeech.training.objective import batch_loss
from vgspeech.training.schedule import freeze_image, make_optimizer
from vgspeech.training.training_set import TrainingSet

TIMING_STEPS = 3


def make_scaler(config: ExperimentConfig, processes: Processes) -> torch.amp.GradScaler:
    """Keeps small gradients representable in float16; does nothing in other precisions."""
    return torch.amp.GradScaler(processes.device.type, enabled=config.training.precision == "float16")


def backward(
    model: GroundingModel,
    scaler: torch.amp.GradScaler,
    batch: Batch,
    processes: Processes,
    epoch: int,
    step: int,
    group: int = 1,
) -> dict[str, float]:
    """Add the gradients of one batch to those that are there.

    Random draws depend on seed, epoch and step (and, inside networks, on the process) alone.

    Args:
        group: number of batches that share an update; their gradients are averaged.

    Returns:
        The loss of the whole batch (``loss``) and its terms.

    Raises:
        VgspeechError: the loss is not a finite number.
    """
    config = model.config
    seed = int(np.random.SeedSequence([config.seed, epoch, step]).generate_state(1)[0])
    torch.manual_seed(seed + processes.rank)  # temporal jitter, and whatever else a network draws
    impostors = torch.Generator().manual_seed(seed)

    def factor(loss: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = scaler.scale(loss if group == 1 else loss / group)
        return scaled

    if config.training.gradient_cache:
        loss, terms = cached_backward(model, batch, processes, impostors, seed, factor)
    else:
        loss, terms = batch_loss(model, batch, processes, impostors)
        factor(loss).backward()
    values = torch.stack([loss.detach() * processes.world_size, *terms.values()]).tolist()
    if not math.isfinite(values[0]):
        raise VgspeechError(
            f"the loss is {values[0]} in step {step + 1} of epoch {epoch}: training has diverged",
            hint="lower training.learning_rate, set training.clip_norm, or use training.precision: float32; "
            "the last checkpoint is from before",
        )
    return dict(zip(["loss", *terms], values, strict=True))


def update(
    model: GroundingModel, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, processes: Processes
) -> torch.Tensor | None:
    """Change the weights by the gradients of all processes, and forget these; move the codebooks.

    Returns:
        Norm () of all gradients together before they were clipped, still on the device; None where nothing is clipped.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    sum_gradients(parameters, processes)
    norm = None
    if model.config.training.clip_norm > 0:
        scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, model.config.training.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    model.update_codebooks()
    return norm


def choose_precision(
    model: GroundingModel, config: ExperimentConfig, training_set: TrainingSet, processes: Processes
) -> ExperimentConfig:
    """Replace ``precision: auto`` by the faster one, timed over a few steps of a copy of the model after one to warm up.

    What is frozen in the last epoch is frozen in these steps, and grids that will be cached are not computed in them.
    """
    seconds = {}
    batches = EpochBatches(training_set, config, 1, processes.rank, processes.world_size)
    choices = [
        dataclasses.replace(config, training=dataclasses.replace(config.training, precision=precision))
        for precision in ("float32", "bfloat16")
    ]
    for choice in choices:
        trial = copy.deepcopy(model).train()
        trial.config = choice
        freeze_image(trial, choice.training, choice.training.epochs)
        batch = batches[0]
        if choice.training.cache_grids:
            features = backbone_features(trial, batch.images, batch.image_counts, processes.device).cpu()
            batch = batch._replace(images=features, image_counts=np.ones(len(features), dtype=np.int64))
        optimizer, scaler = make_optimizer(trial, choice.training), make_scaler(choice, processes)
        for step in range(1 + TIMING_STEPS):
            if step == 1:
                started = time.monotonic()
            backward(trial, scaler, batch, processes, 0, step)
            update(trial, optimizer, scaler, processes)
        seconds[choice.training.precision] = time.monotonic() - started
    return choices[processes.agree(int(seconds["bfloat16"] < seconds["float32"]))]
