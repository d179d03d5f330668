"""One update of the weights: encode this process's rows of the batch, gather embeddings, compute the loss of the whole batch,
sum gradients, step."""

from __future__ import annotations

import copy
import dataclasses
import time

import numpy as np
import torch

from vgspeech.config import ExperimentConfig
from vgspeech.models import GroundingModel
from vgspeech.training.data import Batch, EpochBatches, TrainingSet
from vgspeech.training.distributed import Processes, sum_gradients
from vgspeech.training.objective import batch_loss
from vgspeech.training.schedule import make_optimizer

TIMING_STEPS = 3


def training_step(
    model: GroundingModel,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    processes: Processes,
    epoch: int,
    step: int,
) -> dict[str, float]:
    """One update of the weights.

    Returns:
        The loss of the whole batch (``loss``) and its terms.
    """
    config = model.config
    seed = int(np.random.SeedSequence([config.seed, epoch, step]).generate_state(1)[0])
    torch.manual_seed(seed + processes.rank)  # temporal jitter, and whatever else a network draws
    impostors = torch.Generator().manual_seed(seed)
    dtype = torch.bfloat16 if config.training.precision == "bfloat16" else torch.float32
    loss, terms = batch_loss(model, batch, processes, dtype, impostors)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for p in model.parameters() if p.requires_grad]
    sum_gradients(parameters, processes)
    if config.training.clip_norm > 0:
        torch.nn.utils.clip_grad_norm_(parameters, config.training.clip_norm)
    optimizer.step()
    model.update_codebooks()
    names = ["loss", *terms]
    values = torch.stack([loss.detach() * processes.world_size, *terms.values()]).tolist()
    return dict(zip(names, values, strict=True))


def choose_precision(
    model: GroundingModel, config: ExperimentConfig, training_set: TrainingSet, processes: Processes
) -> ExperimentConfig:
    """Replace ``precision: auto`` by the faster one, timed over a few steps of a copy of the model after one to warm up."""
    seconds = {}
    batches = EpochBatches(training_set, config, 1, processes.rank, processes.world_size)
    batch = batches[0]
    choices = [
        dataclasses.replace(config, training=dataclasses.replace(config.training, precision=precision))
        for precision in ("float32", "bfloat16")
    ]
    for choice in choices:
        trial = copy.deepcopy(model).train()
        trial.config = choice
        optimizer = make_optimizer(trial, choice.training)
        for step in range(1 + TIMING_STEPS):
            if step == 1:
                started = time.monotonic()
            training_step(trial, optimizer, batch, processes, 0, step)
        seconds[choice.training.precision] = time.monotonic() - started
    return choices[processes.agree(int(seconds["bfloat16"] < seconds["float32"]))]
