"""Links: which cluster of one language goes with which of the other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from vgspeech.lexicon.clusters import Clusters

Array = np.ndarray[Any, np.dtype[Any]]
LinkScore = Literal["dice", "cosine", "product"]


@dataclass
class Links:
    """Linked clusters, best first.

    Attributes:
        a, b: (L,) int64 cluster ids of the two languages.
        scores, cosine, dice: (L,) float64; ``scores`` is the one that links were chosen by.
        n_ab: (L,) int64 peaks that join the two clusters.
    """

    a: Array
    b: Array
    scores: Array
    cosine: Array
    dice: Array
    n_ab: Array

    def __len__(self) -> int:
        return len(self.a)

    def at(self, rows: Array) -> Links:
        """The links of the given rows, in their order."""
        return Links(*(getattr(self, column.name)[rows] for column in fields(self)))


def co_occurrence(clusters_a: Clusters, clusters_b: Clusters) -> Array:
    """(Ka, Kb) int64 peaks whose two sides lie in the two clusters."""
    both = (clusters_a.labels >= 0) & (clusters_b.labels >= 0)
    shape = (len(clusters_a), len(clusters_b))
    cells = clusters_a.labels[both] * shape[1] + clusters_b.labels[both]
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)


def link_scores(clusters_a: Clusters, clusters_b: Clusters, by: LinkScore) -> dict[str, Array]:
    """(Ka, Kb) float64 ``cosine``, ``dice`` and, under ``by``, what links are chosen by."""
    counts = co_occurrence(clusters_a, clusters_b)
    # counts.size == 0: no peaks at all leave centroids without a dimension
    cosine = clusters_a.centroids @ clusters_b.centroids.T if counts.size else np.zeros(counts.shape)
    cosine = cosine.astype(np.float64)
    dice = 2.0 * counts / (clusters_a.sizes[:, None] + clusters_b.sizes)
    found = {"dice": dice, "cosine": cosine}
    return {**found, by: cosine * dice if by == "product" else found[by]}


def link_clusters(clusters_a: Clusters, clusters_b: Clusters, by: LinkScore = "dice", best: int = 1) -> Links:
    """Pairs of clusters that are each other's best ("competitive linking"), sorted by score, then count, then ids.

    With ``best`` above 1 a cluster may have several partners: a pair is linked when each is among the other's ``best``.

    Args:
        clusters_a, clusters_b: of the two languages, over the same peaks.
        by: ``cosine`` of the centroids (Azuh, Harwath & Glass 2019), ``dice`` = 2 N / (n_a + n_b) of the peaks that
            they share, or their ``product``.
        best: partners that a cluster may have.
    """
    counts = co_occurrence(clusters_a, clusters_b)
    tables = link_scores(clusters_a, clusters_b, by)
    scores, cosine, dice = tables[by], tables["cosine"], tables["dice"]
    a, b = mutual_best(scores, counts, best)
    order = np.lexsort((b, a, -counts[a, b], -scores[a, b]))
    a, b = a[order], b[order]
    return Links(a, b, scores[a, b], cosine[a, b], dice[a, b], counts[a, b])


def mutual_best(scores: Array, counts: Array, best: int) -> tuple[Array, Array]:
    """Cells among the first ``best`` of their row and of their column, by (score, count, lowest ids); scores above 0
    only."""
    if not scores.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort((-counts.ravel(), -scores.ravel()))  # stable: lowest ids first among equals
    rank = np.empty(scores.size, np.int64)
    rank[order] = np.arange(scores.size)
    rank = rank.reshape(scores.shape)
    in_row, in_column = rank.argsort(1).argsort(1), rank.argsort(0).argsort(0)
    a, b = np.nonzero((in_row < best) & (in_column < best) & (scores > 0))
    return a, b
