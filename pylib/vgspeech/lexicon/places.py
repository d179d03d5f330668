"""Where in the image a peak looks: the cell of the image whose embedding is the most similar to the peak's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vgspeech.lexicon.peaks import Peaks

Array = np.ndarray[Any, np.dtype[Any]]

DECIMALS = 4
"""Of places, as in the tables."""


@dataclass(frozen=True)
class ImageGrids:
    """Embedded images.

    Attributes:
        cells: (H*W, D) cells by image id, row by row.
        shapes: (H, W) by image id.
    """

    cells: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, int]]


def with_places(peaks: Peaks, images: tuple[Mapping[str, str], Mapping[str, str]], grids: ImageGrids) -> Peaks:
    """Peaks with the places that both sides look at.

    Args:
        peaks: with their vectors.
        images: image of every caption, one mapping a language (captions of two images that look alike may be a pair).
        grids: of the images.
    """
    if not len(peaks):
        return peaks
    sides = zip((peaks.utt_a, peaks.utt_b), (peaks.vectors_a, peaks.vectors_b), images, strict=True)
    a, b = (places([image_of[utt] for utt in utts], vectors, grids) for utts, vectors, image_of in sides)
    return replace(peaks, places_a=a, places_b=b)


def places(images: Sequence[str], vectors: Array, grids: ImageGrids) -> Array:
    """(N, 4) float64: row and column of the cell with the highest dot product, the first among equals, and the place of
    its centre, x and y, as fractions of the square that the model sees. NaN where an image has no embedding.

    A peak's vector has its language's mean frame subtracted, and with it what a cell answers to speech in general.

    Args:
        images: (N,) image of every vector.
        vectors: (N, D).
        grids: of the images.
    """
    found = np.full((len(images), 4), np.nan)
    rows_of: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        rows_of.setdefault(image, []).append(i)
    for image, rows in rows_of.items():
        if image in grids.cells:
            best = (vectors[rows] @ grids.cells[image].T).argmax(1)
            height, width = grids.shapes[image]
            row, column = np.divmod(best, width)
            found[rows] = np.stack([row, column, (column + 0.5) / width, (row + 0.5) / height], axis=1)
    return np.round(found, DECIMALS)
