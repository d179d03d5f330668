"""Codes: each frame of a caption as one symbol of a codebook, by k-means or by the model's own quantiser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.archive import ArchiveWriter
from vgspeech.errors import DataError
from vgspeech.order import shuffled
from vgspeech.stats.kmeans import assign, kmeans

Array = np.ndarray[Any, np.dtype[Any]]

FRAMES_PER_CODE = 250
"""Frames that k-means is trained on, for every code."""


def training_frames(frames: Mapping[str, Array], num_codes: int, seed: int) -> Array:
    """(N, D) float32 frames of captions drawn by id and seed, ``FRAMES_PER_CODE`` a code as far as there are so many.

    Raises:
        DataError: no frame at all.
    """
    wanted = num_codes * FRAMES_PER_CODE
    parts: list[Array] = []
    count = 0
    for utt in shuffled(frames, seed):
        if count >= wanted:
            break
        parts.append(frames[utt])
        count += len(parts[-1])
    if not count:
        raise DataError("no frames to learn codes from", hint="embed this split first (stage 5)")
    return np.concatenate(parts)[:wanted].astype(np.float32, copy=False)


def learn_codebook(frames: Mapping[str, Array], num_codes: int, seed: int) -> Array:
    """(K, D) float32 centroids by k-means on a sample of the frames; fewer than ``num_codes`` when frames are few."""
    return kmeans(training_frames(frames, num_codes, seed), num_codes, seed).centroids


def encode(frames: Iterable[tuple[str, Array]], codebook: Array) -> Iterator[tuple[str, Array]]:
    """(T,) int32 nearest centroid of every frame of each (T, D) caption."""
    for utt, matrix in frames:
        yield utt, assign(matrix.astype(np.float32, copy=False), codebook)[0].astype(np.int32)


def write_codes(folder: Path, codes: Iterable[tuple[str, Array]], num_codes: int) -> tuple[int, int]:
    """Write ``codes.ark`` and ``codes.scp``.

    Returns:
        (captions, codes that occur)
    """
    used = np.zeros(num_codes, bool)
    captions = 0
    with ArchiveWriter(folder / "codes.ark", folder / "codes.scp") as archive:
        for utt, sequence in codes:
            archive.write(utt, sequence)
            used[sequence] = True
            captions += 1
    return captions, int(used.sum())
