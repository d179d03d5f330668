"""The result of discovery as files: lexicon.tsv, exemplars.tsv, scores.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.datadir import Lexicon
from vgspeech.files import write_json
from vgspeech.lexicon.clusters import Clusters
from vgspeech.lexicon.discover import FoundLexicon, warnings
from vgspeech.lexicon.evaluate import Concepts, LabelledClusters, Words, label_clusters, right_links, score_lexicon
from vgspeech.lexicon.peaks import Peaks
from vgspeech.lexicon.place_scores import Scenes
from vgspeech.tables import write_tsv

Array = np.ndarray[Any, np.dtype[Any]]

EXEMPLARS = 8
"""Peaks that a link shows in the picture dictionary."""


@dataclass
class Result:
    """Everything that was found, and the truth as far as it is known.

    Attributes:
        languages: tags of language a and b.
        peaks, clusters, found: the result.
        utt2spk: speakers, one mapping a language.
        ctms: word times, one mapping a language; empty without truth.
        lexicon: which words name which concept, if known.
        settings: how it was found.
        evidence: what the evidence was counted on.
        stop_words, scenes: see ``score_lexicon``.
    """

    languages: tuple[str, str]
    peaks: Peaks
    clusters: tuple[Clusters, Clusters]
    found: FoundLexicon
    utt2spk: tuple[Mapping[str, str], Mapping[str, str]]
    ctms: tuple[Words, Words]
    lexicon: Lexicon | None
    settings: dict[str, Any]
    evidence: str
    stop_words: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    scenes: tuple[Scenes, tuple[Mapping[str, str], Mapping[str, str]]] | None = None

    def labels(self) -> tuple[LabelledClusters, LabelledClusters] | None:
        """What the clusters stand for; None without word times of both languages."""
        if not all(self.ctms):
            return None
        a = label_clusters(self.peaks.utt_a, self.peaks.times_a, self.clusters[0], self.ctms[0])
        return a, label_clusters(self.peaks.utt_b, self.peaks.times_b, self.clusters[1], self.ctms[1])


def write_result(folder: Path, result: Result) -> dict[str, Any]:
    """Write ``lexicon.tsv``, ``exemplars.tsv`` and, last, ``scores.json``; return the scores."""
    labels = result.labels()
    header, rows = lexicon_table(result, labels)
    write_tsv(folder / "lexicon.tsv", header, rows)
    write_tsv(folder / "exemplars.tsv", EXEMPLARS_HEADER, exemplar_rows(result))
    scores = all_scores(result, labels)
    write_json(folder / "scores.json", scores)
    return scores


def lexicon_table(
    result: Result, labels: tuple[LabelledClusters, LabelledClusters] | None
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of ``lexicon.tsv``, the surest link first."""
    links, (a, b) = result.found.links, result.languages
    header = [
        "rank",
        f"cluster_{a}",
        f"cluster_{b}",
        "score",
        "cosine",
        "dice",
        "n_a",
        "n_b",
        "n_ab",
        "p",
        "q",
        "significant",
    ]
    found = result.found
    rows = []
    for i in range(len(links)):
        e, h = int(links.a[i]), int(links.b[i])
        numbers = (links.scores[i], links.cosine[i], links.dice[i])
        sizes = (result.clusters[0].sizes[e], result.clusters[1].sizes[h], links.n_ab[i])
        evidence = (f"{found.p[i]:.3g}", f"{found.q[i]:.3g}", "yes" if found.significant[i] else "no")
        rows.append([*map(str, (i + 1, e, h)), *(f"{x:.4f}" for x in numbers), *map(str, sizes), *evidence])
    if labels is not None:
        header += ["words_a", "purity_a", "words_b", "purity_b"]
        for i, row in enumerate(rows):
            for side, k in zip(labels, (links.a[i], links.b[i]), strict=True):
                row += [side.words[k], f"{side.purity[k]:.3f}"]
    if labels is not None and result.lexicon is not None:
        header += ["concept", "right"]
        shared = right_links(found, labels, Concepts(result.lexicon, result.languages))
        for row, names in zip(rows, shared, strict=True):
            row += ["|".join(sorted(names)) or "-", "yes" if names else "no"]
    return header, rows


