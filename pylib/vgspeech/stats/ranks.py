"""From ranks to retrieval scores: recall at k, median and mean rank, reciprocal rank, and what chance would give."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

RECALL_AT = (1, 5, 10)


@dataclass(frozen=True)
class RankSummary:
    """Scores of a list of ranks; recalls and mrr lie in 0 to 1, ranks start at 1."""

    r1: float
    r5: float
    r10: float
    median: float
    mean: float
    mrr: float

    def scores(self) -> dict[str, float]:
        """The six scores by name, also where a subclass adds more fields."""
        return {field.name: getattr(self, field.name) for field in fields(RankSummary)}

    def beside(self, chance: RankSummary) -> dict[str, float]:
        """The scores, then those of chance as ``chance_r1`` and so on: how results are written."""
        return {**self.scores(), **{f"chance_{name}": value for name, value in chance.scores().items()}}


def summarise_ranks(ranks: npt.NDArray[np.int64]) -> RankSummary:
    """Recall at 1, 5 and 10, median and mean rank, and mean reciprocal rank.

    Args:
        ranks: (Q,) whole numbers >= 1, one a query.

    Raises:
        ValueError: no rank at all, or one below 1.
    """
    if ranks.size == 0 or ranks.min() < 1:
        raise ValueError("ranks start at 1, and at least one is needed")
    r1, r5, r10 = (float(np.mean(ranks <= k)) for k in RECALL_AT)
    return RankSummary(r1, r5, r10, float(np.median(ranks)), float(ranks.mean()), float(np.mean(1.0 / ranks)))


def chance_summary(n_correct: npt.NDArray[np.int64], n_targets: int) -> RankSummary:
    """Expected scores when every query's targets are put into random order.

    With m right ones among n targets, the best of them ranks below k with probability C(n - m, k) / C(n, k): none of the
    first k is right. Right ones do not compete with each other, so the place of the best is also its rank.

    Args:
        n_correct: (Q,) number of right targets of each query, from 1 to ``n_targets``.
        n_targets: number of targets that every query is compared with.

    Returns:
        Expectations; ``median`` is the smallest k with at least half of the queries expected at rank k or better.
    """
    counts, queries = np.unique(n_correct, return_counts=True)
    if counts.size == 0 or counts[0] < 1 or counts[-1] > n_targets:
        raise ValueError("every query needs between 1 and n_targets right targets")
    places = np.arange(n_targets)
    beyond = np.zeros(n_targets + 1)  # beyond[k]: expected share of queries with a rank above k
    for count, weight in zip(counts, queries / queries.sum(), strict=True):
        still_wrong = np.clip(1.0 - count / (n_targets - places), 0.0, None)
        beyond += weight * np.concatenate([[1.0], np.cumprod(still_wrong)])
    at_rank = beyond[:-1] - beyond[1:]
    r1, r5, r10 = (float(1.0 - beyond[min(k, n_targets)]) for k in RECALL_AT)
    median = float(np.argmax(beyond <= 0.5 + 1e-12))
    return RankSummary(r1, r5, r10, median, float(beyond.sum()), float(np.sum(at_rank / (places + 1))))
