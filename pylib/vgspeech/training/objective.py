"""The loss of one batch: a term for every pair of image and language, and of two languages, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from vgspeech.config import LossConfig
from vgspeech.images import to_tensor
from vgspeech.losses import adaptive_margin, infonce, masked_margin, same_image, triplet
from vgspeech.models import Frames, GroundingModel
from vgspeech.similarity import pair_scores, pool_frames, pool_grid
from vgspeech.training.data import Batch, BatchPlan, counted_rows
from vgspeech.training.distributed import Processes, gather_padded, gather_rows
from vgspeech.training.inputs import Indices

IMAGE = "image"
Views = dict[str, Tensor | Frames]
"""What the encoders made of a batch: ``image`` -> grids (B, H, W, D); each language -> its frames."""


def batch_loss(
    model: GroundingModel, batch: Batch, processes: Processes, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the whole batch, of which this process encodes its rows.

    Args:
        generator: of sampled impostors, seeded alike in all processes.

    Returns:
        The loss (divided by the number of processes: summed gradients are then those of one process), and its detached
        terms by name: ``image-en``, ``en-hi``, ..., and ``commitment`` with quantisers.
    """
    views: Views = {IMAGE: encode_images(model, batch.images, batch.image_counts, processes.device)}
    for language, (features, lengths) in batch.speech.items():
        views[language] = encode_speech(model, language, features, lengths, processes.device)
    loss, terms = views_loss(model, views, batch.plan, processes, generator)
    commitment = model.take_commitment_loss()
    if commitment is not None:
        terms["commitment"] = commitment.detach()
        loss = loss + commitment / processes.world_size
    return loss, terms


def encode_images(model: GroundingModel, images: Tensor, counts: Indices, device: torch.device) -> Tensor:
    """Images (f, S, S, 3) uint8 of b pictures, ``counts`` (b,) of each, to grids (b, H, W, D), float32 or wider.

    Instead of images what the backbone made of the pictures may be given. For SISA a grid is one cell: the mean of all.
    """
    inputs = images.to(device, non_blocking=True)
    with autocast(model, device):
        if inputs.is_floating_point():
            grids = model.embed_features(inputs)
        else:
            grids = model.encode_images(to_tensor(inputs).to(model.log_scale.dtype), counts.tolist())
    if model.config.similarity.type == "SISA":
        return pool_grid(grids)[:, None, None]
    return _wide(grids)


def encode_speech(
    model: GroundingModel, language: str, features: Tensor, lengths: Tensor, device: torch.device
) -> Frames:
    """Features (n, T, F) and lengths (n,) to frames, float32 or wider; one frame of their mean for SISA."""
    with autocast(model, device):
        inputs = features.to(device, model.log_scale.dtype, non_blocking=True)
        values, out_lengths = model.encode_audio(language, inputs, lengths)
    if model.config.similarity.type == "SISA":
        return Frames(pool_frames(values, out_lengths)[:, None], torch.ones(len(values), dtype=torch.long))
    return Frames(_wide(values), out_lengths.to(device))


def views_loss(
    model: GroundingModel, views: Mapping[str, Tensor | Frames], plan: BatchPlan, processes: Processes,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """The terms of :func:`batch_loss` that compare views: every process's rows against those of all."""
    config, whole = model.config, _gather(views, plan, processes)
    ids = {IMAGE: torch.from_numpy(plan.images)}
    ids |= {language: ids[IMAGE][torch.from_numpy(rows)] for language, rows in plan.rows.items()}
    terms: dict[str, Tensor] = {}
    loss = torch.zeros((), device=processes.device)
    for first, second in combinations(whole, 2):
        weight = config.loss.image_language_weight if first == IMAGE else config.loss.language_language_weight
        if weight == 0.0:
            continue
        scores = pair_scores(whole, (first, second), config.similarity)
        same = same_image(ids[first], ids[second]).to(processes.device)
        term = pair_loss(scores, same, config.loss, model.scale(), generator, config.compat)
        terms[f"{first}-{second}"] = term.detach()
        loss = loss + weight * term
    return loss / processes.world_size, terms


def pair_loss(
    scores: Tensor, same: Tensor, config: LossConfig, scale: Tensor, generator: torch.Generator, compat: bool = False
) -> Tensor:
    """The configured loss of one pair of views: scores (A, B), ``same`` (A, B) bool where both are of one image."""
    if config.type == "infonce":
        return infonce(scores, same, scale)
    if config.type == "masked_margin":
        return masked_margin(scores, same, config.margin, scale)
    if config.type == "adaptive_margin":
        return adaptive_margin(scores, same, config.margin_factor, scale)
    return triplet(scores, same, config.mining, config.margin, generator, compat)


def _gather(views: Mapping[str, Tensor | Frames], plan: BatchPlan, processes: Processes) -> Views:
    """All processes' views, with gradients."""
    whole: Views = {}
    for name, view in views.items():
        counts = counted_rows(len(plan.images if name == IMAGE else plan.rows[name]), processes.world_size)
        if isinstance(view, Frames):
            lengths = gather_rows(view.lengths.to(processes.device), counts, processes)
            whole[name] = Frames(gather_padded(view.values, counts, processes), lengths)
        else:
            whole[name] = gather_rows(view, counts, processes)
    return whole


def autocast(model: GroundingModel, device: torch.device) -> torch.autocast:
    """The precision that the encoders run in."""
    precision = model.config.training.precision
    low = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, dtype=low, enabled=precision in ("bfloat16", "float16"))


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
