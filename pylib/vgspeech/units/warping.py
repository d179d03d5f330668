"""Distances between many short sequences at once: dynamic time warping of frames, Levenshtein distance of codes.

Pairs of about the same size are put side by side and all of them advance by one cell at a time, so that numpy works on
thousands of pairs in each step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from vgspeech.errors import UsageError
from vgspeech.stats.kmeans import unit_rows

Array = np.ndarray[Any, np.dtype[Any]]

Metric = Literal["angular", "euclidean", "kl", "levenshtein"]
METRICS: tuple[Metric, ...] = ("angular", "euclidean", "kl", "levenshtein")

_BATCH_PAIRS = 4096
"""Pairs that advance together: a cell's vectors then stay in the cache."""
_LOCAL_LIMIT = 1 << 24
"""Frame products held at once."""
_SIZE_STEP = 2
"""Lengths are padded to a multiple of this, so that there are few kinds of pair."""
_KL_FLOOR = 1e-6
_ROWS = 64
"""Rows of float64 products held at once."""


def prepared(frames: Array, metric: Metric) -> Array:
    """Frames (T, D), or codes (T,), as `frame_products` takes them.

    Raises:
        UsageError: ``kl`` is asked of what are no probabilities.
    """
    if metric == "levenshtein":
        return frames.astype(np.int64)
    if metric == "angular":
        return unit_rows(frames.astype(np.float32))
    if metric == "kl" and (frames.min(initial=0) < 0 or np.abs(frames.sum(1) - 1).max(initial=0) > 1e-3):
        raise UsageError("the KL distance needs frames that are probabilities (each sums to 1)", hint="use angular")
    return frames.astype(np.float64)


def frame_products(x: Array, y: Array, metric: Metric) -> Array:
    """(N, M) float32, what `to_distances` turns into distances of prepared frames.

    Euclidean and KL distances need float64 for their differences of large numbers. They are finished here, where each pair of
    frames is met once: on the cells of all pairs of sounds, several times as many, float64 would cost more than warping.
    """
    if metric == "levenshtein":
        return (x[:, None] != y[None]).astype(np.float32)
    if metric == "angular":
        return x @ y.T
    if metric == "euclidean":
        left = np.column_stack([-2 * x, (x * x).sum(1), np.ones(len(x))])
        return _products(left, np.column_stack([y, np.ones(len(y)), (y * y).sum(1)]), root=True)
    log_x, log_y = (np.log(values + _KL_FLOOR) for values in (x, y))
    left = 0.5 * np.column_stack([-x, -log_x, (x * log_x).sum(1), np.ones(len(x))])
    return _products(left, np.column_stack([log_y, y, np.ones(len(y)), (y * log_y).sum(1)]), root=False)


def _products(left: Array, right: Array, root: bool) -> Array:
    """(N, M) float32 products of float64 rows, or the roots of those above 0; a few rows at a time stay in the cache."""
    out = np.empty((len(left), len(right)), np.float32)
    for start in range(0, len(left), _ROWS):
        block = left[start : start + _ROWS] @ right.T
        if root:
            np.sqrt(np.maximum(block, 0, out=block), out=block)
        out[start : start + _ROWS] = block
    return out


def to_distances(products: Array, metric: Metric) -> Array:
    """Float32 distances from `frame_products`, any shape.

    Angular: the angle over pi (0 to 1; 0.5 to a frame of zeros). KL: the mean of both directions, in nats, after adding
    1e-6. Levenshtein: 1 for different codes.
    """
    if metric == "angular":
        np.minimum(products, 1, out=products)
        np.maximum(products, -1, out=products)
        return np.arccos(products, out=products) / np.float32(np.pi)
    return products


def dtw(local: Array, rows: Array, columns: Array) -> Array:
    """Mean cost along the best warping path of every pair.

    Steps are right, down and diagonal, each counted once; the cost is divided by the number of cells on the path. Among
    equally cheap steps the path goes back diagonally, else to the left: the convention of the ZeroSpeech tools.

    Args:
        local: (n, m, P) float32 frame distances of P pairs, with anything as padding.
        rows, columns: (P,) lengths, at least 1.

    Returns:
        (P,) float32.
    """
    n, m, count = local.shape
    previous, cost = np.full((2, m + 1, count), np.inf, np.float32)
    before, steps = np.zeros((2, m + 1, count), np.float32)
    result = np.empty(count, np.float32)
    ends = _Ends(rows, columns)
    for i in range(n):
        cost[0], previous[0] = np.inf, np.inf
        for j in range(m):
            if i or j:
                up, left, diagonal = previous[j + 1], cost[j], previous[j]
                side = np.minimum(left, up)
                side_steps = np.where(left <= up, steps[j], before[j + 1])
                np.add(np.minimum(side, diagonal), local[i, j], out=cost[j + 1])
                np.add(np.where(diagonal <= side, before[j], side_steps), 1, out=steps[j + 1])
            else:
                cost[1], steps[1] = local[0, 0], 1
            here = ends.at(i, j)
            if here is not None:
                result[here] = cost[j + 1, here] / steps[j + 1, here]
        previous, cost, before, steps = cost, previous, steps, before
    return result


