"""Is one model better than another on the same test set? A paired bootstrap over images.

Both models rank the same queries, so each query gives a difference of its scores. Images are drawn with replacement, with
all their queries in all directions (captions of one image are not independent, nor are the two directions), and the mean
difference of every draw tells how far it would move on another test set of the kind. The p-value is two-sided: how often a
draw lies at least as far from the observed difference as that lies from 0 (Efron & Tibshirani 1993, chapter 16: the draws,
moved so that their mean is 0, stand for what happens when the models are equally good). No draw can make it 0:
p = (1 + such draws) / (1 + draws).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgspeech.errors import DataError
from vgspeech.stats.intervals import percentile_interval, resampled_ratios
from vgspeech.stats.rank_files import RankedQuery, RanksByDirection
from vgspeech.stats.ranks import RECALL_AT

FloatArray = npt.NDArray[np.float64]
SCORES = (*(f"r{k}" for k in RECALL_AT), "mrr")
MEAN = "mean"
"""Name of the mean over all directions, beside those of the directions."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """One score of two models.

    Attributes:
        direction: ``en>image``, or ``mean`` over the directions.
        score: r1, r5, r10 or mrr.
        a, b: the two models' values, 0 to 1.
        interval: 95 % bootstrap interval of a - b.
        p: two-sided.
    """

    direction: str
    score: str
    a: float
    b: float
    interval: tuple[float, float]
    p: float

    @property
    def difference(self) -> float:
        """a - b."""
        return self.a - self.b


def compare_ranks(a: RanksByDirection, b: RanksByDirection, *, draws: int = 10_000, seed: int = 0) -> list[Difference]:
    """Every score of two models on the same queries: the means over directions first, then each direction.

    Args:
        a, b: ranks of the two models. Directions that only one of them has are left out.
        draws, seed: of the bootstrap.

    Raises:
        DataError: the models have no direction in common, or the queries of a direction are not the same.
    """
    directions = [direction for direction in a if direction in b]
    if not directions:
        raise DataError(f"no direction in common: {', '.join(a)} and {', '.join(b)}")
    for direction in directions:
        _refuse_other_queries(direction, a[direction], b[direction])
    images = {image: n for n, image in enumerate(sorted({q.image for d in directions for q in a[d].values()}))}
    values_a, values_b, groups = [], [], []
    for direction in directions:
        queries = a[direction]
        groups.append(np.array([images[query.image] for query in queries.values()]))
        values_a.append(_scores(np.array([query.rank for query in queries.values()])))
        values_b.append(_scores(np.array([b[direction][name].rank for name in queries])))
    means_a, means_b = (np.stack([values.mean(1) for values in side]) for side in (values_a, values_b))
    drawn = _drawn_differences(values_a, values_b, groups, len(images), draws, seed)
    return [
        Difference(name, score, float(of_a[s]), float(of_b[s]), percentile_interval(d[:, s]), p_value(of_a[s] - of_b[s], d[:, s]))
        for name, of_a, of_b, d in (
            (MEAN, means_a.mean(0), means_b.mean(0), drawn.mean(1)),
            *((direction, means_a[i], means_b[i], drawn[:, i]) for i, direction in enumerate(directions)),
        )
        for s, score in enumerate(SCORES)
    ]  # fmt: skip


def p_value(observed: float, drawn: FloatArray) -> float:
    """Two-sided p of a difference, by the rule at the top of this file.

    Args:
        observed: the difference over all images.
        drawn: (draws,) the difference of every draw.
    """
    as_far = np.abs(drawn - observed) >= abs(observed) - _ROUNDING
    return float((1 + as_far.sum()) / (1 + len(drawn)))


def _scores(ranks: npt.NDArray[np.int64]) -> FloatArray:
    """(scores, Q) of every query, in the order of ``SCORES``."""
    return np.stack([*((ranks <= k).astype(float) for k in RECALL_AT), 1.0 / ranks])


def _drawn_differences(
    a: list[FloatArray], b: list[FloatArray], groups: list[npt.NDArray[np.int64]], n_images: int, draws: int, seed: int
) -> FloatArray:
    """(draws, directions, scores) mean differences."""
    sums, counts = [], []
    for of_a, of_b, group in zip(a, b, groups, strict=True):
        for values in of_a - of_b:
            sums.append(np.bincount(group, weights=values, minlength=n_images))
            counts.append(np.bincount(group, minlength=n_images).astype(float))
    drawn = resampled_ratios(np.stack(sums), np.stack(counts), draws=draws, seed=seed)
    return drawn.reshape(draws, len(a), len(SCORES))


def _refuse_other_queries(direction: str, a: Mapping[str, RankedQuery], b: Mapping[str, RankedQuery]) -> None:
    lacking = [(sorted(a.keys() - b.keys()), "first"), (sorted(b.keys() - a.keys()), "second")]
    for names, which in lacking:
        if names:
            what = f"{len(names)} queries of {direction} were put to the {which} model only, such as '{names[0]}'"
            raise DataError(f"the models were not tested on the same queries: {what}")
    moved = next((name for name, query in a.items() if query.image != b[name].image), None)
    if moved is not None:
        what = f"query '{moved}' belongs to image '{a[moved].image}' in one and to '{b[moved].image}' in the other"
        raise DataError(f"the models were not tested on the same images: {what}")
