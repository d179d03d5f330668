"""The two-dimensional peak detector: cells of a similarity that stand out in their row, their column and around them.

Captions are short, so that handling one costs more than computing on it. Smoothing and maxima run on one map at a time,
which fits into the processor's nearest memory; all that follows runs on the candidates of many maps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class CellOptions:
    """Which cells are peaks."""

    relative: float
    """A peak is at least this fraction of its map's maximum ..."""
    deviations: float
    """... and this many standard deviations above the map's mean, and above 0."""
    per_pair: int
    """At most this many a map, the highest."""
    extent: float
    """A peak's interval reaches as far as the similarity stays above this fraction of the peak."""


class Found(NamedTuple):
    """Peaks of many maps, by map, then by frame a.

    Attributes:
        maps: (N,) int64, which map.
        frames_a, frames_b: (N, 3) the peak, and start and end of its interval in fractions of a frame.
        scores: (N,) float32.
    """

    maps: Array
    frames_a: Array
    frames_b: Array
    scores: Array


class _Cells(NamedTuple):
    """Candidates of many maps. ``starts``, ``heights``, ``widths``: (N,) where each one's map begins in a flat array of
    all maps, and its size; ``rows``, ``columns``: (N,) in the map."""

    maps: Array
    starts: Array
    heights: Array
    widths: Array
    rows: Array
    columns: Array

    def take(self, keep: Array) -> _Cells:
        return _Cells(*(column[keep] for column in self))

    def at(self, rows: Array, columns: Array) -> Array:
        """Places in the flat array of cells of each one's map; what lies outside of the map moves to its edge."""
        rows = np.minimum(np.maximum(rows, 0), self.heights - 1)
        columns = np.minimum(np.maximum(columns, 0), self.widths - 1)
        places: Array = self.starts + rows * self.widths + columns
        return places


def pick_peaks(maps: Sequence[Array], options: CellOptions) -> Found:
    """Cells of the smoothed similarity that are the maximum of their row, their column and their 3 x 3 neighbourhood.

    Args:
        maps: (Ta, Tb) float32 each, responses to unrelated captions subtracted.
        options: thresholds.
    """
    sizes = np.array([similarity.size for similarity in maps], np.int64)
    starts = np.cumsum(sizes) - sizes
    flat = np.empty(int(sizes.sum()), np.float32)
    parts, floors = [], np.empty(len(maps), np.float32)
    for i, similarity in enumerate(maps):
        smoothed = flat[starts[i] : starts[i] + sizes[i]].reshape(similarity.shape)
        smooth(similarity, smoothed)
        rows, columns, floors[i] = _candidates(smoothed, options)
        parts.append((rows, columns))
    counts = [len(rows) for rows, _ in parts]
    shapes = np.array([similarity.shape for similarity in maps], np.int64).reshape(-1, 2)
    number = np.repeat(np.arange(len(maps)), counts)
    places = [np.concatenate([part[k] for part in parts]) if parts else np.zeros(0, np.int64) for k in (0, 1)]
    cells = _Cells(number, starts[number], *shapes[number].T, *places)
    scores = flat[cells.at(cells.rows, cells.columns)]
    keep = np.flatnonzero((scores >= floors[cells.maps]) & (scores > 0))
    cells, scores = cells.take(keep), scores[keep]
    keep = np.flatnonzero(scores >= _diagonal_maximum(flat, cells))
    cells, scores = cells.take(keep), scores[keep]
    keep = highest(cells.maps, cells.rows, cells.columns, scores, options.per_pair)
    cells, scores = cells.take(keep), scores[keep]
    return Found(cells.maps, *_intervals(flat, cells, options.extent * scores), scores)


def smooth(similarity: Array, out: Array | None = None) -> Array:
    """3 x 3 smoothing with weights [.25 .5 .25] along both axes; edges repeat.

    Args:
        similarity: (Ta, Tb) float32.
        out: where the result goes; by default a new array.
    """
    out = np.empty_like(similarity) if out is None else out
    quarter = 0.25 * similarity
    np.multiply(similarity, 0.5, out=out)
    out[1:] += quarter[:-1]
    out[0] += quarter[0]
    out[:-1] += quarter[1:]
    out[-1] += quarter[-1]
    np.multiply(out, 0.25, out=quarter)
    out *= 0.5
    out[:, 1:] += quarter[:, :-1]
    out[:, 0] += quarter[:, 0]
    out[:, :-1] += quarter[:, 1:]
    out[:, -1] += quarter[:, -1]
    return out


