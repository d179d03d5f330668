"""Random changes of the training inputs, one vectorised pass over a batch.

What changes is drawn first, for the whole batch, from a generator that depends on seed, epoch and step alone; then each
process applies its own rows. So a batch is the same however it is split, and whenever training was resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

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
    """(N, M, 2) widths in bins, and where they lie (0 to 1)."""
    time_mask: npt.NDArray[np.float64]
    """(N, M, 2) widths in frames, and where they lie (0 to 1)."""
    speed: npt.NDArray[np.float64]
    """(N,) how much faster, and higher."""
    start: npt.NDArray[np.float64]
    """(N,) where a stretch of a long caption lies (0 to 1)."""


def draw_image_changes(n: int, config: AugmentConfig, generator: np.random.Generator) -> ImageChanges:
    """Draw for n images."""
    limit = config.image_shift
    shift = generator.integers(-limit, limit + 1, size=(n, 2))
    flip = (generator.random(n) < 0.5) & config.image_flip
    area = generator.uniform(config.image_crop_scale, 1.0, n)
    ratio = np.exp(generator.uniform(np.log(CROP_RATIO[0]), np.log(CROP_RATIO[1]), n))
    return ImageChanges(shift, flip, np.column_stack([area, ratio, generator.random((n, 2))]))


def no_image_changes(n: int) -> ImageChanges:
    """For n images that stay as they are."""
    return ImageChanges(np.zeros((n, 2), np.int64), np.zeros(n, np.bool_), np.tile([1.0, 1.0, 0.5, 0.5], (n, 1)))


def draw_speech_changes(n: int, config: AugmentConfig, generator: np.random.Generator) -> SpeechChanges:
    """Draw for n captions."""
    (more,) = generator.spawn(1)  # a stream of its own: what it draws leaves the other draws as they are
    return SpeechChanges(
        tempo=generator.uniform(1 - config.tempo, 1 + config.tempo, n),
        warp=generator.uniform(1 - config.mel_warp, 1 + config.mel_warp, n),
        mel_shift=generator.uniform(-config.mel_shift, config.mel_shift, n),
        frequency_mask=_draw_masks(n, config.frequency_mask, config.masks, generator, more),
        time_mask=_draw_masks(n, config.time_mask, config.masks, generator, more),
        speed=more.choice(config.speed or (1.0,), n),
        start=more.random(n),
    )


def shift_and_flip(images: Sequence[Tensor], changes: ImageChanges) -> Tensor:
    """Move by whole pixels and mirror; what comes in from outside repeats the edge.

    Args:
        images: N of them, each (H, W, 3), any type.
        changes: for these N images.

    Returns:
        (N, H, W, 3).
    """
    if not changes.flip.any() and not changes.shift.any():
        return torch.stack(list(images))
    moved = images[0].new_empty(len(images), *images[0].shape)
    for image, out, (down, right), flip in zip(images, moved, changes.shift.tolist(), changes.flip, strict=True):
        if flip:
            _shift(image.flip(1), down, -right, out)
        else:
            _shift(image, down, right, out)
    return moved


def _shift(image: Tensor, down: int, right: int, out: Tensor) -> None:
    """out[r, c] = image[r - down, c - right], the nearest pixel where that lies outside; all (H, W, 3)."""
    height, width = image.shape[:2]
    rows = image[(torch.arange(height) - down).clamp(0, height - 1)] if down else image
    first, end = max(right, 0), width + min(right, 0)
    out[:, first:end] = rows[:, first - right : end - right]
    out[:, :first] = rows[:, :1]
    out[:, end:] = rows[:, -1:]


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
    # As torchvision's resize does it, which takes half as long again for asking what it was given: the batch dimension of a
    # contiguous piece is told its stride, because only then the resampling keeps channels last.
    piece = image[top : top + crop_height, left : left + crop_width].contiguous()
    batch = piece.permute(2, 0, 1)[None]
    batch = batch.as_strided(batch.shape, (piece.numel(), *batch.stride()[1:]))
    return F.interpolate(batch, [size, size], mode="bilinear", antialias=True)[0].permute(1, 2, 0)


def crop_speech(
    offsets: Tensor, lengths: Tensor, start: npt.NDArray[np.float64], longest: int
) -> tuple[Tensor, Tensor]:
    """Keep a stretch of captions longer than ``longest`` frames; offsets (N,) and lengths (N,) of what is kept.

    Args:
        start: (N,) where the stretch lies, 0 to 1.
    """
    beyond = (lengths - longest).clamp(min=0)
    first = (torch.from_numpy(start) * (beyond + 1)).floor().long()
    return offsets + first, lengths - beyond


def warp_speech(
    frames: Tensor,
    offsets: Tensor,
    lengths: Tensor,
    changes: SpeechChanges | None,
    axes: Mapping[float, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Captions out of one long array, with tempo, mel axis and masks changed, padded with zeros to the longest.

    Tempo resamples frames linearly in time; the mel axis is resampled linearly as well (output bin m reads from
    m * warp + shift), which imitates another vocal tract length (Jaitly and Hinton 2013). Speed does both, by what
    playing the recording faster does to frequencies (Ko et al. 2015, here on features). Masks are those of SpecAugment
    (Park et al. 2019) and fill with 0, the mean of normalised features.

    Args:
        frames: (sum of lengths or more, F) float32, normalised.
        offsets: (N,) first frame of each caption in ``frames``.
        lengths: (N,) its number of frames.
        changes: for these N captions; None only cuts out and pads.
        axes: speed -> (F,) the mel bin that each bin reads from (:func:`vgspeech.audio.bins_at_speed`); needed for every
            speed but 1.

    Returns:
        (N, T, F) float32 and the new lengths (N,).
    """
    if changes is None:
        return _cut_and_pad(frames, offsets, lengths, None, None), lengths
    bins, tempo, mel = frames.shape[1], None, None
    if np.any(changes.tempo * changes.speed != 1):
        tempo = torch.from_numpy(changes.tempo * changes.speed).float()
    if np.any(changes.warp != 1) or np.any(changes.mel_shift != 0) or np.any(changes.speed != 1):
        mel = _mel_resampling(bins, changes, axes or {})
    values = _cut_and_pad(frames, offsets, lengths, tempo, mel)
    if tempo is not None:
        lengths = _lengths_at(tempo, lengths)
    for number, length in enumerate(lengths.tolist()):
        for start, end in _masked(changes.time_mask[number], length):
            values[number, start:end] = 0
        for start, end in _masked(changes.frequency_mask[number], bins):
            values[number, :, start:end] = 0
    return values, lengths


