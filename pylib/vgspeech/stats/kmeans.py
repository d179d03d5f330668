"""K-means for large sets of vectors: seeded, chunked, the same result on every run."""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_CHUNK = 16384
"""Vectors whose distances to all centroids are held at once."""
_GATHERED = 256
"""Vectors that are copied out of a memory map at once."""
_SEEDING_SAMPLE = 50
"""Vectors per centroid that k-means++ looks at; more change the start, not the quality."""
_MAX_ITERATIONS = 60


class KMeans(NamedTuple):
    """A clustering.

    Attributes:
        centroids: (K, D) float32; of unit length when spherical.
        labels: (N,) int64, the centroid of every vector.
        objective: what was minimised, mean over vectors: 1 - cosine (spherical) or squared distance.
    """

    centroids: Array
    labels: Array
    objective: float


def unit_rows(vectors: Array) -> Array:
    """Rows scaled to length 1; rows of zeros stay zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norms, np.finfo(np.float32).tiny)


def forget(vectors: Array) -> None:
    """Give the memory back that holds what was read of a memory map; the file, and the system's cache of it, stay.

    Without this, a process that has looked at all of a map counts as holding all of it. Other arrays are left alone.
    """
    if isinstance(vectors, np.memmap) and isinstance(vectors.base, mmap.mmap):
        vectors.base.madvise(mmap.MADV_DONTNEED)


def kmeans(
    vectors: Array,
    k: int,
    seed: int,
    restarts: int = 1,
    spherical: bool = False,
    order: Array | None = None,
    per_centroid: int | None = None,
) -> KMeans:
    """Lloyd's algorithm from k-means++ starts; the best of ``restarts`` by the objective.

    Vectors may be a memory map: they are looked at in chunks, or, with ``per_centroid``, once, after centroids have been
    found on a sample that is held in memory.

    Args:
        vectors: (N, D) float32. For ``spherical`` they are of unit length.
        k: clusters; at most N are used.
        seed: of the starts. The result depends on the order of the vectors.
        restarts: independent starts.
        spherical: cosine instead of Euclidean distance (Dhillon & Modha 2001): centroids are of unit length.
        order: (N,) in which order the vectors are taken; by default as they are.
        per_centroid: most vectors a centroid that centroids are found on, drawn at random; by default all vectors.

    Returns:
        Labels stand in the order of ``vectors``, whatever ``order`` is.

    Raises:
        ValueError: no vectors, or ``k`` below 1.
    """
    if not len(vectors) or k < 1:
        raise ValueError(f"k-means of {len(vectors)} vectors into {k} clusters")
    random = np.random.default_rng(seed)
    order = np.arange(len(vectors)) if order is None else order
    rows = order
    if per_centroid is not None and len(rows) > per_centroid * k:
        rows = order[np.sort(random.choice(len(order), per_centroid * k, replace=False))]
    sample = gathered(vectors, rows)
    runs = [_lloyd(sample, _plus_plus(sample, min(k, len(sample)), random), spherical) for _ in range(restarts)]
    best = min(runs, key=lambda run: run.objective)
    labels = np.empty(len(vectors), np.int64)
    if len(rows) == len(vectors):
        labels[order] = best.labels
        return best._replace(labels=labels)
    labels, distances = assign(vectors, best.centroids, spherical)
    return KMeans(best.centroids, labels, float(distances.mean(dtype=np.float64)))


def gathered(vectors: Array, rows: Array) -> Array:
    """(len(rows), D) float32 copy of some rows; of a map, only a few at once are held besides (reading one of its rows
    may bring in 2 MB around it)."""
    sample = np.empty((len(rows), vectors.shape[1]), np.float32)
    for start in range(0, len(rows), _GATHERED):
        chunk = slice(start, start + _GATHERED)
        sample[chunk] = vectors[rows[chunk]]
        forget(vectors)
    return sample


def assign(vectors: Array, centroids: Array, spherical: bool = False) -> tuple[Array, Array]:
    """The nearest centroid of every vector, the first among equals.

    Returns:
        (labels (N,) int64, distances (N,) float32): 1 - cosine when ``spherical``, else the squared distance.
    """
    offset = None if spherical else 0.5 * np.einsum("kd,kd->k", centroids, centroids)
    labels = np.empty(len(vectors), dtype=np.int64)
    distances = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        part = np.asarray(vectors[chunk], dtype=np.float32)
        scores = part @ centroids.T
        if offset is not None:
            scores -= offset
        best = scores.argmax(1)
        labels[chunk] = best
        top = scores[np.arange(len(best)), best]
        if offset is None:
            distances[chunk] = 1 - top
        else:
            squares = np.einsum("nd,nd->n", part, part)
            distances[chunk] = np.maximum(squares - 2 * top, 0)
        forget(vectors)
    return labels, distances


def _plus_plus(vectors: Array, k: int, random: np.random.Generator) -> Array:
    """Starting centroids by k-means++ (Arthur & Vassilvitskii 2007), on a sample of the vectors."""
    if len(vectors) > _SEEDING_SAMPLE * k:
        vectors = vectors[np.sort(random.choice(len(vectors), _SEEDING_SAMPLE * k, replace=False))]
    squares = np.einsum("nd,nd->n", vectors, vectors)
    chosen = [int(random.integers(len(vectors)))]
    nearest = np.full(len(vectors), np.inf, dtype=np.float32)
    while len(chosen) < k:
        last = chosen[-1]
        nearest = np.minimum(nearest, np.maximum(squares + squares[last] - 2 * (vectors @ vectors[last]), 0))
        nearest[chosen] = 0
        cumulated = np.cumsum(nearest, dtype=np.float64)
        if cumulated[-1] <= 0:  # fewer distinct vectors than clusters
            break
        chosen.append(int(np.searchsorted(cumulated, random.random() * cumulated[-1], side="right")))
    return vectors[chosen].copy()


def _lloyd(vectors: Array, centroids: Array, spherical: bool) -> KMeans:
    """Alternate assignment and means until nothing changes; an empty cluster moves to the worst-placed vector."""
    labels, distances = assign(vectors, centroids, spherical)
    for _ in range(_MAX_ITERATIONS):
        centroids = _means(vectors, labels, distances, len(centroids), spherical)
        previous = labels
        labels, distances = assign(vectors, centroids, spherical)
        if np.array_equal(labels, previous):
            break
    return KMeans(centroids, labels, float(distances.mean(dtype=np.float64)))


def _means(vectors: Array, labels: Array, distances: Array, k: int, spherical: bool) -> Array:
    """(K, D) means of the clusters' members."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=k)
    used = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[used])])
    means = np.empty((k, vectors.shape[1]), dtype=np.float32)
    for i, cluster in enumerate(used):
        means[cluster] = vectors[order[starts[i] : starts[i + 1]]].mean(0, dtype=np.float64)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        means[empty] = vectors[np.argsort(-distances, kind="stable")[: len(empty)]]
    return unit_rows(means) if spherical else means
