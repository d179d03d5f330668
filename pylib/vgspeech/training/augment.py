"""Random changes of the training inputs, one vectorised pass over a batch.

What changes is drawn first, for the whole batch, from a generator that depends on seed, epoch and step alone; then each
process applies its own rows. So a batch is the same however it is split, and whenever training was resumed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resized_crop

from vgspeech.config import AugmentConfig

CROP_RATIO = (3 / 4, 4 / 3)
"""Aspect ratios of random crops, as in the ImageNet training of He et al. (2016)."""


class _Rows:
    """Arrays that share their first axis, the item of the batch."""

    def rows(self, index: npt.NDArray[np.int64]) -> Self:
        """The same for some items only."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ImageChanges(_Rows):
    """What happens to each of N images."""

    shift: npt.NDArray[np.int64]
    """(N, 2) pixels down and to the right."""
    flip: npt.NDArray[np.bool_]
    """(N,) left-right."""
    crop: npt.NDArray[np.float64]
    """(N, 4) area fraction, aspect ratio, and where the crop lies vertically and horizontally (0 to 1)."""


@dataclass(frozen=True)
class SpeechChanges(_Rows):
    """What happens to each of N captions."""

    tempo: npt.NDArray[np.float64]
    """(N,) how much faster."""
    warp: npt.NDArray[np.float64]
    """(N,) factor on the mel axis."""
    mel_shift: npt.NDArray[np.float64]
    """(N,) bins."""
    frequency_mask: npt.NDArray[np.float64]
    """(N, 2) width in bins, and where it lies (0 to 1)."""
    time_mask: npt.NDArray[np.float64]
    """(N, 2) width in frames, and where it lies (0 to 1)."""


def draw_image_changes(n: int, config: AugmentConfig, generator: np.random.Generator) -> ImageChanges:
    """Draw for n images."""
    limit = config.image_shift
    shift = generator.integers(-limit, limit + 1, size=(n, 2))
    flip = (generator.random(n) < 0.5) & config.image_flip
    area = generator.uniform(config.image_crop_scale, 1.0, n)
    ratio = np.exp(generator.uniform(np.log(CROP_RATIO[0]), np.log(CROP_RATIO[1]), n))
    return ImageChanges(shift, flip, np.column_stack([area, ratio, generator.random((n, 2))]))


def draw_speech_changes(n: int, config: AugmentConfig, generator: np.random.Generator) -> SpeechChanges:
    """Draw for n captions."""
    return SpeechChanges(
        tempo=generator.uniform(1 - config.tempo, 1 + config.tempo, n),
        warp=generator.uniform(1 - config.mel_warp, 1 + config.mel_warp, n),
        mel_shift=generator.uniform(-config.mel_shift, config.mel_shift, n),
        frequency_mask=np.column_stack([generator.integers(0, config.frequency_mask + 1, n), generator.random(n)]),
        time_mask=np.column_stack([generator.integers(0, config.time_mask + 1, n), generator.random(n)]),
    )


def shift_and_flip(images: Tensor, changes: ImageChanges) -> Tensor:
    """Move by whole pixels and mirror; what comes in from outside repeats the edge.

    Args:
        images: (N, H, W, 3), any type.
        changes: for these N images.
    """
    height, width = images.shape[1:3]
    shift = torch.from_numpy(changes.shift)
    flip = torch.from_numpy(changes.flip)[:, None]
    down, right = torch.arange(height), torch.arange(width)
    rows = (down - shift[:, :1]).clamp(0, height - 1)
    columns = (torch.where(flip, width - 1 - right, right) - shift[:, 1:]).clamp(0, width - 1)
    return images[torch.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def crop_and_resize(image: Tensor, crop: npt.NDArray[np.float64], size: int) -> Tensor:
    """One random resized crop.

    Args:
        image: (H, W, 3) uint8.
        crop: (4,) a row of ``ImageChanges.crop``; a crop that would stick out is narrowed.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8.
    """
    height, width = image.shape[:2]
    area, ratio, down, right = crop
    side = float(np.sqrt(area * height * width))
    crop_height = int(np.clip(round(side / np.sqrt(ratio)), 1, height))
    crop_width = int(np.clip(round(side * np.sqrt(ratio)), 1, width))
    top, left = round(down * (height - crop_height)), round(right * (width - crop_width))
    channels_first = image.permute(2, 0, 1)
    resized = resized_crop(
        channels_first, top, left, crop_height, crop_width, [size, size], InterpolationMode.BILINEAR, antialias=True
    )
    return resized.permute(1, 2, 0)


def warp_speech(
    frames: Tensor, offsets: Tensor, lengths: Tensor, changes: SpeechChanges | None
) -> tuple[Tensor, Tensor]:
    """Captions out of one long array, with tempo, mel axis and masks changed, padded with zeros to the longest.

    Tempo resamples frames linearly in time; the mel axis is resampled linearly as well (output bin m reads from
    m * warp + shift), which imitates another vocal tract length (Jaitly and Hinton 2013); masks are those of SpecAugment
    (Park et al. 2019) and fill with 0, the mean of normalised features.

    Args:
        frames: (sum of lengths or more, F) float32, normalised.
        offsets: (N,) first frame of each caption in ``frames``.
        lengths: (N,) its number of frames.
        changes: for these N captions; None only cuts out and pads.

    Returns:
        (N, T, F) float32 and the new lengths (N,).
    """
    if changes is None:
        time = torch.arange(int(lengths.max()))
        valid = time < lengths[:, None]
        return frames[(offsets[:, None] + time).where(valid, 0)] * valid[..., None], lengths
    tempo = torch.from_numpy(changes.tempo).float()[:, None]
    new_lengths = (lengths / tempo[:, 0]).floor().long().clamp(min=1)
    time = torch.arange(int(new_lengths.max()))
    last = lengths[:, None] - 1
    position = torch.minimum(time * tempo, last.float())
    before = position.floor().long()
    after = torch.minimum(before + 1, last)
    values = torch.lerp(
        frames[offsets[:, None] + before], frames[offsets[:, None] + after], (position - before)[..., None]
    )
    values = values @ _mel_resampling(frames.shape[1], changes)
    values *= ((time < new_lengths[:, None]) & ~_mask(time, new_lengths[:, None], changes.time_mask))[..., None]
    bins = torch.arange(frames.shape[1])
    values *= ~_mask(bins, torch.tensor(frames.shape[1]), changes.frequency_mask)[:, None, :]
    return values, new_lengths


def _mel_resampling(n_bins: int, changes: SpeechChanges) -> Tensor:
    """(N, F, F) matrices: column m interpolates the input bins at m * warp + shift."""
    bins = torch.arange(n_bins, dtype=torch.float32)
    warp, shift = (torch.from_numpy(values).float()[:, None] for values in (changes.warp, changes.mel_shift))
    source = (bins * warp + shift).clamp(0, n_bins - 1)
    return (1 - (bins[:, None] - source[:, None, :]).abs()).clamp(min=0)


def _mask(axis: Tensor, size: Tensor, mask: npt.NDArray[np.float64]) -> Tensor:
    """(N, len(axis)) true inside each item's mask, which lies wholly within its first ``size`` places."""
    width = torch.minimum(torch.from_numpy(mask[:, :1]), size)
    start = (torch.from_numpy(mask[:, 1:]) * (size - width + 1)).floor()
    return (axis >= start) & (axis < start + width)
