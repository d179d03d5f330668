"""The whole of lexicon discovery in memory: peaks, clusters, links, evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vgspeech.lexicon.captions import (
    CaptionFrames,
    FrameClock,
    ImageCaptions,
    caption_blocks,
    mean_frame,
    pair_captions,
)
from vgspeech.lexicon.clusters import ClusterOptions, Clusters, cluster_language, steadied
from vgspeech.lexicon.evidence import link_evidence, member_thresholds
from vgspeech.lexicon.links import Links, LinkScore, link_clusters
from vgspeech.lexicon.neighbours import pair_nearest
from vgspeech.lexicon.peaks import PeakOptions, Peaks, concatenate, peaks_of_blocks

Array = np.ndarray[Any, np.dtype[Any]]

FEW_PEAKS = 30
"""Below about this many peaks a concept, discovery misses most concepts (measured by simulation)."""
EXPECTED_CONCEPTS = 50
"""What a corpus is taken to hold when there is no lexicon that says how many."""


@dataclass(frozen=True)
class DiscoveryOptions:
    """Settings of all steps."""

    peaks: PeakOptions = field(default_factory=PeakOptions)
    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    link_by: LinkScore = "dice"
    partners: int = 1
    """Links a cluster may have; 1: mutual best only."""
    fdr: float = 0.05
    """A link is significant up to this false discovery rate, over all pairs of clusters."""
    seed: int = 1


@dataclass(frozen=True)
class LanguageInput:
    """One language of one split.

    Attributes:
        language: its tag.
        frames: (T, D) frame embeddings as the encoder gives them, by utterance id.
        utt2image, utt2spk: image and speaker of every caption.
        clock: times of the frames.
        speech: (T,) bool by utterance id, false where a frame is silence; None: not known, nothing is.
    """

    language: str
    frames: Mapping[str, Array]
    utt2image: Mapping[str, str]
    utt2spk: Mapping[str, str]
    clock: FrameClock
    speech: Mapping[str, Array] | None = None

    def comparable_frames(self, mean: Array) -> CaptionFrames:
        """The frames ready for comparison; ``mean``: (D,) ``mean_frame`` of the language."""
        return CaptionFrames(self.frames, mean, self.speech)

    def embedded_images(self) -> dict[str, str]:
        """Image of every caption that has frames."""
        return {utt: image for utt, image in self.utt2image.items() if utt in self.frames}


@dataclass
class FoundLexicon:
    """Links with their evidence, the surest first (by p, then by linking score).

    Attributes:
        links: linked clusters.
        p, q: (L,) their p-values, and false discovery rates over all pairs of clusters.
        significant: (L,) bool.
        tests: pairs of clusters that were tested.
        images: images that the evidence comes from.
        by: what links were chosen by.
    """

    links: Links
    p: Array
    q: Array
    significant: Array
    tests: int
    images: int
    by: LinkScore


def pair_languages(a: LanguageInput, b: LanguageInput, cells: Mapping[str, Array] | None = None) -> list[ImageCaptions]:
    """What is compared: captions of the same image or, given the images' ``cells``, of images that look alike."""
    if cells is None:
        return pair_captions(a.embedded_images(), b.embedded_images())
    return pair_nearest(a.embedded_images(), b.embedded_images(), cells)


def prepare(
    a: LanguageInput, b: LanguageInput, seed: int, cells: Mapping[str, Array] | None = None
) -> tuple[list[ImageCaptions], CaptionFrames, CaptionFrames]:
    """Pairs of captions (``pair_languages``), and both languages' frames ready for comparison."""
    frames_a, frames_b = (side.comparable_frames(mean_frame(side.frames, seed)) for side in (a, b))
    return pair_languages(a, b, cells), frames_a, frames_b


def search(
    a: LanguageInput,
    b: LanguageInput,
    options: DiscoveryOptions,
    job: int = 1,
    num_jobs: int = 1,
    cells: Mapping[str, Array] | None = None,
) -> Peaks:
    """Peaks of job ``job`` (from 1) of ``num_jobs``; the union over jobs does not depend on their number."""
    return concatenate(list(search_blocks(a, b, options, job, num_jobs, cells)))


