"""Do peaks look at what is said? Places against the boxes of objects, for corpora that come with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scenes:
    """What is in the images.

    Attributes:
        objects: image -> (concept, box) of its objects; corners x0, y0, x1, y1 as fractions of what the model sees.
        shapes: image -> (H, W) of its grid.
    """

    objects: Mapping[str, Sequence[tuple[str, Box]]]
    shapes: Mapping[str, tuple[int, int]]


def place_scores(
    images: Sequence[str], places: Array, words: Sequence[str], concepts_of: Callable[[str], frozenset[str]], scenes: Scenes
) -> dict[str, float | int]:
    """How often a peak's place lies in the box of the object that the word at the peak names.

    Args:
        images: (N,) the image of every peak.
        places: (N, 4) from ``places.places``; peaks without a place are left out.
        words: (N,) the word said at it.
        concepts_of: from a word to the concepts it names.
        scenes: what is where. Peaks whose word names nothing in the image, or something without a cell's centre inside
            its box (too small, or cut off), are left out.

    Returns:
        ``peaks`` that count, ``in_box`` and, for a cell drawn at random, ``chance``; without peaks only their number, 0.
    """
    hits, chances = [], []
    for image, place, word in zip(images, places, words, strict=True):
        concepts = concepts_of(word)
        boxes = [box for concept, box in scenes.objects.get(image, ()) if concept in concepts]
        if not boxes or np.isnan(place[0]):
            continue
        height, width = scenes.shapes[image]
        y, x = np.divmod(np.arange(height * width), width)
        inside = _in_boxes((x + 0.5) / width, (y + 0.5) / height, boxes)
        if inside.any():
            hits.append(inside[int(place[0]) * width + int(place[1])])
            chances.append(inside.mean())
    if not hits:
        return {"peaks": 0}
    return {"peaks": len(hits), "in_box": round(float(np.mean(hits)), 4), "chance": round(float(np.mean(chances)), 4)}


def _in_boxes(x: Array, y: Array, boxes: Sequence[Box]) -> Array:
    return np.any([(x >= x0) & (x < x1) & (y >= y0) & (y < y1) for x0, y0, x1, y1 in boxes], axis=0)
