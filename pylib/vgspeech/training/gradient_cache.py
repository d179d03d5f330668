"""Gradients of a batch that is larger than memory (GradCache: Gao et al. 2021, arXiv 2101.06983).

A contrastive loss needs the embeddings of the whole batch, but not all the activations behind them at once:

    1. encode the rows part by part, without gradients, and keep the embeddings
    2. compute the loss from all embeddings, and its gradient with respect to each of them
    3. encode every part again, with the same random draws, and send its embeddings' gradients back through it

Memory is that of one part and all embeddings; time is one more forward pass.

What it does to batch statistics: batch normalisation in training takes mean and variance over a part (of all processes),
not over the batch. So the gradient is exactly that of the loss in which every part is normalised by itself, and the
running statistics move once a part. It equals the gradient of the undivided batch, up to rounding, wherever encoders treat
rows independently: without batch statistics (DAVEnet's image VGG16, or frozen ones), or when a part holds all rows. The loss
itself is that of the whole batch, with all its impostors, in any case. The commitment loss of quantisers is the mean of
the parts' losses; their codebooks see every frame once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from vgspeech.models import Frames, GroundingModel
from vgspeech.training.data import Batch
from vgspeech.training.distributed import Processes
from vgspeech.training.objective import IMAGE, Views, encode_images, encode_speech, views_loss


@dataclass(frozen=True)
class Part:
    """Some rows of one view."""

    view: str
    rows: slice
    seed: int
    """Of what the encoder draws at random, the same in both passes."""
    share: float
    """1 / number of parts of this view."""


def cached_backward(
    model: GroundingModel,
    batch: Batch,
    processes: Processes,
    generator: torch.Generator,
    seed: int,
    factor: Callable[[Tensor], Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the gradients of a batch's loss to the parameters, encoding ``training.gradient_cache`` rows at a time.

    Args:
        generator: of sampled impostors, seeded alike in all processes.
        seed: of the encoders' random draws.
        factor: applied to the loss before its gradient is taken (loss scaling, accumulation).

    Returns:
        As :func:`vgspeech.training.objective.batch_loss`, detached.
    """
    parts = list(_parts(batch, model.config.training.gradient_cache, processes, seed))
    leaves = _embeddings(model, batch, parts, processes)
    loss, terms = views_loss(model, leaves, batch.plan, processes, generator)
    factor(loss).backward()
    gradients = {name: _values(view).grad for name, view in leaves.items()}
    commitments = []
    for part in parts:
        values = _values(_encode(model, batch, part, processes))
        gradient = gradients[part.view]
        roots: list[tuple[Tensor, Tensor | None]] = []
        if gradient is not None and values.requires_grad:
            roots.append((values, _fitting(gradient[part.rows], values)))
        commitment = model.take_commitment_loss()
        if commitment is not None:
            commitments.append(commitment.detach() * part.share)
            roots.append((factor(commitment * part.share / processes.world_size), None))
        if roots:
            torch.autograd.backward([root for root, _ in roots], [gradient for _, gradient in roots])
    loss = loss.detach()
    if commitments:
        terms["commitment"] = torch.stack(commitments).sum()
        loss = loss + terms["commitment"] / processes.world_size
    return loss, terms


def _parts(batch: Batch, size: int, processes: Processes, seed: int) -> Iterator[Part]:
    """Every view's rows in parts; as many in every process, because batch statistics are taken together."""
    views = [(IMAGE, len(batch.plan.images), len(batch.image_counts))]
    views += [(name, len(batch.plan.rows[name]), len(lengths)) for name, (_, lengths) in batch.speech.items()]
    seeds = np.random.SeedSequence([seed, processes.rank])
    for name, total, mine in views:
        most = total if total < processes.world_size else -(-total // processes.world_size)
        count = -(-most // size)
        edges = [mine * number // count for number in range(count + 1)]
        for start, end in pairwise(edges):
            (draw,) = seeds.spawn(1)[0].generate_state(1)
            yield Part(name, slice(start, end), int(draw), 1 / count)


@torch.no_grad()
def _embeddings(model: GroundingModel, batch: Batch, parts: list[Part], processes: Processes) -> Views:
    """All views as leaves of the loss; running statistics and codebooks are left as they were."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    found: dict[str, list[Tensor | Frames]] = {}
    for part in parts:
        found.setdefault(part.view, []).append(_encode(model, batch, part, processes))
    model.take_commitment_loss()
    for buffer, value in before:
        buffer.copy_(value)
    return {name: _leaf(pieces) for name, pieces in found.items()}


def _leaf(pieces: list[Tensor | Frames]) -> Tensor | Frames:
    """The parts of a view in one, captions padded to the longest, as a tensor that collects a gradient."""
    if not isinstance(pieces[0], Frames):
        return torch.cat([_values(piece) for piece in pieces]).requires_grad_()
    longest = max(_values(piece).shape[1] for piece in pieces)
    padded = [torch.nn.functional.pad(_values(piece), (0, 0, 0, longest - _values(piece).shape[1])) for piece in pieces]
    lengths = torch.cat([piece.lengths for piece in pieces if isinstance(piece, Frames)])
    return Frames(torch.cat(padded).requires_grad_(), lengths)


def _encode(model: GroundingModel, batch: Batch, part: Part, processes: Processes) -> Tensor | Frames:
    """The embeddings of one part."""
    torch.manual_seed(part.seed)
    if part.view == IMAGE:
        ends = np.concatenate([[0], np.cumsum(batch.image_counts)])
        images = batch.images[ends[part.rows.start] : ends[part.rows.stop]]
        return encode_images(model, images, batch.image_counts[part.rows], processes.device)
    features, lengths = (values[part.rows] for values in batch.speech[part.view])
    width = int(lengths.max()) if len(lengths) else 1
    return encode_speech(model, part.view, features[:, :width], lengths, processes.device)


def _values(view: Tensor | Frames) -> Tensor:
    return view.values if isinstance(view, Frames) else view


def _fitting(gradient: Tensor, values: Tensor) -> Tensor:
    """A padded view's gradient for a part that is padded less."""
    return gradient[:, : values.shape[1]] if gradient.dim() == 3 else gradient
