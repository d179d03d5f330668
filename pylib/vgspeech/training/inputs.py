"""What training reads, from memory where it fits: feature frames of captions, decoded pictures, and what a frozen backbone
makes of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgspeech.archive import ArchiveReader
from vgspeech.audio import normalise
from vgspeech.config import ExperimentConfig
from vgspeech.images import PackedImages, evaluation_view
from vgspeech.training.augment import ImageChanges, crop_and_resize, shift_and_flip

Indices = npt.NDArray[np.int64]


class Features:
    """Feature frames of captions, normalised and cut; kept in memory as one array when they fit.

    Args:
        reader: the archive.
        lines: (N,) its line of each caption.
        normalisation: of each caption, before it is cut.
        longest: frames that are kept of a caption; None keeps all.
        limit_bytes: memory that they may take.
    """

    def __init__(
        self,
        reader: ArchiveReader,
        lines: Indices,
        normalisation: Literal["none", "utterance"],
        longest: int | None,
        limit_bytes: float,
    ) -> None:
        self._reader, self._lines = reader, lines
        self._normalisation, self._longest = normalisation, longest
        sample = [
            reader.read(int(lines[i])).nbytes for i in np.linspace(0, len(lines) - 1, min(len(lines), 20)).astype(int)
        ]
        self._cache: tuple[Tensor, Tensor, Tensor] | None = None
        if np.mean(sample) * len(lines) <= limit_bytes:
            self._cache = self._read(np.arange(len(lines)))

    def _read(self, indices: Indices) -> tuple[Tensor, Tensor, Tensor]:
        captions = [
            normalise(self._reader.read(int(line)), self._normalisation)[: self._longest]
            for line in self._lines[indices]
        ]
        lengths = torch.tensor([len(caption) for caption in captions])
        frames = np.empty((int(lengths.sum()), captions[0].shape[1]), dtype=np.float32)
        end = len(frames)
        # From the last one, each freed when it is copied: what is needed at once is hardly more than the result.
        while captions:
            caption = captions.pop()
            frames[end - len(caption) : end] = caption
            end -= len(caption)
        return torch.from_numpy(frames), lengths.cumsum(0) - lengths, lengths

    def take(self, indices: Indices) -> tuple[Tensor, Tensor, Tensor]:
        """Some captions as (frames (M, F), offsets (N,), lengths (N,)); ``frames`` may hold others as well."""
        if self._cache is None:
            return self._read(indices)
        frames, offsets, lengths = self._cache
        return frames, offsets[indices], lengths[indices]


class Pictures:
    """Decoded pictures, stills or clips; as many as fit stay in memory.

    Args:
        packed: the image files.
        lines: (N,) which of ``packed.keys_array`` each picture is.
        config: image size, random crops, ``training.image_cache_gb``, and ``training.cache_grids``, with which every
            picture is read once.
    """

    def __init__(self, packed: PackedImages, lines: Indices, config: ExperimentConfig) -> None:
        self._packed, self._lines, self._settings = packed, lines, config.image
        self._random_crop = config.augment.image_crop_scale < 1.0
        self._cache: list[list[Tensor]] = []
        left = 0.0 if config.training.cache_grids else config.training.image_cache_gb * 2**30
        for number in range(len(lines) if left > 0 else 0):
            picture = self._read(number)
            left -= sum(image.nbytes for image in picture)
            if left < 0:
                break
            self._cache.append(picture)

    def _read(self, number: int) -> list[Tensor]:
        """Images (H, W, 3) uint8: whole where random crops are taken, else what evaluation sees."""
        images = self._packed[self._packed.keys_array[self._lines[number]].decode()]
        if self._random_crop:
            return [torch.from_numpy(pixels) for pixels in images]
        resize, size = self._settings.resize, self._settings.image_size
        return [torch.from_numpy(evaluation_view(pixels, resize, size)) for pixels in images]

    def image_counts(self, indices: Indices) -> Indices:
        """(N,) number of images of some pictures: 1 of a still, more of a clip."""
        return self._packed.image_counts(self._lines[indices])

    def __len__(self) -> int:
        return len(self._lines)

    def take(self, indices: Indices, changes: ImageChanges) -> Tensor:
        """All images of some pictures as (F, S, S, 3) uint8, one picture's after the other.

        Args:
            indices: (N,) which pictures.
            changes: of each picture. All video frames of a clip change alike, as if the camera stood elsewhere; crops are
                taken where random crops are on.
        """
        pictures = [self._cache[i] if i < len(self._cache) else self._read(int(i)) for i in indices]
        if self._random_crop:
            size = self._settings.image_size
            pictures = [
                [crop_and_resize(image, crop, size) for image in picture]
                for picture, crop in zip(pictures, changes.crop, strict=True)
            ]
        picture_of = np.repeat(np.arange(len(pictures)), [len(picture) for picture in pictures])
        return shift_and_flip([image for picture in pictures for image in picture], changes.rows(picture_of))


class Grids:
    """What a frozen backbone makes of every picture (``training.cache_grids``).

    Args:
        values: (V, N, C, H, W) floating point; V is 1 or, where images are flipped, 2: as they are and mirrored.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return self.values.shape[1]

    def image_counts(self, indices: Indices) -> Indices:
        """(N,) ones: the images of a clip are pooled already."""
        return np.ones(len(indices), dtype=np.int64)

    def take(self, indices: Indices, changes: ImageChanges) -> Tensor:
        """Those of some pictures, or of their mirror images where ``changes`` flips them: (n, C, H, W)."""
        return self.values[torch.from_numpy(changes.flip.astype(np.int64)), torch.from_numpy(indices)]