EXEMPLARS_HEADER = (
    *("rank", "cluster_a", "cluster_b", "image", "score"),
    *("utt_a", "speaker_a", "t_a", "start_a", "end_a"),
    *("utt_b", "speaker_b", "t_b", "start_b", "end_b"),
    *("x_a", "y_a", "x_b", "y_b"),
)


def exemplar_rows(result: Result) -> Iterator[list[str]]:
    """Rows of ``exemplars.tsv``: the best peaks of every link, as many speakers as possible first."""
    peaks, links = result.peaks, result.found.links
    members: dict[tuple[int, int], list[int]] = {}
    for i, pair in enumerate(zip(*(side.labels.tolist() for side in result.clusters), strict=True)):
        members.setdefault(pair, []).append(i)
    for rank in range(len(links)):
        pair = (int(links.a[rank]), int(links.b[rank]))
        for i in _varied(members.get(pair, []), result):
            row = [str(rank + 1), *map(str, pair), peaks.image[i], f"{peaks.scores[i]:.4f}"]
            sides = ((peaks.utt_a, peaks.times_a), (peaks.utt_b, peaks.times_b))
            for speakers, (utts, times) in zip(result.utt2spk, sides, strict=True):
                row += [utts[i], speakers[utts[i]], *(f"{time:.3f}" for time in times[i])]
            seen = [x for side in (peaks.places_a, peaks.places_b) for x in (side[i, 2:] if len(side) else (np.nan,) * 2)]
            yield [*row, *("-" if np.isnan(x) else f"{x:g}" for x in seen)]


def _varied(rows: list[int], result: Result) -> list[int]:
    """The peaks that a link shows; those of speakers not heard yet and images not seen yet go first."""
    peaks = result.peaks
    by_score = sorted(rows, key=lambda i: (-peaks.scores[i], peaks.utt_a[i], peaks.utt_b[i]))
    speakers_a, speakers_b = result.utt2spk
    names = (
        {"image": peaks.image[i], "a": speakers_a[peaks.utt_a[i]], "b": speakers_b[peaks.utt_b[i]]} for i in by_score
    )
    return varied(dict(zip(by_score, names, strict=True)), ("image a b", "image a", "image", ""))


def varied(candidates: Mapping[int, Mapping[str, str]], wishes: Sequence[str]) -> list[int]:
    """At most ``EXEMPLARS`` peaks that differ as far as possible.

    Args:
        candidates: peak -> what it shows (its image, speakers), the best peak first.
        wishes: names of what must not have been shown yet; where the first wish leaves too few, the second is tried, and
            so on.
    """
    chosen: list[int] = []
    used: set[tuple[str, str]] = set()
    for wanted in wishes:
        for i, names in candidates.items():
            if len(chosen) == EXEMPLARS:
                return chosen
            if i not in chosen and not any((kind, names[kind]) in used for kind in wanted.split()):
                chosen.append(i)
                used.update(names.items())
    return chosen


def cluster_statistics(clusters: Clusters) -> dict[str, float]:
    """How many clusters were kept, of which share of the peaks, how large and how wide."""
    return {
        "kept": len(clusters),
        "peaks_kept": float(np.mean(clusters.labels >= 0)) if len(clusters.labels) else 0.0,
        "median_size": float(np.median(clusters.sizes)) if len(clusters) else 0.0,
        "mean_spread": float(np.mean(clusters.spread)) if len(clusters) else 0.0,
    }


def all_scores(result: Result, labels: tuple[LabelledClusters, LabelledClusters] | None) -> dict[str, Any]:
    """The contents of ``scores.json``; ``truth`` is there only when word times are."""
    peaks, found = result.peaks, result.found
    scores: dict[str, Any] = {
        "languages": list(result.languages),
        "pairs": peaks.n_pairs,
        "peaks": len(peaks),
        "clusters": {
            tag: cluster_statistics(side) for tag, side in zip(result.languages, result.clusters, strict=True)
        },
        "links": {"all": len(found.links), "significant": int(found.significant.sum())},
        "evidence": {"counted_on": result.evidence, "images": found.images, "tests": found.tests},
        "warnings": warnings(peaks, result.clusters, len(result.lexicon.concepts) if result.lexicon else None),
        "settings": result.settings,
    }
    if labels is not None:
        scores["truth"] = score_lexicon(
            peaks,
            result.clusters,
            found,
            labels,
            result.ctms,
            result.languages,
            result.lexicon,
            result.stop_words,
            result.scenes if len(peaks.places_a) else None,
        )
    return scores
