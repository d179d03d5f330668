"""Clusters of peaks: pseudo-words of one language."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vgspeech.lexicon.captions import TIME_DECIMALS
from vgspeech.lexicon.peaks import Peaks
from vgspeech.stats.kmeans import assign, gathered, kmeans

Array = np.ndarray[Any, np.dtype[Any]]

PEAKS_PER_CLUSTER = 40
MAX_CLUSTERS = 500
PEAKS_PER_START = 100
"""Peaks a cluster that centroids are found on, so that a million peaks fit in memory and time; the others are assigned."""
DROPPED = -1
"""Cluster of a peak whose own was not kept."""


@dataclass(frozen=True)
class ClusterOptions:
    """How peaks are clustered."""

    method: Literal["kmeans", "birch"] = "kmeans"
    """Spherical k-means, or BIRCH (a tree of subclusters of a given radius, merged to at most K by Ward's method)."""
    num_clusters: int = 0
    """K; 0: as many as ``default_clusters`` says."""
    restarts: int = 2
    """Starts of k-means."""
    radius: float = 0.3
    """Largest radius of a BIRCH subcluster of unit vectors."""
    min_size: int = 8
    """Smaller clusters are dropped; so are those of ..."""
    max_spread: float = 2.0
    """... a larger mean of 1 - cosine to their centroid (2 drops none), ..."""
    min_images: int = 1
    """... fewer images, ..."""
    min_speakers: int = 1
    """... or fewer speakers."""


@dataclass
class Clusters:
    """Clusters of one language, numbered from 0 by falling size.

    Attributes:
        labels: (N,) int64 cluster of every peak, ``DROPPED`` where its own was not kept.
        centroids: (K, D) float32 of unit length.
        sizes: (K,) int64 peaks.
        spread: (K,) float64 mean of 1 - cosine to the centroid.
        images, speakers: (K,) int64 distinct ones.
    """

    labels: Array
    centroids: Array
    sizes: Array
    spread: Array
    images: Array
    speakers: Array

    def __len__(self) -> int:
        return len(self.sizes)


def default_clusters(n_peaks: int) -> int:
    """K = min(500, max(peaks / 40, min(80, peaks / 10))), at least 1.

    About 40 peaks a cluster, and no more clusters than a lexicon needs. A small corpus gets up to 80 smaller clusters:
    with 40 peaks each, words would share one (in a simulation of 400 images 28 concepts were found instead of 12).
    """
    small = min(80, n_peaks // 10)
    return max(1, min(MAX_CLUSTERS, max(n_peaks // PEAKS_PER_CLUSTER, small)))


def cluster_language(
    peaks: Peaks, side: str, language: str, utt2spk: Mapping[str, str], options: ClusterOptions, seed: int
) -> Clusters:
    """Cluster one side of the peaks.

    Nothing depends on which language comes first, so that swapping them gives the transposed lexicon.

    Args:
        peaks: of all pairs.
        side: ``"a"`` or ``"b"``, the language's side.
        language: its tag; languages get different starts.
        utt2spk: speaker of every utterance of the language.
        options: method, number, what is dropped.
        seed: of the starts.
    """
    own = (peaks.vectors_a, peaks.utt_a, peaks.times_a)
    other = (peaks.vectors_b, peaks.utt_b, peaks.times_b)
    (vectors, utts, times), (_, utts_other, times_other) = (own, other) if side == "a" else (other, own)
    if not len(peaks):
        return _describe(np.zeros((0, 0), np.float32), np.zeros(0, np.int64), [], [])
    order = sorted(range(len(peaks)), key=lambda i: (utts[i], utts_other[i], times[i, 0], times_other[i, 0]))
    k = options.num_clusters or default_clusters(len(peaks))
    rows = np.array(order)
    found_labels = _partition(vectors, rows, k, seed ^ zlib.crc32(language.encode()), options)
    labels = np.empty(len(peaks), np.int64)
    labels[rows] = _numbered(found_labels[rows])
    speakers = [utt2spk[utt] for utt in utts]
    found = _describe(vectors, labels, peaks.image, speakers)
    keep = (found.sizes >= options.min_size) & (found.spread <= options.max_spread)
    keep &= (found.images >= options.min_images) & (found.speakers >= options.min_speakers)
    return _kept(found, keep)


def _partition(vectors: Array, order: Array, k: int, seed: int, options: ClusterOptions) -> Array:
    """(N,) cluster of every vector; ``order``: in which order they are taken."""
    if options.method == "kmeans":
        return kmeans(
            vectors, k, seed, options.restarts, spherical=True, order=order, per_centroid=PEAKS_PER_START
        ).labels
    from sklearn.cluster import Birch

    tree = Birch(threshold=options.radius, n_clusters=None).fit(vectors[order])
    if len(tree.subcluster_centers_) > k:
        tree.set_params(n_clusters=k).partial_fit()
    return np.asarray(tree.predict(vectors), np.int64)


def _numbered(labels: Array) -> Array:
    """Labels numbered by falling size, ties by first member, without gaps."""
    used, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    new = np.empty(len(used), np.int64)
    new[np.lexsort((first, -sizes))] = np.arange(len(used))
    return new[inverse]


def _kept(clusters: Clusters, keep: Array) -> Clusters:
    """The clusters to keep, numbered anew; peaks of the others are ``DROPPED``."""
    new = np.where(keep, np.cumsum(keep) - 1, DROPPED)
    columns = (getattr(clusters, name)[keep] for name in ("centroids", "sizes", "spread", "images", "speakers"))
    return Clusters(new[clusters.labels], *columns)


def _describe(vectors: Array, labels: Array, images: Sequence[str], speakers: Sequence[str]) -> Clusters:
    """Centroids and statistics of clusters that are numbered from 0 without gaps."""
    sizes = np.bincount(labels)
    centroids = np.zeros((len(sizes), vectors.shape[1]), np.float32)
    spread = np.zeros(len(sizes))
    distinct = np.zeros((2, len(sizes)), np.int64)
    order = np.argsort(labels, kind="stable")
    for cluster, members in enumerate(np.split(order, np.cumsum(sizes)[:-1]) if len(sizes) else ()):
        own = gathered(vectors, members)
        mean = own.mean(0, dtype=np.float64)
        centroids[cluster] = mean / np.linalg.norm(mean)
        spread[cluster] = assign(own, centroids[cluster : cluster + 1], spherical=True)[1].mean()
        distinct[:, cluster] = len({images[i] for i in members}), len({speakers[i] for i in members})
    return Clusters(labels, centroids, sizes, spread, distinct[0], distinct[1])


def steadied(peaks: Peaks, clusters: tuple[Clusters, Clusters]) -> Peaks:
    """Peaks with the intervals of both sides drawn towards what is usual in their clusters (``steady_intervals``)."""
    times_a, times_b = (
        steady_intervals(peaks.times_a, clusters[0].labels),
        steady_intervals(peaks.times_b, clusters[1].labels),
    )
    return replace(peaks, times_a=times_a, times_b=times_b)


def steady_intervals(times: Array, labels: Array) -> Array:
    """Intervals drawn half way towards what is usual in their cluster.

    Members of a cluster are one word, so their intervals relative to the peak are alike, and the median over them says
    more of where the word starts than one noisy profile does: on the mini corpus errors fall by 5 to 15 %.

    Args:
        times: (N, 3) seconds: peak, start, end.
        labels: (N,) cluster of every peak; intervals of ``DROPPED`` ones stay as they are.

    Returns:
        (N, 3) new times.
    """
    result = times.copy()
    for cluster in range(int(labels.max(initial=DROPPED)) + 1):
        members = labels == cluster
        relative = times[members, 1:] - times[members, :1]
        usual = np.median(relative, axis=0)
        result[members, 1:] = times[members, :1] + 0.5 * (relative + usual)
    return np.maximum(np.round(result, TIME_DECIMALS), 0)
