"""Discovery within one language: words that captions of one image share, or captions of images that look alike.

The steps are those of two languages without the links: peaks between two captions, both of whose sides go into the same
clusters. Evidence for a cluster: over pairs of images that look alike (or two halves of the speakers of each image), is it
said in both captions more often than chance allows? Each caption is marked on its own, as for links, but a cluster's centroid
is drawn towards its members, and these come in pairs by the way they were found. Marked with it, captions would agree by
construction. So the pairs are cut into two folds, and the captions of each are marked by the members of the other. (Images
permuted, mini corpus: of the p-values 4 % are below .05 then, and 6.5 % without folds.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vgspeech.errors import DataError
from vgspeech.lexicon.captions import ImageCaptions, mean_frame, pair_speakers
from vgspeech.lexicon.clusters import DROPPED, ClusterOptions, Clusters, cluster_language, steadied
from vgspeech.lexicon.discover import DiscoveryOptions, LanguageInput, share_of_job
from vgspeech.lexicon.evidence import (
    Occurrences,
    discovery_rates,
    mark_occurrences,
    member_thresholds,
    recurrence_p,
)
from vgspeech.lexicon.neighbours import pair_alike
from vgspeech.lexicon.peaks import Peaks, concatenate, find_peaks
from vgspeech.order import shuffled

Array = np.ndarray[Any, np.dtype[Any]]
Pairing = Literal["shared", "nearest"]


@dataclass
class FoundWords:
    """Clusters of one language with their evidence, the surest first (by p).

    Attributes:
        order: (K,) int64 cluster of every rank.
        p, q: (K,) of every rank: p-value, and false discovery rate over all clusters.
        both: (K,) int64 pairs of images in whose captions it occurs on both sides.
        expected: (K,) how many to expect by chance.
        significant: (K,) bool.
        images: pairs that the evidence comes from.
    """

    order: Array
    p: Array
    q: Array
    both: Array
    expected: Array
    significant: Array
    images: int


def choose_pairing(side: LanguageInput) -> Pairing:
    """``shared`` if at least half of the images have captions by several speakers, else ``nearest``."""
    utt2image = side.embedded_images()
    several = len(pair_speakers(utt2image, side.utt2spk))
    return "shared" if several >= 2 and 2 * several >= len(set(utt2image.values())) else "nearest"


def pair_within(side: LanguageInput, cells: Mapping[str, Array] | None = None) -> list[ImageCaptions]:
    """What is compared: captions of the same image by different speakers or, given the images' ``cells``, of images that
    look alike.

    Raises:
        DataError: there are fewer than two pairs.
    """
    if cells is not None:
        return pair_alike(side.embedded_images(), cells)
    pairs = pair_speakers(side.embedded_images(), side.utt2spk)
    if len(pairs) < 2:
        raise DataError(
            f"{len(pairs)} images have captions by several speakers of {side.language}; discovery needs at least two",
            hint="--pairs nearest compares captions of images that look alike",
        )
    return pairs


def search_within(
    side: LanguageInput,
    options: DiscoveryOptions,
    job: int = 1,
    num_jobs: int = 1,
    cells: Mapping[str, Array] | None = None,
) -> Peaks:
    """Peaks of job ``job`` (from 1) of ``num_jobs``, ``mirrored``; the union over jobs does not depend on their number."""
    frames = side.comparable_frames(mean_frame(side.frames, options.seed))
    blocks = share_of_job(pair_within(side, cells), options, job, num_jobs)
    peaks = find_peaks(blocks, frames, frames, (side.clock, side.clock), options.peaks)
    return mirrored(peaks, side.utt2image)


def mirrored(peaks: Peaks, utt2image: Mapping[str, str]) -> Peaks:
    """Every peak both ways, so that side a is all that was found; the image is that of side a."""
    swapped = replace(
        peaks,
        utt_a=peaks.utt_b,
        utt_b=peaks.utt_a,
        times_a=peaks.times_b,
        times_b=peaks.times_a,
        vectors_a=peaks.vectors_b,
        vectors_b=peaks.vectors_a,
        n_pairs=0,
    )
    both = concatenate([peaks, swapped])
    both.image = [utt2image[utt] for utt in both.utt_a]
    return both


def mirror_rows(peaks: Peaks) -> Array:
    """(N,) the row of each peak's mirror image."""
    a, b = peaks.times_a[:, 0].tolist(), peaks.times_b[:, 0].tolist()
    row_of = {key: row for row, key in enumerate(zip(peaks.utt_a, peaks.utt_b, a, b, strict=True))}
    mirror = (row_of[key] for key in zip(peaks.utt_b, peaks.utt_a, b, a, strict=True))
    return np.fromiter(mirror, np.int64, len(peaks))


