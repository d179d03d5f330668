"""The result of discovery within one language as files: lexicon.tsv, exemplars.tsv, scores.json, as for two languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.datadir import Lexicon
from vgspeech.files import write_json
from vgspeech.lexicon.clusters import Clusters
from vgspeech.lexicon.discover import warnings
from vgspeech.lexicon.evaluate import (
    Concepts,
    LabelledClusters,
    Words,
    chance_same_concept,
    coverage,
    interval_errors,
    label_clusters,
    word_recall,
    words_agreement,
)
from vgspeech.lexicon.one_language import FoundWords, mirror_rows
from vgspeech.lexicon.peaks import Peaks
from vgspeech.lexicon.precision import precision_recall, share_right
from vgspeech.lexicon.write import cluster_statistics, varied
from vgspeech.tables import write_tsv

Array = np.ndarray[Any, np.dtype[Any]]

MAJORITY = 0.5
"""A cluster stands for a word when at least this share of its peaks does."""


@dataclass
class WordResult:
    """Everything that was found in one language, and the truth as far as it is known.

    Attributes:
        language: its tag.
        peaks: mirrored.
        clusters, found: the result.
        utt2spk: speakers.
        ctm: word times; empty without truth.
        lexicon: which words name which concept, if known.
        settings: how it was found.
        evidence: what the evidence was counted on.
    """

    language: str
    peaks: Peaks
    clusters: Clusters
    found: FoundWords
    utt2spk: Mapping[str, str]
    ctm: Words
    lexicon: Lexicon | None
    settings: dict[str, Any]
    evidence: str

    def labels(self) -> LabelledClusters | None:
        """What the clusters stand for; None without word times."""
        return label_clusters(self.peaks.utt_a, self.peaks.times_a, self.clusters, self.ctm) if self.ctm else None

    def concepts(self) -> Concepts | None:
        """What the words name; None without a lexicon."""
        return Concepts(self.lexicon, (self.language, self.language)) if self.lexicon is not None else None


def write_words_result(folder: Path, result: WordResult) -> dict[str, Any]:
    """Write ``lexicon.tsv``, ``exemplars.tsv`` and, last, ``scores.json``; return the scores."""
    labels = result.labels()
    write_tsv(folder / "lexicon.tsv", *words_table(result, labels))
    write_tsv(folder / "exemplars.tsv", EXEMPLARS_HEADER, exemplar_rows(result))
    scores = all_scores(result, labels)
    write_json(folder / "scores.json", scores)
    return scores


def words_table(result: WordResult, labels: LabelledClusters | None) -> tuple[list[str], list[list[str]]]:
    """Header and rows of ``lexicon.tsv``, the surest cluster first."""
    found, clusters = result.found, result.clusters
    header = ["rank", f"cluster_{result.language}", "n_a", "images", "speakers", "spread"]
    header += ["both", "expected", "p", "q", "significant"]
    rows = []
    for i, k in enumerate(found.order.tolist()):
        row = [i + 1, k, clusters.sizes[k], clusters.images[k], clusters.speakers[k], f"{clusters.spread[k]:.4f}"]
        row += [found.both[i], f"{found.expected[i]:.1f}", f"{found.p[i]:.3g}", f"{found.q[i]:.3g}"]
        rows.append([*map(str, row), "yes" if found.significant[i] else "no"])
    if labels is None:
        return header, rows
    header += ["words_a", "purity_a"]
    for row, k in zip(rows, found.order, strict=True):
        row += [labels.words[k], f"{labels.purity[k]:.3f}"]
    concepts = result.concepts()
    if concepts is not None:
        header += ["concept", "right"]
        for row, names in zip(rows, named_concepts(found, labels, concepts), strict=True):
            row += ["|".join(sorted(names)) or "-", "yes" if names else "no"]
    return header, rows


def named_concepts(found: FoundWords, labels: LabelledClusters, concepts: Concepts) -> list[frozenset[str]]:
    """For every rank the concepts that the cluster's word names; empty when there is none, or less than half of its peaks
    say that word."""
    return [
        concepts.of(0, labels.words[k]) if labels.purity[k] >= MAJORITY else frozenset() for k in found.order.tolist()
    ]


EXEMPLARS_HEADER = ("rank", "cluster_a", "image", "score", "utt_a", "speaker_a", "t_a", "start_a", "end_a")


def exemplar_rows(result: WordResult) -> Iterator[list[str]]:
    """Rows of ``exemplars.tsv``: the best peaks of every cluster, each of another image, as many speakers as possible
    first."""
    peaks, found = result.peaks, result.found
    members: dict[int, list[int]] = {}
    for i, label in enumerate(result.clusters.labels.tolist()):
        members.setdefault(label, []).append(i)
    for rank, cluster in enumerate(found.order.tolist(), start=1):
        by_score = sorted(members[cluster], key=lambda i: (-peaks.scores[i], peaks.utt_a[i], peaks.utt_b[i]))
        candidates = {i: {"image": peaks.image[i], "a": result.utt2spk[peaks.utt_a[i]]} for i in by_score}
        for i in varied(candidates, ("image a", "image")):
            utt, times = peaks.utt_a[i], (f"{time:.3f}" for time in peaks.times_a[i])
            yield [str(rank), str(cluster), peaks.image[i], f"{peaks.scores[i]:.4f}", utt, candidates[i]["a"], *times]


def all_scores(result: WordResult, labels: LabelledClusters | None) -> dict[str, Any]:
    """The contents of ``scores.json``; ``truth`` is there only when word times are. A peak counts once, not both ways."""
    peaks, found, lexicon = result.peaks, result.found, result.lexicon
    scores: dict[str, Any] = {
        "languages": [result.language],
        "pairs": peaks.n_pairs,
        "peaks": len(peaks) // 2,
        "clusters": {result.language: cluster_statistics(result.clusters)},
        "words": {"all": len(found.order), "significant": int(found.significant.sum())},
        "same_cluster": _same_cluster(result),
        "evidence": {"counted_on": result.evidence, "images": found.images, "tests": len(found.order)},
        "warnings": warnings(peaks, [result.clusters], len(lexicon.concepts) if lexicon is not None else None),
        "settings": result.settings,
    }
    if labels is not None:
        scores["truth"] = score_words(result, labels)
    return scores


def _same_cluster(result: WordResult) -> float:
    """Share of the peaks with both sides in clusters that were kept that have them in the same one."""
    labels = result.clusters.labels
    other = labels[mirror_rows(result.peaks)]
    kept = (labels >= 0) & (other >= 0)
    return float(np.mean(labels[kept] == other[kept])) if kept.any() else 0.0


def score_words(result: WordResult, labels: LabelledClusters) -> dict[str, Any]:
    """All scores that the truth at hand allows."""
    peaks, clusters, found, tag = result.peaks, result.clusters, result.found, result.language
    utts, times = peaks.utt_a, peaks.times_a
    scores: dict[str, Any] = {
        "clusters_against_words": {tag: words_agreement(clusters, labels)},
        "interval_error_ms": {tag: interval_errors(utts, times, result.ctm)},
        "coverage": {tag: coverage(utts, times, clusters, labels, result.ctm)},
    }
    concepts = result.concepts()
    if concepts is None:
        return scores
    other = (labels.peak_words[row] for row in mirror_rows(peaks))
    same = [bool(concepts.shared(*words)) for words in zip(labels.peak_words, other, strict=True)]
    pairs = sorted({pair for pair in zip(peaks.utt_a, peaks.utt_b, strict=True) if pair[0] < pair[1]})
    chance = chance_same_concept(pairs, (result.ctm, result.ctm), concepts)
    scores["same_concept"] = {"rate": float(np.mean(same)) if same else 0.0, "chance": chance}
    right = named_concepts(found, labels, concepts)
    flags = np.array([bool(names) for names in right], dtype=bool)
    scores["words_right"] = {"all": share_right(flags), "significant": share_right(flags[found.significant])}
    scores["precision_recall"] = precision_recall(right, concepts.total)
    scores["concepts"] = {
        "found": len(frozenset().union(*right)),
        "found_significant": len(frozenset().union(*(right[i] for i in np.flatnonzero(found.significant)))),
        "of": concepts.total,
    }
    named = {labels.words[k] for k, is_right in zip(found.order, flags, strict=True) if is_right}
    scores["words"] = {tag: word_recall(named, result.ctm, 0, concepts)}
    return scores
