"""Scores of all items of an index for one query, each with a bound on its error; and which items may be among the best.

The index holds vectors in half precision, so a score may be off. By how much is known: a unit vector of D numbers moves by
at most ``half_error(D)`` when it is rounded, and so does its dot product with another unit vector (Cauchy-Schwarz); a
maximum of dot products moves by no more than the largest of them, a mean by no more than their mean. An item whose
highest possible score lies below the lowest possible ones of ``count`` others is out; the few that are left are scored
exactly from the embeddings themselves, so the answer is that of a search without an index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from vgspeech.config import SimilarityConfig
from vgspeech.screening import Listed, rough_misa
from vgspeech.search.index import CaptionSide, Side
from vgspeech.similarity import caption_caption_matrix

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_NUMBERS = 1 << 24
"""Numbers of the index that are worked on at once (64 MiB in single precision)."""
_DOTS = 1 << 23
_FLOAT32 = 1e-5
"""More than single precision can add to a score of unit vectors."""


class Bounds(NamedTuple):
    """The lowest and highest score (I,) that each item may have."""

    low: Array
    high: Array


def half_error(dim: int) -> float:
    """How far the dot product of two unit vectors moves when one of them is rounded to half precision.

    Numbers move by a 2^-11th of themselves or, very small ones, by 2^-25; a sum of products in single precision adds to it.
    """
    return 1.01 * (2.0**-11 + dim**0.5 * 2.0**-25 + dim * 2.0**-24)


def contenders(bounds: Bounds, allowed: Array, count: int) -> Array:
    """Numbers of the items that may be among the best ``count``, in order.

    Args:
        bounds: of all items.
        allowed: (I,) bool; others take no part.
        count: how many are wanted.
    """
    places = np.flatnonzero(allowed)
    if len(places) <= count:
        return places
    least = np.partition(bounds.low[places], len(places) - count)[len(places) - count]
    chosen: Array = places[bounds.high[places] >= least]
    return chosen


def pooled_bounds(side: Side, vector: Array, config: SimilarityConfig) -> Bounds:
    """Scores by mean vectors (SISA, and two captions or two images): in double precision, so they are exact.

    Args:
        side: the items.
        vector: (D,) mean of the query's vectors.
        config: whether vectors are normalised.
    """
    query = torch.from_numpy(vector).double()[None]
    step = max(1, _BLOCK_NUMBERS // len(vector))
    parts = [
        caption_caption_matrix(torch.from_numpy(side.pooled[a : a + step]).double(), query, config)[:, 0]
        .float()
        .numpy()
        for a in range(0, len(side), step)
    ]
    scores = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return Bounds(scores, scores)


def best_of_query(side: Side, vectors: Array, normalise: bool) -> Bounds:
    """Mean over an item's vectors of the best of the query's: MISA of captions and a shown image.

    Args:
        side: the items.
        vectors: (Q, D) of the query.
        normalise: compare unit vectors.
    """
    query = _query(vectors, normalise)
    error = half_error(query.shape[1]) * float(query.norm(dim=1).max())
    lows, highs = [], []
    for first, last, unit, norms in _blocks(side):
        lengths = torch.from_numpy(np.diff(side.starts[first : last + 1]))
        listed = Listed(unit if normalise else unit * norms[:, None], lengths)
        scores, more = (x[:, 0] for x in rough_misa(query[None], listed, torch.float32, _DOTS))
        more = more + error * (1.0 if normalise else listed.mean(norms))
        lows.append((scores - more).numpy())
        highs.append((scores + more).numpy())
    return _joined(lows, highs)


def best_of_item(side: Side, vectors: Array, normalise: bool) -> Bounds:
    """Mean over the query's vectors of the best of an item's: MISA of images and a recording, SIMA of captions and an image.

    Args: as of `best_of_query`.
    """
    query = _query(vectors, normalise)
    error = (half_error(query.shape[1]) + _FLOAT32) * float(query.norm(dim=1).mean())
    lows, highs = [], []
    for first, last, unit, norms in _blocks(side):
        dots = unit @ query.t()
        if not normalise:
            dots *= norms[:, None]
        starts = side.starts[first:last] - side.starts[first]
        scores = np.maximum.reduceat(dots.numpy(), starts).mean(1)
        largest = 1.0 if normalise else np.maximum.reduceat(norms.numpy(), starts)
        lows.append(scores - error * largest)
        highs.append(scores + error * largest)
    return _joined(lows, highs)


def word_bounds(side: CaptionSide, word: Array, language: str) -> Bounds:
    """How well each caption answers to a recorded word, as `search_captions` scores it.

    Args:
        side: the captions.
        word: (D,) unit vector of the word (`query_vectors`).
        language: that the word was recorded in.
    """
    query, offset = torch.from_numpy(np.ascontiguousarray(word, np.float32)), float(side.mean @ word)
    relative = half_error(len(word))
    usual = side.usual(language)
    lows, highs = [], []
    for first, last, unit, norms in _blocks(side):
        at = slice(int(side.starts[first]), int(side.starts[last]))
        starts = side.starts[first:last] - at.start
        spoken, window = side.answers[at, 0], side.answers[at, 1]
        lengths = norms.numpy()
        answer = spoken * (lengths * (unit @ query).numpy() - offset)
        error = spoken * (lengths * relative + _FLOAT32 * (lengths + abs(offset)))
        profile = window * _with_neighbours(answer, starts) - usual[at]
        error = window * _with_neighbours(error, starts) + _FLOAT32
        lows.append(np.maximum.reduceat(profile - error, starts))
        highs.append(np.maximum.reduceat(profile + error, starts))
    return _joined(lows, highs)


def _with_neighbours(values: Array, starts: Array) -> Array:
    """Sums of each frame's number and its two neighbours'; the first and last of a caption count twice (`windowed`)."""
    before, after = np.roll(values, 1), np.roll(values, -1)
    ends = np.append(starts[1:], len(values)) - 1
    before[starts], after[ends] = values[starts], values[ends]
    summed: Array = values + before + after
    return summed


def _query(vectors: Array, normalise: bool) -> torch.Tensor:
    query = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    return torch.nn.functional.normalize(query, dim=1) if normalise else query


def _blocks(side: Side) -> Iterator[tuple[int, int, torch.Tensor, torch.Tensor]]:
    """Whole items, a block at a time: the first one, the last one plus 1, unit vectors (n, D) float32, lengths (n,)."""
    step = max(1, _BLOCK_NUMBERS // side.unit.shape[1])
    first = 0
    while first < len(side):
        last = max(first + 1, int(np.searchsorted(side.starts, side.starts[first] + step, side="right")) - 1)
        at = slice(int(side.starts[first]), int(side.starts[last]))
        yield first, last, torch.from_numpy(side.unit[at]).float(), torch.from_numpy(side.norms[at])
        first = last


def _joined(lows: list[Array], highs: list[Array]) -> Bounds:
    if not lows:
        return Bounds(np.empty(0), np.empty(0))
    return Bounds(np.concatenate(lows), np.concatenate(highs))