def levenshtein(local: Array, rows: Array, columns: Array) -> Array:
    """Edits that turn one sequence into the other, over the longer length (0 to 1), of every pair.

    Args and returns: as `dtw`; ``local`` is 1 where codes differ.
    """
    n, m, count = local.shape
    previous = np.repeat(np.arange(m + 1, dtype=np.float32)[:, None], count, 1)
    cost = previous.copy()
    result = np.empty(count, np.float32)
    ends = _Ends(rows, columns)
    for i in range(n):
        cost[0] = i + 1
        for j in range(m):
            edit = np.minimum(previous[j + 1], cost[j]) + 1
            np.minimum(edit, previous[j] + local[i, j], out=cost[j + 1])
            here = ends.at(i, j)
            if here is not None:
                result[here] = cost[j + 1, here]
        previous, cost = cost, previous
    return result / np.maximum(rows, columns)


class _Ends:
    """Which pairs end in which cell."""

    def __init__(self, rows: Array, columns: Array) -> None:
        self._places = {
            (i - 1, j - 1): np.flatnonzero((rows == i) & (columns == j))
            for i, j in set(zip(rows.tolist(), columns.tolist(), strict=True))
        }

    def at(self, i: int, j: int) -> Array | None:
        return self._places.get((i, j))


class PairDistances:
    """Fills distance matrices of groups of tokens; pairs of all groups share the batches.

    Example::

        pairs = PairDistances("angular")
        matrix = pairs.add(tokens, wanted)
        pairs.finish()  # only now matrix is filled
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._run: Callable[[Array, Array, Array], Array] = levenshtein if metric == "levenshtein" else dtw
        self._waiting: dict[tuple[int, int], list[tuple[Array, Array, Array, Array, Array, Array]]] = {}
        self._counts: dict[tuple[int, int], int] = {}

    def add(self, tokens: Sequence[Array], wanted: Array) -> Array:
        """The (N, N) float32 matrix of a group, symmetric, filled later (see the class).

        Args:
            tokens: N prepared sequences, none empty.
            wanted: (N, N) bool, the pairs to compute, in either order.
        """
        matrix = np.zeros((len(tokens), len(tokens)), np.float32)
        lengths = np.array([len(token) for token in tokens])
        starts = np.cumsum(lengths) - lengths
        frames = np.concatenate(tokens)
        first, second = np.nonzero(np.triu(wanted | wanted.T, 1))
        block = max(1, _LOCAL_LIMIT // max(len(frames) * int(lengths.max()), 1))
        for begin in range(0, len(tokens), block):
            inside = (first >= begin) & (first < begin + block)
            if inside.any():
                rows = slice(starts[begin], starts[begin] + lengths[begin : begin + block].sum())
                local = frame_products(frames[rows], frames, self._metric)
                a, b = first[inside], second[inside]
                self._sort_in(local, starts[a] - starts[begin], starts[b], lengths[a], lengths[b], (matrix, a, b))
        return matrix

    def _sort_in(
        self, local: Array, top: Array, left: Array, rows: Array, columns: Array, to: tuple[Array, Array, Array]
    ) -> None:
        """Cut the pairs' parts out of the frame products and put each to those of its size."""
        height, width = (_SIZE_STEP * -(-sizes // _SIZE_STEP) for sizes in (rows, columns))
        matrix, a, b = to
        flat, stride = local.reshape(-1), local.shape[1]
        order = np.lexsort((width, height))
        kinds, begins = np.unique(np.stack([height, width])[:, order], axis=1, return_index=True)
        for (n, m), group in zip(kinds.T.tolist(), np.split(order, begins[1:]), strict=True):
            r = np.minimum(np.arange(n)[:, None], rows[group] - 1) + top[group]
            c = np.minimum(np.arange(m)[:, None], columns[group] - 1) + left[group]
            cut = flat[r[:, None] * stride + c[None]]
            self._waiting.setdefault((n, m), []).append((cut, rows[group], columns[group], matrix, a[group], b[group]))
            self._counts[n, m] = self._counts.get((n, m), 0) + len(group)
            if self._counts[n, m] >= _BATCH_PAIRS:
                self._flush((n, m))

    def _flush(self, kind: tuple[int, int]) -> None:
        held = self._waiting.pop(kind)
        self._counts[kind] = 0
        local, rows, columns = (np.concatenate([part[i] for part in held], axis=-1) for i in range(3))
        local = to_distances(local, self._metric)
        parts = [
            self._run(*(values[..., begin : begin + _BATCH_PAIRS] for values in (local, rows, columns)))
            for begin in range(0, len(rows), _BATCH_PAIRS)
        ]
        distances, done = np.concatenate(parts), 0
        for *_, matrix, a, b in held:
            matrix[a, b] = matrix[b, a] = distances[done : done + len(a)]
            done += len(a)

    def finish(self) -> None:
        """Compute what is left."""
        for kind in list(self._waiting):
            self._flush(kind)
