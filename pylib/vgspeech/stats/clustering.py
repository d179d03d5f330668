"""How well clusters agree with labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def contingency(clusters: Sequence[int] | Array, labels: Sequence[str]) -> tuple[Array, list[str]]:
    """Counts of every (cluster, label) pair.

    Args:
        clusters: (N,) cluster of every item, 0 or above.
        labels: its label.

    Returns:
        (counts (clusters, labels) int64, the label of every column in C order)
    """
    names = sorted(set(labels))
    column = {name: i for i, name in enumerate(names)}
    columns = np.array([column[label] for label in labels], dtype=np.int64)
    rows = np.asarray(clusters, dtype=np.int64)
    shape = (int(rows.max(initial=-1)) + 1, len(names))
    counts = np.bincount(rows * max(shape[1], 1) + columns, minlength=shape[0] * shape[1])
    return counts.reshape(shape), names


def purity(clusters: Sequence[int] | Array, labels: Sequence[str]) -> float:
    """sum_k max_w n_kw / sum_k n_k: the share of items that carry their cluster's commonest label; 0 without items."""
    counts, _ = contingency(clusters, labels)
    return float(counts.max(1).sum() / counts.sum()) if counts.size else 0.0


def agreement(clusters: Sequence[int] | Array, labels: Sequence[str]) -> dict[str, float]:
    """Purity, NMI and V-measure of clusters against labels.

    NMI is mutual information over the *arithmetic mean* of the two entropies, which equals the V-measure at beta = 1
    (Rosenberg & Hirschberg 2007); homogeneity and completeness are its two halves.

    Returns:
        {"purity", "nmi", "homogeneity", "completeness", "v_measure"}; all 0 without items.
    """
    names = ("purity", "nmi", "homogeneity", "completeness", "v_measure")
    if not len(labels):
        return dict.fromkeys(names, 0.0)
    from sklearn.metrics import homogeneity_completeness_v_measure, normalized_mutual_info_score

    pure = purity(clusters, labels)
    nmi = normalized_mutual_info_score(labels, clusters, average_method="arithmetic")
    values = (pure, nmi, *homogeneity_completeness_v_measure(labels, clusters))
    return dict(zip(names, map(float, values), strict=True))


def information(counts: Array) -> dict[str, float]:
    """Mutual information of clusters and labels over each of the usual normalisers, which give different numbers.

    Args:
        counts: (clusters, labels) of items.

    Returns:
        {"nmi_mean", "nmi_sqrt", "nmi_max"}: I(C;W) over the arithmetic mean, the geometric mean and the larger of the
        two entropies; "nmi_labels": over that of the labels (how much of the label the cluster tells); "purity". 0
        where the normaliser is 0.
    """
    names = ("nmi_mean", "nmi_sqrt", "nmi_max", "nmi_labels", "purity")
    total = counts.sum()
    if not total:
        return dict.fromkeys(names, 0.0)
    h_c, h_w = _entropy(counts.sum(1) / total), _entropy(counts.sum(0) / total)
    shared = max(h_c + h_w - _entropy(counts.reshape(-1) / total), 0.0)
    normalisers = ((h_c + h_w) / 2, np.sqrt(h_c * h_w), max(h_c, h_w), h_w)
    values = [float(shared / n) if n > 0 else 0.0 for n in normalisers]
    return dict(zip(names, [*values, float(counts.max(1).sum() / total)], strict=True))


def _entropy(shares: Array) -> float:
    """In nats."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def majority(clusters: Sequence[int] | Array, labels: Sequence[str], n_clusters: int) -> list[tuple[str, float]]:
    """Every cluster's commonest label and its share of the members; the first in C order among equals.

    Returns:
        ``n_clusters`` pairs (label, share); ("", 0.0) for an empty cluster.
    """
    counts, names = contingency(clusters, labels)
    found = [("", 0.0)] * n_clusters
    for cluster in np.flatnonzero(counts.sum(1)):
        best = int(counts[cluster].argmax())
        found[int(cluster)] = (names[best], float(counts[cluster, best] / counts[cluster].sum()))
    return found
