"""The loss of one batch: a term for every pair of image and language, and of two languages, in both directions."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from vgspeech.config import ExperimentConfig
from vgspeech.losses import infonce, same_image, triplet
from vgspeech.models import Frames, GroundingModel
from vgspeech.similarity import pair_scores, pool_frames, pool_grid
from vgspeech.training.data import Batch, counted_rows
from vgspeech.training.distributed import Processes, gather_padded, gather_rows

IMAGE = "image"


def batch_loss(
    model: GroundingModel, batch: Batch, processes: Processes, dtype: torch.dtype, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the whole batch, of which this process encodes its rows.

    Args:
        dtype: of the networks; bfloat16 by autocast. Scores and losses are float32.
        generator: of sampled impostors, seeded alike in all processes.

    Returns:
        The loss (divided by the number of processes: summed gradients are then those of one process), and its detached
        terms by name: ``image-en``, ``en-hi``, ..., and ``commitment`` with quantisers.
    """
    config, device = model.config, processes.device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        grids = model.encode_images(batch.images.to(device, non_blocking=True))
        spoken = {
            language: model.encode_audio(language, features.to(device, non_blocking=True), lengths)
            for language, (features, lengths) in batch.speech.items()
        }
    views = _gather(grids, spoken, batch, processes, config)
    ids = {IMAGE: torch.from_numpy(batch.plan.images)}
    ids |= {language: ids[IMAGE][torch.from_numpy(rows)] for language, rows in batch.plan.rows.items()}

    terms, loss = {}, torch.zeros((), device=device)
    for first, second in combinations(views, 2):
        weight = config.loss.image_language_weight if first == IMAGE else config.loss.language_language_weight
        if weight == 0.0:
            continue
        scores = pair_scores(views, (first, second), config.similarity)
        same = same_image(ids[first], ids[second]).to(device)
        if config.loss.type == "infonce":
            term = infonce(scores, same, model.scale())
        else:
            term = triplet(scores, same, config.loss.mining, config.loss.margin, generator, config.compat)
        terms[f"{first}-{second}"] = term.detach()
        loss = loss + weight * term
    commitment = model.take_commitment_loss()
    if commitment is not None:
        terms["commitment"] = commitment.detach()
        loss = loss + commitment
    return loss / processes.world_size, terms


def _gather(
    grids: Tensor, spoken: dict[str, Frames], batch: Batch, processes: Processes, config: ExperimentConfig
) -> dict[str, Tensor | Frames]:
    """All processes' embeddings. SISA needs the means only: they travel as grids of one cell and captions of one frame."""
    counts = {language: counted_rows(len(batch.plan.rows[language]), processes.world_size) for language in spoken}
    counts[IMAGE] = counted_rows(len(batch.plan.images), processes.world_size)
    if config.similarity.type == "SISA":
        views: dict[str, Tensor | Frames] = {
            IMAGE: gather_rows(pool_grid(grids), counts[IMAGE], processes)[:, None, None]
        }
        for language, frames in spoken.items():
            means = gather_rows(pool_frames(*frames), counts[language], processes)
            views[language] = Frames(means[:, None], torch.ones(len(means), dtype=torch.long))
        return views
    views = {IMAGE: gather_rows(grids.float(), counts[IMAGE], processes)}
    for language, (values, lengths) in spoken.items():
        every_length = gather_rows(lengths.to(processes.device), counts[language], processes)
        views[language] = Frames(gather_padded(values.float(), counts[language], processes), every_length)
    return views
