"""How right a ranked list of links is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vgspeech.stats.intervals import percentile_interval, resampled_ratios

Array = np.ndarray[Any, np.dtype[Any]]


def share_right(flags: Array) -> dict[str, Any]:
    """Right links, all links, precision, and its 95 % interval by the bootstrap over links.

    Args:
        flags: (L,) bool, right links.
    """
    right = {"right": int(flags.sum()), "of": len(flags), "precision": float(flags.mean()) if len(flags) else 0.0}
    if not len(flags):
        return right
    draws = resampled_ratios(flags[None].astype(np.float64), np.ones((1, len(flags))))
    return {**right, "interval": [round(x, 4) for x in percentile_interval(draws[:, 0])]}


def precision_recall(right: Sequence[frozenset[str]], total: int) -> list[dict[str, float | int]]:
    """The curve: precision of the first n links, and the share of concepts among the right ones of them.

    Args:
        right: the concepts that each link gets right, in the order of the list; empty for a wrong link.
        total: concepts that there are.

    Returns:
        One point wherever recall rises, and one for the whole list.
    """
    points: list[dict[str, float | int]] = []
    found: set[str] = set()
    hits = 0
    for n, names in enumerate(right, start=1):
        hits += bool(names)
        if not names <= found or n == len(right):
            found |= names
            recall = len(found) / total if total else 0.0
            points.append({"links": n, "precision": round(hits / n, 4), "recall": round(recall, 4)})
    return points


def mean_reciprocal_rank(scores: Array, right: Array) -> float:
    """Mean over clusters of 1 / the rank of their best right partner, which stands behind all equal ones (pessimistic).

    Args:
        scores: (Ka, Kb) linking scores.
        right: (Ka, Kb) bool. Rows without a right partner take no part.
    """
    rows = np.flatnonzero(right.any(1))
    if not len(rows):
        return 0.0
    best = np.where(right[rows], scores[rows], -np.inf).max(1, keepdims=True)
    ranks = 1 + ((scores[rows] >= best) & ~right[rows]).sum(1)
    return float((1 / ranks).mean())
