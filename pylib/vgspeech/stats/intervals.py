"""Bootstrap intervals. Whole images are drawn, not queries: several captions of one image are not independent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def resampled_ratios(sums: FloatArray, counts: FloatArray, *, draws: int = 1000, seed: int = 0) -> FloatArray:
    """Means over queries when groups of queries are drawn with replacement (cluster bootstrap).

    Args:
        sums: (S, G) per statistic and group, the sum of a value over the group's queries.
        counts: (S, G) the number of those queries; 0 where a group has none.
        draws: how many times to draw G groups.
        seed: of the drawing; the same seed gives the same draws for all statistics, so that they stay paired.

    Returns:
        (draws, S) ratios sum / count of each draw; draws without any query repeat the ratio of all groups.
    """
    generator = np.random.default_rng(seed)
    n_groups = sums.shape[1]
    overall = sums.sum(1) / counts.sum(1)
    ratios = np.empty((draws, sums.shape[0]))
    for draw in range(draws):
        times_drawn = np.bincount(generator.integers(n_groups, size=n_groups), minlength=n_groups)
        total = counts @ times_drawn
        ratios[draw] = np.where(total > 0, (sums @ times_drawn) / np.maximum(total, 1), overall)
    return ratios


def percentile_interval(values: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """The central interval that holds ``level`` of the resampled values (percentile bootstrap)."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
