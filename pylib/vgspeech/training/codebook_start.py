"""New codebooks of a warm start: k-means of the frames that they will quantise.

A quantiser that is put into a trained network meets frames that lie where that network sends them, far from the N(0, 1) at which
its codes stand; most of them would never be chosen. So they start where the frames are. Lower quantisers come first: what
a higher one sees is made of their codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vgspeech.embedding import device_of
from vgspeech.models import GroundingModel
from vgspeech.models.quantizer import VectorQuantizer
from vgspeech.stats.kmeans import KMeans, kmeans
from vgspeech.training.distributed import Processes
from vgspeech.training.training_set import Captions, TrainingSet

FRAMES_PER_CODE = 200
CAPTIONS = 2000
"""Most captions that frames are taken from: all speakers and words are to be heard, not all captions."""
START = 5
"""Keeps the random stream apart from those of ``vgspeech/training/data.py``."""
_BLOCK = 16


class _Sample(NamedTuple):
    frames: np.ndarray[Any, np.dtype[np.float32]]
    """(N, C) drawn from all frames."""
    captions: int
    total: int
    """Frames of these captions."""


def start_codebooks(
    model: GroundingModel, data: TrainingSet, names: Sequence[str], processes: Processes
) -> dict[str, dict[str, float]]:
    """Set codebooks to the centroids of a seeded sample of their layer's frames, in all processes alike.

    A code's moving average starts as if batches of such frames had been seen for ever. Where a layer has fewer different frames
    than codes, the codes that are left over stay as they are.

    Args:
        model: changed in place; in evaluation mode afterwards.
        data: its captions are heard as they are, without augmentation.
        names: which of ``model.quantizers()``.

    Returns:
        name -> ``captions`` and ``frames`` of the sample, ``codes`` set, and ``distortion``: mean squared distance of a
        frame to its code, per dimension. For the metrics; the first process's are written.
    """
    model.eval()
    record = {}
    for number, (name, quantizer) in enumerate(model.quantizers().items()):
        if name not in names:
            continue
        language = name.partition("/")[0]
        if processes.first:  # the others wait: on another device the last bits might differ
            random = np.random.default_rng([model.config.seed, START, number])
            sample = _sample(model, language, data.captions[language], quantizer, random)
            with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
                found = kmeans(sample.frames, len(quantizer.codebook), model.config.seed)
            batch = min(model.config.training.batch_size, len(data.image_ids))
            _set(quantizer, found, batch * sample.total / sample.captions)
            record[name] = {
                "captions": sample.captions,
                "frames": len(sample.frames),
                "codes": len(found.centroids),
                "distortion": found.objective / sample.frames.shape[1],
            }
        for values in (quantizer.codebook, quantizer.mass, quantizer.sums):
            processes.share(values)
    return record


@torch.no_grad()
def _set(quantizer: VectorQuantizer, found: KMeans, frames_per_batch: float) -> None:
    codes = len(found.centroids)
    share = np.bincount(found.labels, minlength=codes) / len(found.labels)
    quantizer.codebook[:codes] = torch.from_numpy(found.centroids).to(quantizer.codebook)
    # A code that holds next to nothing moves freely at once; a mass of zero would have no place at all.
    quantizer.mass[:codes] = torch.from_numpy(np.maximum(share * frames_per_batch, 1e-3)).to(quantizer.mass)
    quantizer.sums.copy_(quantizer.codebook * quantizer.mass[:, None])


def _sample(
    model: GroundingModel,
    language: str,
    captions: Captions,
    quantizer: VectorQuantizer,
    random: np.random.Generator,
) -> _Sample:
    """Frames that reach a quantiser, the same number of each block of captions drawn at random."""
    chosen = np.sort(random.permutation(len(captions.ids))[:CAPTIONS])
    quota = -(-FRAMES_PER_CODE * len(quantizer.codebook) * _BLOCK // len(chosen))
    parts, total = [], 0
    for frames in _inputs(model, language, captions, quantizer, chosen):
        kept = np.sort(random.permutation(len(frames))[:quota])
        parts.append(frames[torch.from_numpy(kept).to(frames.device)].float().cpu().numpy())
        total += len(frames)
    return _Sample(np.concatenate(parts), len(chosen), total)


@torch.no_grad()
def _inputs(
    model: GroundingModel,
    language: str,
    captions: Captions,
    quantizer: VectorQuantizer,
    chosen: np.ndarray[Any, np.dtype[np.int64]],
) -> Iterator[Tensor]:
    """(N, C) valid frames that a quantiser is given, a block of captions at a time."""
    given: list[Tensor] = []

    def keep(_: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        x, mask = inputs[:2]
        given.append(x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).index_select(0, mask.rows))

    longest = model.config.training.max_frames
    handle = quantizer.register_forward_pre_hook(keep)
    try:
        for start in range(0, len(chosen), _BLOCK):
            frames, offsets, lengths = captions.features.take(chosen[start : start + _BLOCK])
            lengths = lengths.clamp_max(longest)
            spans = zip(offsets.tolist(), lengths.tolist(), strict=True)
            padded = pad_sequence([frames[first : first + length] for first, length in spans], batch_first=True)
            model.encode_audio(language, padded.to(device_of(model)), lengths)
            yield given.pop()
    finally:
        handle.remove()