def search_blocks(
    a: LanguageInput,
    b: LanguageInput,
    options: DiscoveryOptions,
    job: int = 1,
    num_jobs: int = 1,
    cells: Mapping[str, Array] | None = None,
) -> Iterator[Peaks]:
    """As ``search``, a block at a time, so that no more than that need be in memory."""
    images, frames_a, frames_b = prepare(a, b, options.seed, cells)
    blocks = share_of_job(images, options, job, num_jobs)
    rough = len(images) >= options.peaks.rough_from
    return peaks_of_blocks(blocks, frames_a, frames_b, (a.clock, b.clock), options.peaks, rough)


def share_of_job(
    images: Sequence[ImageCaptions], options: DiscoveryOptions, job: int, num_jobs: int
) -> list[list[ImageCaptions]]:
    """The blocks of images that job ``job`` (from 1) of ``num_jobs`` searches."""
    blocks = caption_blocks(images, options.peaks.block_size(), options.seed)
    return blocks[(len(blocks) * (job - 1)) // num_jobs : (len(blocks) * job) // num_jobs]


def cluster(peaks: Peaks, a: LanguageInput, b: LanguageInput, options: DiscoveryOptions) -> tuple[Clusters, Clusters]:
    """Clusters of both languages."""
    clusters_a = cluster_language(peaks, "a", a.language, a.utt2spk, options.clusters, options.seed)
    return clusters_a, cluster_language(peaks, "b", b.language, b.utt2spk, options.clusters, options.seed)


def link(
    peaks: Peaks,
    clusters: tuple[Clusters, Clusters],
    images: Sequence[ImageCaptions],
    frames: tuple[Mapping[str, Array], Mapping[str, Array]],
    options: DiscoveryOptions,
) -> FoundLexicon:
    """Link the clusters of two languages and test every link.

    Args:
        peaks, clusters: from `search` and `cluster`.
        images, frames: what the evidence is counted on (``CaptionFrames``).
        options: linking score, false discovery rate.
    """
    links = link_clusters(*clusters, options.link_by, options.partners)
    thresholds = (member_thresholds(peaks.vectors_a, clusters[0]), member_thresholds(peaks.vectors_b, clusters[1]))
    p, q = link_evidence(images, frames, clusters, thresholds)
    # By evidence, not by score: the highest scores are of tiny clusters, where two peaks more or less decide.
    links = links.at(np.argsort(p[links.a, links.b], kind="stable"))
    p_links, q_links = p[links.a, links.b], q[links.a, links.b]
    return FoundLexicon(links, p_links, q_links, q_links <= options.fdr, p.size, len(images), options.link_by)


def discover(
    a: LanguageInput, b: LanguageInput, options: DiscoveryOptions, cells: Mapping[str, Array] | None = None
) -> tuple[Peaks, tuple[Clusters, Clusters], FoundLexicon]:
    """All steps on the captions of one split; the evidence is counted on the same captions."""
    peaks = search(a, b, options, cells=cells)
    clusters = cluster(peaks, a, b, options)
    peaks = steadied(peaks, clusters)
    images, frames_a, frames_b = prepare(a, b, options.seed, cells)
    return peaks, clusters, link(peaks, clusters, images, (frames_a, frames_b), options)


def warnings(peaks: Peaks, clusters: Sequence[Clusters], concepts: int | None) -> list[str]:
    """Sentences about results that are too thin to rely on.

    Args:
        peaks, clusters: the result, clusters of each language.
        concepts: words to be found, when it is known how many there are; else ``EXPECTED_CONCEPTS``.
    """
    if not len(peaks):
        return ["no peaks: the model sees nothing in common between captions of one image"]
    found = []
    wanted = concepts or EXPECTED_CONCEPTS
    if len(peaks) < FEW_PEAKS * wanted:
        found.append(
            f"few peaks: {len(peaks)} are enough for about {len(peaks) // FEW_PEAKS} words ({FEW_PEAKS} each), not for "
            f"{wanted}; more captioned images help"
        )
    if not all(map(len, clusters)):
        found.append(
            "no cluster is large enough to keep"
            + (" in one of the languages, so there is nothing to link" if len(clusters) > 1 else "")
        )
    return found