def _lengths_at(tempo: Tensor, lengths: Tensor) -> Tensor:
    """(N,) frames of captions of so many at the tempo of each."""
    return (lengths / tempo).floor().long().clamp(min=1)


def _cut_and_pad(
    frames: Tensor, offsets: Tensor, lengths: Tensor, tempo: Tensor | None, mel: Tensor | None
) -> Tensor:
    """(N, T, F) captions, at the ``tempo`` (N,) and through the ``mel`` matrix (N, F, F) of each where there are any.

    One after the other: what a caption becomes on the way stays in the processor's cache, and no memory is asked for but that
    of the result: batches of what is on the way would cost a fifth of the time, in page faults alone.
    """
    new_lengths = lengths if tempo is None else _lengths_at(tempo, lengths)
    values = frames.new_zeros(len(lengths), int(new_lengths.max()), frames.shape[1])
    spans = zip(values, offsets.tolist(), lengths.tolist(), new_lengths.tolist(), strict=True)
    for number, (row, offset, length, new_length) in enumerate(spans):
        caption, room = frames[offset : offset + length], row[:new_length]
        if tempo is not None:
            caption = _at_tempo(caption, tempo[number], new_length)
        if mel is None:
            room.copy_(caption)
        else:
            torch.mm(caption, mel[number], out=room)
    return values


def _at_tempo(caption: Tensor, tempo: Tensor, length: int) -> Tensor:
    """(length, F): a caption (T, F) read at the places 0, tempo, 2 tempo, ..., by linear interpolation."""
    last = len(caption) - 1
    position = (torch.arange(length) * tempo).clamp_max_(last)
    before = position.floor().long()
    left, right = caption.index_select(0, before), caption.index_select(0, (before + 1).clamp_max_(last))
    return left.lerp_(right, (position - before)[:, None])


def _mel_resampling(n_bins: int, changes: SpeechChanges, axes: Mapping[float, Tensor]) -> Tensor:
    """(N, F, F) matrices: column m interpolates the input bins at m * warp + shift, with m as the speed places it."""
    bins = torch.arange(n_bins, dtype=torch.float32)
    placed = torch.stack([bins if speed == 1 else axes[speed] for speed in changes.speed.tolist()])
    warp, shift = (torch.from_numpy(values).float()[:, None] for values in (changes.warp, changes.mel_shift))
    source = (placed * warp + shift).clamp(0, n_bins - 1)
    return (1 - (bins[:, None] - source[:, None, :]).abs()).clamp(min=0)


def _draw_masks(
    n: int, widest: int, count: int, generator: np.random.Generator, more: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(N, count, 2) widths and places; all masks but the first come from ``more``."""
    first = np.column_stack([generator.integers(0, widest + 1, n), generator.random(n)])
    others = np.stack([more.integers(0, widest + 1, (n, count - 1)), more.random((n, count - 1))], axis=-1)
    return np.concatenate([first[:, None], others], axis=1)


def _masked(masks: npt.NDArray[np.float64], size: int) -> Iterator[tuple[int, int]]:
    """First place and end of each mask (M, 2) that hides anything; each lies wholly within ``size`` places."""
    for width, place in masks.tolist():
        wide = int(min(width, size))
        if wide:
            start = int(place * (size - wide + 1))
            yield start, start + wide