def cluster_within(
    peaks: Peaks, language: str, utt2spk: Mapping[str, str], options: ClusterOptions, seed: int
) -> tuple[Clusters, Clusters]:
    """Clusters of mirrored peaks, and the same with the labels of side b; arguments as for ``cluster_language``."""
    clusters = cluster_language(peaks, "a", language, utt2spk, options, seed)
    return clusters, replace(clusters, labels=clusters.labels[mirror_rows(peaks)])


def rank_clusters(
    peaks: Peaks,
    clusters: Clusters,
    pairs: Sequence[ImageCaptions],
    frames: Mapping[str, Array],
    utt2spk: Mapping[str, str],
    fdr: float,
) -> FoundWords:
    """Rank the clusters by the evidence for each.

    Args:
        peaks, clusters: mirrored, and their clusters.
        pairs: what the evidence is counted on (``pair_within``); those that were searched, or of another split.
        frames: of their captions (``CaptionFrames``).
        utt2spk: speaker of every caption of ``pairs``.
        fdr: false discovery rate up to which a cluster is significant.
    """
    sides = [_two_sides(pair, utt2spk) for pair in pairs]
    fold_of_pair = {key: number % 2 for number, key in enumerate(shuffled((pair.image for pair in pairs), seed=0))}
    folds = np.array([fold_of_pair[pair.image] for pair in pairs])
    utts = [[utt for side in sides[i] for utt in side] for i in range(len(pairs))]
    fold_of = {utt: int(fold) for fold, captions in zip(folds, utts, strict=True) for utt in captions}
    fold_of_peak = np.array([fold_of.get(utt, -1) for utt in peaks.utt_a], np.int64)
    one, other = (_empty(len(pairs), len(clusters)) for _ in range(2))
    for fold in (0, 1):
        rows = np.flatnonzero(folds == fold)
        apart, thresholds = _from_members(peaks, clusters, fold_of_peak != fold)
        for k, side in enumerate((one, other)):
            marked = mark_occurrences([sides[row][k] for row in rows], frames, apart, thresholds)
            side.marks[rows], side.lengths[rows] = marked.marks, marked.lengths
    p, both, expected = recurrence_p(one, other, folds)
    q = discovery_rates(p)
    order = np.lexsort((np.arange(len(p)), p))
    return FoundWords(order, p[order], q[order], both[order], expected[order], q[order] <= fdr, len(pairs))


def discover_within(
    side: LanguageInput, options: DiscoveryOptions, cells: Mapping[str, Array] | None = None
) -> tuple[Peaks, tuple[Clusters, Clusters], FoundWords]:
    """All steps on the captions of one split; the evidence is counted on the same captions."""
    peaks = search_within(side, options, cells=cells)
    clusters = cluster_within(peaks, side.language, side.utt2spk, options.clusters, options.seed)
    peaks = steadied(peaks, clusters)
    frames = side.comparable_frames(mean_frame(side.frames, options.seed))
    pairs = pair_within(side, cells)
    return peaks, clusters, rank_clusters(peaks, clusters[0], pairs, frames, side.utt2spk, options.fdr)


def _two_sides(pair: ImageCaptions, utt2spk: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Captions of two images as they are; those of one image divided by speakers, every other one on the same side."""
    if pair.pairs is None:
        return pair.a, pair.b
    speakers = shuffled({utt2spk[utt] for utt in pair.a}, seed=0)
    first = set(speakers[::2])
    side = [utt2spk[utt] in first for utt in pair.a]
    return (
        tuple(utt for utt, here in zip(pair.a, side, strict=True) if here),
        tuple(utt for utt, here in zip(pair.a, side, strict=True) if not here),
    )


def _from_members(peaks: Peaks, clusters: Clusters, members: Array) -> tuple[Clusters, Array]:
    """Clusters whose centroids are the means of some of their peaks, and the thresholds that go with them; a cluster that
    has none of these peaks occurs nowhere."""
    labels = np.where(members, clusters.labels, DROPPED)
    centroids = np.zeros_like(clusters.centroids)
    for cluster in np.unique(labels[labels != DROPPED]):
        mean = peaks.vectors_a[labels == cluster].mean(0, dtype=np.float64)
        centroids[cluster] = mean / np.linalg.norm(mean)
    apart = replace(clusters, labels=labels, centroids=centroids)
    return apart, member_thresholds(peaks.vectors_a, apart)


def _empty(rows: int, clusters: int) -> Occurrences:
    return Occurrences(np.zeros((rows, clusters), bool), np.zeros(rows, np.int64))
