"""Pairs of captions of images that look alike ("pair expansion", Ohishi et al. 2020): for languages that share no images, and
within a language where an image has one caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vgspeech.errors import DataError
from vgspeech.lexicon.captions import ImageCaptions, captions_by_image
from vgspeech.order import shuffled

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 4096
"""Images of one side that are compared with all of the other at once."""
GROUP = 50_000
"""Images of one language among which the nearest are looked for, so that time is linear in images."""
ROUNDS = 50
"""Images without a partner by then are left over: they are copies of each other (half of the rest is paired each round)."""


def pair_nearest(
    utt2image_a: Mapping[str, str], utt2image_b: Mapping[str, str], cells: Mapping[str, Array]
) -> list[ImageCaptions]:
    """Captions of images that are each other's nearest: image a described in one language, image b in the other.

    An image is the mean of its cells, less the mean image, of unit length; near is a high cosine. Each image is used once
    at most, so that the pairs are independent and may serve as evidence.

    Args:
        utt2image_a, utt2image_b: image of every caption, one mapping a language.
        cells: (cells, D) of the image encoder by image id.

    Returns:
        Pairs under the id of image a, sorted.

    Raises:
        DataError: an image has no embedding, or fewer than two pairs are found.
    """
    by_image_a, by_image_b = captions_by_image(utt2image_a), captions_by_image(utt2image_b)
    images_a, images_b = sorted(by_image_a), sorted(by_image_b)
    a, b = mutual_nearest(_image_vectors(images_a, cells), _image_vectors(images_b, cells))
    if len(a) < 2:
        raise DataError(f"{len(a)} images of the two languages are each other's nearest; discovery needs at least two")
    return [
        ImageCaptions(images_a[i], tuple(by_image_a[images_a[i]]), tuple(by_image_b[images_b[j]]))
        for i, j in zip(a.tolist(), b.tolist(), strict=True)
    ]


def mutual_nearest(a: Array, b: Array) -> tuple[Array, Array]:
    """Rows of two sets of unit vectors that are each other's nearest; the first among equals.

    Args:
        a, b: (Na, D), (Nb, D).

    Returns:
        (rows of a, ascending; their rows of b)
    """
    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    nearest_b = np.empty(len(a), np.int64)
    nearest_a, best = np.zeros(len(b), np.int64), np.full(len(b), -np.inf, np.float32)
    for start in range(0, len(a), _BLOCK):
        cosine = a[start : start + _BLOCK] @ b.T
        nearest_b[start : start + _BLOCK] = cosine.argmax(1)
        row = cosine.argmax(0)
        top = cosine[row, np.arange(len(b))]
        nearest_a[top > best] = start + row[top > best]
        best = np.maximum(best, top)
    rows = np.flatnonzero(nearest_a[nearest_b] == np.arange(len(a)))
    return rows, nearest_b[rows]


def pair_alike(utt2image: Mapping[str, str], cells: Mapping[str, Array]) -> list[ImageCaptions]:
    """Captions of images of one language that look alike, each image in one pair: first those that are each other's nearest,
    then in the same way those of the others that are, and so on.

    That nearly all images are paired, not only those of the first round, brings twice the peaks; the last pairs have
    little in common, which costs nothing but time (mini corpus: 30 instead of 26 concepts with evidence).

    Args:
        utt2image: image of every caption.
        cells: (cells, D) of the image encoder by image id.

    Returns:
        Pairs under the id of their first image, sorted.

    Raises:
        DataError: an image has no embedding, or there are fewer than four images.
    """
    by_image = captions_by_image(utt2image)
    images = shuffled(by_image, seed=0)
    if len(images) < 4:
        raise DataError(f"{len(images)} images have captions; pairs of images that look alike need at least four")
    vectors = _image_vectors(images, cells)
    pairs = []
    for start in range(0, len(images), GROUP):
        group = images[start : start + GROUP]
        for rows in _match(vectors[start : start + GROUP]):
            first, second = sorted(group[row] for row in rows)
            pairs.append(ImageCaptions(first, tuple(by_image[first]), tuple(by_image[second])))
    return sorted(pairs)


def _match(vectors: Array) -> list[tuple[int, int]]:
    """Rows in pairs, in ``ROUNDS`` rounds of mutually nearest ones among those that are left."""
    left = np.arange(len(vectors))
    pairs: list[tuple[int, int]] = []
    for _ in range(ROUNDS):
        if len(left) < 2:
            break
        nearest = _nearest_other(vectors[left])
        one = np.flatnonzero((nearest[nearest] == np.arange(len(left))) & (np.arange(len(left)) < nearest))
        pairs += zip(left[one].tolist(), left[nearest[one]].tolist(), strict=True)
        if not len(one):  # rounding broke a tie both ways
            break
        left = np.delete(left, np.concatenate([one, nearest[one]]))
    return pairs


def _nearest_other(vectors: Array) -> Array:
    """(N,) for every row the row of the highest cosine, not itself; the first among equals."""
    nearest = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), _BLOCK):
        cosine = vectors[start : start + _BLOCK] @ vectors.T
        rows = np.arange(len(cosine))
        cosine[rows, start + rows] = -np.inf
        nearest[start : start + _BLOCK] = cosine.argmax(1)
    return nearest


def _image_vectors(images: Sequence[str], cells: Mapping[str, Array]) -> Array:
    """(N, D) float32 of unit length."""
    missing = next((image for image in images if image not in cells), None)
    if missing is not None:
        raise DataError(f"image '{missing}' has no embedding", hint="embed this split first (stage 5)")
    means = np.stack([cells[image].mean(0, dtype=np.float64) for image in images])
    means -= means.mean(0)
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return (means / np.maximum(norms, np.finfo(np.float32).tiny)).astype(np.float32)