def _candidates(smoothed: Array, options: CellOptions) -> tuple[Array, Array, float]:
    """Rows and columns of the cells that are the first maximum of both, and the score that a peak must have."""
    row_best = smoothed.argmax(1)
    rows = np.arange(len(row_best))
    rows = rows[smoothed.argmax(0)[row_best] == rows]
    mean = smoothed.mean()
    flat = smoothed.reshape(-1) - mean
    deviation = np.sqrt(np.dot(flat, flat) / len(flat))
    return rows, row_best[rows], max(options.relative * smoothed.max(), mean + options.deviations * deviation)


def _diagonal_maximum(flat: Array, cells: _Cells) -> Array:
    """(N,) maximum of the four cells across the corners; those in its row and column are no higher anyway."""
    best = np.full(len(cells.rows), -np.inf, np.float32)
    for down in (-1, 1):
        for right in (-1, 1):
            np.maximum(best, flat[cells.at(cells.rows + down, cells.columns + right)], out=best)
    return best


def highest(maps: Array, rows: Array, columns: Array, scores: Array, count: int) -> Array:
    """Which peaks are among the ``count`` highest of their map, in the order in which they were.

    Args:
        maps: (N,) the map of each, in rising order.
        rows, columns, scores: (N,); equal scores are taken by row, then by column.
        count: for each map.
    """
    order = np.lexsort((columns, rows, -scores, maps))
    place = np.arange(len(maps)) - np.searchsorted(maps, maps)  # of the sorted ones within their map
    return np.sort(order[place < count])


def _intervals(flat: Array, cells: _Cells, level: Array) -> tuple[Array, Array]:
    """(N, 3) peaks, starts and ends along either axis."""
    down = np.arange(int(cells.heights.max(initial=0)))[:, None]
    right = np.arange(int(cells.widths.max(initial=0)))[:, None]
    frames_a = extents(flat[cells.at(down, cells.columns)], cells.rows, level, cells.heights)
    return frames_a, extents(flat[cells.at(cells.rows, right)], cells.columns, level, cells.widths)


def extents(profiles: Array, at: Array, level: Array, lengths: Array | None = None) -> Array:
    """(N, 3) peak, start and end of the run around it whose profile stays at or above ``level``.

    Frame t is at t, and reaches from t - 0.5 to t + 0.5. Between the last frame above and the first one below, the profile
    is taken to be a straight line, which gives ends finer than a frame; at the ends of the caption there is none below.

    Args:
        profiles: (T, N) similarity over time, one column a peak.
        at: (N,) frame of each peak.
        level: (N,) lowest similarity that still belongs to it.
        lengths: (N,) frames of each profile, what follows does not count; by default T.
    """
    lengths = np.full(len(at), len(profiles)) if lengths is None else lengths
    time = np.arange(len(profiles))[:, None]
    below = (profiles < level) & (time < lengths)
    first = np.where(below & (time < at), time, -1).max(0, initial=-1) + 1
    last = np.where(below & (time > at), time, lengths).min(0, initial=len(profiles)) - 1
    start = first - _share_above(profiles, first, np.maximum(first - 1, 0), level)
    end = last + _share_above(profiles, last, np.minimum(last + 1, lengths - 1), level)
    return np.stack([at, start, end], axis=1)


def _share_above(profiles: Array, inner: Array, outer: Array, level: Array) -> Array:
    """(N,) how far the profile stays above ``level`` on its way from frame ``inner`` to its neighbour ``outer``."""
    peak = np.arange(len(inner))
    inside, outside = profiles[inner, peak], profiles[outer, peak]
    known = inside > outside
    return np.where(known, (inside - level) / np.where(known, inside - outside, 1.0), 0.5)
