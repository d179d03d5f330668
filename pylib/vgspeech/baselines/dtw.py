"""Dynamic time warping between the log-mel features of two captions.

It tells what the sound alone says about two captions of one image in two languages: nearly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MEL_FRAMES_A_STEP = 4
DTW_BLOCK = 64
"""Targets compared with a query at once: larger blocks leave the cache."""


def dtw_features(mel: np.ndarray, step: int = MEL_FRAMES_A_STEP) -> np.ndarray:
    """Log-mel features made ready for DTW: normalised per bin and utterance, ``step`` frames averaged, unit rows.

    Args:
        mel: log-mel energies (T, bins).
        step: frames averaged into one; a remainder shorter than that is averaged alone.

    Returns:
        (ceil(T / step), bins) float32, rows of length 1.
    """
    mel = np.asarray(mel, np.float32)
    mel = (mel - mel.mean(axis=0)) / (mel.std(axis=0) + 1e-5)
    starts = np.arange(0, len(mel), step)
    counts = np.diff(np.append(starts, len(mel)))
    mean = np.add.reduceat(mel, starts, axis=0) / counts[:, None]
    return mean / (np.linalg.norm(mean, axis=1, keepdims=True) + 1e-8)


def dtw_costs(queries: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> np.ndarray:
    """Cost of the best warping path between every query and every target, divided by the sum of both lengths.

    Local cost is one minus the cosine; steps are right, down and diagonal, the diagonal counted twice, which makes
    every path of a pair equally long and the division fair (symmetric form, P = 0, of Sakoe & Chiba 1978). A query is
    compared with a block of targets at once, one anti-diagonal after the other.

    Args:
        queries: arrays (T, bins) with unit rows.
        targets: the same; sorted by length internally, so that blocks hold little padding.

    Returns:
        (queries, targets) float32; 0 for identical sequences.
    """
    costs = np.empty((len(queries), len(targets)), np.float32)
    order = np.argsort([len(target) for target in targets], kind="stable")
    for start in range(0, len(order), DTW_BLOCK):
        members = order[start : start + DTW_BLOCK]
        lengths = np.array([len(targets[m]) for m in members])
        block = np.zeros((lengths.max(), queries[0].shape[1], len(members)), np.float32)
        for column, member in enumerate(members):
            block[: lengths[column], :, column] = targets[member]
        for row, query in enumerate(queries):
            costs[row, members] = _block_costs(query, block, lengths)
    return costs


def _block_costs(query: np.ndarray, block: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Normalised path costs of one query (Tq, bins) against padded targets (Tt, bins, N) with their lengths (N,)."""
    rows, (columns, _, count) = len(query), block.shape
    # local[d, i] holds cell (i, d - i), so that an anti-diagonal d is contiguous; cells outside the rectangle cost inf.
    local = np.full((rows + columns - 1, rows, count), np.inf, np.float32)
    by_row = np.lib.stride_tricks.as_strided(
        local, (columns, rows, count), (local.strides[0], local.strides[0] + local.strides[1], local.strides[2])
    )
    np.subtract(1, np.matmul(query, block), out=by_row)
    result = np.empty(count, np.float32)
    last = np.full((rows + 1, count), np.inf, np.float32)  # anti-diagonal d - 1, shifted by one row of padding
    before = last.copy()  # d - 2
    spare = last.copy()
    last[1] = local[0, 0] * 2  # the path starts with a diagonal step, which counts twice
    for d in range(len(local)):
        if d:
            step = local[d]
            best = np.minimum(last[1:], last[:-1])
            diagonal = np.add(before[:-1], step, out=spare[1:])
            np.minimum(best, diagonal, out=best)
            np.add(best, step, out=spare[1:])
            before, last, spare = last, spare, before
        ends = np.flatnonzero(lengths == d - rows + 2)
        result[ends] = last[rows, ends]
    return result / (rows + lengths)
