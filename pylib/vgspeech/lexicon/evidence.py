"""Evidence for a link, counted without the similarity that found the peaks.

Peaks are chosen because the frames of two captions are close, so a table of peaks shows associations even between
captions that have nothing to do with each other. The test here looks at every caption on its own: which clusters of its
language occur in it? Then, over images: do captions with cluster e and captions with cluster h share images beyond
chance? Long captions contain more of everything, and detailed images get long captions in every language, so the 2 x 2
tables are stratified by caption length (Cochran 1954, Mantel & Haenszel 1959). Tables are sparse, so the test is the
exact conditional one: under independence the number of images with both is a sum of hypergeometric variables, one a
stratum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgspeech.lexicon.captions import ImageCaptions, windowed
from vgspeech.lexicon.clusters import Clusters
from vgspeech.stats.kmeans import gathered

Array = np.ndarray[Any, np.dtype[Any]]

MEMBER_QUANTILE = 0.1
"""A cluster occurs where a frame is at least as close to its centroid as this quantile of its own peaks."""
NEVER = 2.0
"""A threshold that no cosine reaches."""
LENGTH_BINS = 4
"""Caption lengths are cut into quartiles in each language: 16 strata."""
_BATCH = 512
"""Tests whose distributions are computed together."""


@dataclass
class Occurrences:
    """What occurs in the captions of each image, in one language.

    Attributes:
        marks: (images, K) bool.
        lengths: (images,) int64 frames of all its captions.
    """

    marks: Array
    lengths: Array


def mark_occurrences(
    captions: Sequence[Sequence[str]], frames: Mapping[str, Array], clusters: Clusters, thresholds: Array
) -> Occurrences:
    """Which clusters occur in which captions; each caption is looked at on its own.

    A cluster occurs where a frame (with its two neighbours, as peaks are embedded) is nearer to its centroid than to
    any other, and at least as near as ``thresholds``.

    Args:
        captions: utterance ids of each image.
        frames: unit-length frame embeddings by utterance id.
        clusters: of the language.
        thresholds: (K,) lowest cosine (``member_thresholds``).
    """
    marks = np.zeros((len(captions), len(clusters)), bool)
    lengths = np.zeros(len(captions), np.int64)
    for i, utts in enumerate(captions):
        for utt in utts:
            matrix = windowed(frames[utt])
            lengths[i] += len(matrix)
            if not len(clusters):
                continue
            cosine = matrix @ clusters.centroids.T
            nearest = cosine.argmax(1)
            close = cosine[np.arange(len(nearest)), nearest] >= thresholds[nearest]
            marks[i, nearest[close]] = True
    return Occurrences(marks, lengths)


def member_thresholds(vectors: Array, clusters: Clusters) -> Array:
    """(K,) the ``MEMBER_QUANTILE`` of the cosines between a cluster's own peaks and its centroid; ``NEVER`` without peaks.

    Args:
        vectors: (N, D) peaks that ``clusters.labels`` belongs to.
        clusters: of the language.
    """
    thresholds = np.zeros(len(clusters), np.float32)
    for cluster in range(len(clusters)):
        cosine = gathered(vectors, np.flatnonzero(clusters.labels == cluster)) @ clusters.centroids[cluster]
        thresholds[cluster] = np.quantile(cosine, MEMBER_QUANTILE) if len(cosine) else NEVER
    return thresholds


def association_p(a: Occurrences, b: Occurrences) -> Array:
    """One-sided exact conditional p-values of association over images, stratified by both languages' caption lengths.

    Args:
        a, b: occurrences over the same images.

    Returns:
        (Ka, Kb) float64: P(images with both >= those seen). 1 where no more than expected were seen.
    """
    strata = _length_bins(a.lengths) * LENGTH_BINS + _length_bins(b.lengths)
    with_a, with_b, sizes = _counts(a.marks, strata), _counts(b.marks, strata), np.unique(strata, return_counts=True)[1]
    # float32: exact below 2**24, and a fast product
    seen = np.rint(a.marks.astype(np.float32).T @ b.marks.astype(np.float32)).astype(np.int64)
    expected = np.einsum("sa,sb->ab", with_a / sizes[:, None], with_b.astype(np.float64))
    p = np.ones(seen.shape)
    cells = np.argwhere(seen > expected)
    # Tests of like size go together: a batch is as wide as its widest distribution.
    width = np.minimum(with_a[:, cells[:, 0]], with_b[:, cells[:, 1]]).sum(0)
    cells = cells[np.argsort(width, kind="stable")]
    for start in range(0, len(cells), _BATCH):
        e, h = cells[start : start + _BATCH].T
        p[e, h] = _upper_tail(with_a[:, e].T, with_b[:, h].T, sizes, seen[e, h])
    return p


def recurrence_p(one: Occurrences, other: Occurrences, groups: Array) -> tuple[Array, Array, Array]:
    """As ``association_p``, of every cluster with itself: does it occur in both captions of a pair beyond chance?

    Args:
        one, other: occurrences in the captions of each pair, of one language.
        groups: (pairs,) int64, further strata.

    Returns:
        (p (K,), pairs where it occurs in both (K,) int64, how many to expect by chance (K,))
    """
    strata = (groups * LENGTH_BINS + _length_bins(one.lengths)) * LENGTH_BINS + _length_bins(other.lengths)
    in_one, in_other = _counts(one.marks, strata), _counts(other.marks, strata)
    sizes = np.unique(strata, return_counts=True)[1]
    seen = (one.marks & other.marks).sum(0)
    expected = (in_one * in_other / sizes[:, None]).sum(0)
    p = np.ones(len(seen))
    for start in range(0, len(seen), _BATCH):
        part = slice(start, start + _BATCH)
        p[part] = _upper_tail(in_one[:, part].T, in_other[:, part].T, sizes, seen[part])
    return p, seen, expected


def _counts(marks: Array, strata: Array) -> Array:
    """(S, K) int64 marks of every stratum that is used, in the order of their numbers."""
    return np.stack([marks[strata == s].sum(0) for s in np.unique(strata)]).astype(np.int64)


def discovery_rates(p: Array) -> Array:
    """False discovery rates (q-values) of all tests by Benjamini & Hochberg 1995; the shape of ``p``."""
    if not p.size:
        return p
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p.ravel()).reshape(p.shape))


def link_evidence(
    images: Sequence[ImageCaptions],
    frames: tuple[Mapping[str, Array], Mapping[str, Array]],
    clusters: tuple[Clusters, Clusters],
    thresholds: tuple[Array, Array],
) -> tuple[Array, Array]:
    """p- and q-values of every pair of clusters of the two languages.

    Args:
        images: with captions in both languages; best ones that nothing was trained on.
        frames, clusters, thresholds: of language a and of language b.

    Returns:
        (p, q), each (Ka, Kb).
    """
    marked_a = mark_occurrences([image.a for image in images], frames[0], clusters[0], thresholds[0])
    marked_b = mark_occurrences([image.b for image in images], frames[1], clusters[1], thresholds[1])
    p = association_p(marked_a, marked_b)
    return p, discovery_rates(p)


def _length_bins(lengths: Array) -> Array:
    """0 to LENGTH_BINS - 1 by quantiles."""
    edges = np.quantile(lengths, np.arange(1, LENGTH_BINS) / LENGTH_BINS)
    return np.searchsorted(edges, lengths, side="left")


def _upper_tail(with_a: Array, with_b: Array, sizes: Array, seen: Array) -> Array:
    """P(sum of hypergeometric variables >= seen).

    Args:
        with_a, with_b: (N, S) images with the first and with the second cluster, in each stratum.
        sizes: (S,) images of each stratum.
        seen: (N,) images with both.
    """
    total = np.ones((len(seen), 1))
    for s, size in enumerate(sizes):
        probability = _hypergeometric(with_a[:, s], with_b[:, s], int(size))
        wider = np.zeros((len(seen), total.shape[1] + probability.shape[1] - 1))
        for k in range(probability.shape[1]):
            wider[:, k : k + total.shape[1]] += probability[:, k, None] * total
        total = wider
    counts = np.arange(total.shape[1])
    # Summed from the smallest terms up, and 1 is the most that rounding may give.
    return np.minimum(np.where(counts >= seen[:, None], total, 0)[:, ::-1].sum(1), 1.0)


def _hypergeometric(marked: Array, drawn: Array, size: int) -> Array:
    """(N, W) probabilities of k = 0 ... W - 1 marked ones among ``drawn`` of ``size``, W the widest distribution."""
    from scipy.special import gammaln

    def log_choose(n: Array, k: Array) -> Array:
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    k = np.arange(int(np.minimum(marked, drawn).max(initial=0)) + 1)
    marked, drawn = marked[:, None], drawn[:, None]
    possible = (k <= marked) & (k <= drawn) & (drawn - k <= size - marked)
    k = np.where(possible, k, np.maximum(0, drawn - (size - marked)))
    log_p = log_choose(marked, k) + log_choose(size - marked, drawn - k) - log_choose(np.array(size), drawn)
    return np.where(possible, np.exp(log_p), 0.0)
