"""Scores of peaks, clusters and links against word times and the true lexicon, as far as these exist."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from vgspeech.datadir import Lexicon, Word, plain_form
from vgspeech.lexicon.clusters import Clusters
from vgspeech.lexicon.discover import FoundLexicon
from vgspeech.lexicon.links import link_scores
from vgspeech.lexicon.peaks import Peaks
from vgspeech.lexicon.place_scores import Scenes, place_scores
from vgspeech.lexicon.precision import mean_reciprocal_rank, precision_recall, share_right
from vgspeech.stats.alignments import interval_at, word_at
from vgspeech.stats.clustering import agreement, majority

Array = np.ndarray[Any, np.dtype[Any]]
Words = Mapping[str, Sequence[Word]]

FIRST = (10, 20)
MIN_TOKENS = 30
"""Recall is over words that were said at least this often."""


@dataclass
class LabelledClusters:
    """What the clusters of one language stand for, by the word times.

    Attributes:
        peak_words: the word spoken at every peak, ``<SIL>`` where there is none.
        words, purity: of every cluster, its commonest word and the share of peaks that have it.
    """

    peak_words: list[str]
    words: list[str]
    purity: list[float]


def label_clusters(utts: Sequence[str], times: Array, clusters: Clusters, ctm: Words) -> LabelledClusters:
    """Label peaks by the word spoken at them, and clusters by majority.

    Args:
        utts: (N) utterance of every peak.
        times: (N, 3) seconds; the first column is the peak.
        clusters: of the language.
        ctm: word times.
    """
    words = [word_at(ctm.get(utt, ()), time) for utt, time in zip(utts, times[:, 0], strict=True)]
    kept = np.flatnonzero(clusters.labels >= 0)
    found = majority(clusters.labels[kept], [words[i] for i in kept], len(clusters))
    return LabelledClusters(words, [word for word, _ in found], [share for _, share in found])


class Concepts:
    """Concepts that words of two languages share."""

    def __init__(self, lexicon: Lexicon, languages: tuple[str, str]) -> None:
        self.total = len(lexicon.concepts)
        self._lexicon, self._languages = lexicon, languages
        self._known: dict[tuple[int, str], frozenset[str]] = {}

    def of(self, side: int, word: str) -> frozenset[str]:
        """Concepts that ``word`` of language 0 or 1 names."""
        key = (side, word)
        if key not in self._known:
            find, language = self._lexicon.concepts_of, self._languages[side]
            # Alignments are often in capitals throughout, lexicons are not.
            self._known[key] = frozenset(find(language, word))
        return self._known[key]

    def shared(self, word_a: str, word_b: str) -> frozenset[str]:
        """Concepts that both words name."""
        return self.of(0, word_a) & self.of(1, word_b)


def score_lexicon(
    peaks: Peaks,
    clusters: tuple[Clusters, Clusters],
    found: FoundLexicon,
    labels: tuple[LabelledClusters, LabelledClusters],
    ctms: tuple[Words, Words],
    languages: tuple[str, str],
    lexicon: Lexicon | None,
    stop_words: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset()),
    scenes: tuple[Scenes, tuple[Mapping[str, str], Mapping[str, str]]] | None = None,
) -> dict[str, Any]:
    """All scores that the truth at hand allows.

    Args:
        peaks, clusters, found: the result.
        labels: of both languages' clusters.
        ctms: word times of both languages' captions that were searched.
        languages: their tags.
        lexicon: which words name which concept; None leaves out everything about concepts.
        stop_words: plain forms of both languages that a second set of scores leaves out; empty: no such set.
        scenes: what is in the images, and every caption's image; None leaves places out.
    """
    sides = zip(languages, clusters, labels, strict=True)
    scores: dict[str, Any] = {
        "clusters_against_words": {tag: words_agreement(side, named) for tag, side, named in sides}
    }
    utts, times = (peaks.utt_a, peaks.utt_b), (peaks.times_a, peaks.times_b)
    scores["interval_error_ms"] = {tag: interval_errors(utts[i], times[i], ctms[i]) for i, tag in enumerate(languages)}
    scores["coverage"] = {
        tag: coverage(utts[i], times[i], clusters[i], labels[i], ctms[i]) for i, tag in enumerate(languages)
    }
    concepts = Concepts(lexicon, languages) if lexicon else None
    if any(stop_words):
        scores["without_stop_words"] = without_stop_words(clusters, labels, languages, stop_words, concepts)
    if concepts is None:
        return scores
    if scenes is not None:
        scores["place_in_box"] = {
            tag: place_scores(
                [scenes[1][i][utt] for utt in utts[i]],
                (peaks.places_a, peaks.places_b)[i],
                labels[i].peak_words,
                partial(concepts.of, i),
                scenes[0],
            )
            for i, tag in enumerate(languages)
        }
    pairs = sorted(set(zip(peaks.utt_a, peaks.utt_b, strict=True)))
    same = [bool(concepts.shared(*words)) for words in zip(labels[0].peak_words, labels[1].peak_words, strict=True)]
    right = right_links(found, labels, concepts)
    flags = np.array([bool(names) for names in right], dtype=bool)
    scores["same_concept"] = {"rate": _mean(same), "chance": chance_same_concept(pairs, ctms, concepts)}
    scores["links_right"] = {
        **{f"first_{n}": share_right(flags[:n]) for n in FIRST},
        "all": share_right(flags),
        "significant": share_right(flags[found.significant]),
        "random_pair": _random_pair(labels, concepts),
    }
    shared = np.array([[bool(concepts.shared(a, b)) for b in labels[1].words] for a in labels[0].words], bool)
    shared = shared.reshape(len(clusters[0]), len(clusters[1]))
    table = link_scores(*clusters, found.by)[found.by]
    scores["mean_reciprocal_rank"] = {
        f"{languages[0]}>{languages[1]}": mean_reciprocal_rank(table, shared),
        f"{languages[1]}>{languages[0]}": mean_reciprocal_rank(table.T, shared.T),
    }
    scores["precision_recall"] = precision_recall(right, concepts.total)
    scores["concepts"] = {
        "found": len(frozenset().union(*right)),
        "found_significant": len(frozenset().union(*(right[i] for i in np.flatnonzero(found.significant)))),
        "of": concepts.total,
    }
    linked = (found.links.a[flags], found.links.b[flags])
    scores["words"] = {
        tag: word_recall({labels[i].words[k] for k in linked[i]}, ctms[i], i, concepts)
        for i, tag in enumerate(languages)
    }
    return scores


def without_stop_words(
    clusters: tuple[Clusters, Clusters],
    labels: tuple[LabelledClusters, LabelledClusters],
    languages: tuple[str, str],
    stop_words: tuple[frozenset[str], frozenset[str]],
    concepts: Concepts | None,
) -> dict[str, Any]:
    """The scores of peaks, without those at a stop word: agreement of clusters and words (of each language's peaks that
    are at none), and the rate of the same concept (of peaks that are at none in either).

    Args:
        clusters, labels, languages: as in `score_lexicon`.
        stop_words: of both languages, in plain form.
        concepts: None leaves the rate out.
    """
    kept = [
        np.array([plain_form(word) not in left_out for word in named.peak_words], bool)
        for named, left_out in zip(labels, stop_words, strict=True)
    ]
    sides = zip(languages, clusters, labels, kept, strict=True)
    scores: dict[str, Any] = {
        "peaks": int((kept[0] & kept[1]).sum()),
        "clusters_against_words": {tag: words_agreement(side, named, keep) for tag, side, named, keep in sides},
    }
    if concepts is not None:
        rows = np.flatnonzero(kept[0] & kept[1])
        words = labels[0].peak_words, labels[1].peak_words
        scores["same_concept"] = _mean([bool(concepts.shared(words[0][i], words[1][i])) for i in rows])
    return scores


def right_links(
    found: FoundLexicon, labels: tuple[LabelledClusters, LabelledClusters], concepts: Concepts
) -> list[frozenset[str]]:
    """For every link the concepts that its two words share; empty for a wrong link."""
    pairs = zip(found.links.a, found.links.b, strict=True)
    return [concepts.shared(labels[0].words[a], labels[1].words[b]) for a, b in pairs]


def chance_same_concept(pairs: Sequence[tuple[str, str]], ctms: tuple[Words, Words], concepts: Concepts) -> float:
    """Expected same-concept rate of two moments drawn at random from the captions of a pair, mean over pairs.

    Args:
        pairs: utterance ids.
        ctms: word times; a caption reaches from 0 to the end of its last word.
    """
    rates = []
    for utts in pairs:
        words = [ctms[side].get(utt, ()) for side, utt in enumerate(utts)]
        if not all(words):
            continue
        shared = sum(
            (x.end_s - x.start_s) * (y.end_s - y.start_s)
            for x in words[0]
            if concepts.of(0, x.text)
            for y in words[1]
            if concepts.shared(x.text, y.text)
        )
        rates.append(shared / (max(x.end_s for x in words[0]) * max(y.end_s for y in words[1])))
    return _mean(rates)


def word_recall(found: set[str], ctm: Words, side: int, concepts: Concepts) -> dict[str, float | int]:
    """Share of the lexicon's word forms, said at least ``MIN_TOKENS`` times, that a right link stands for."""
    counts = Counter(word.text for words in ctm.values() for word in words)
    frequent = {word for word, count in counts.items() if count >= MIN_TOKENS and concepts.of(side, word)}
    hits = len(frequent & found)
    recall = hits / len(frequent) if frequent else 0.0
    return {"found": hits, "of": len(frequent), "recall": recall, "min_tokens": MIN_TOKENS}


def coverage(
    utts: Sequence[str], times: Array, clusters: Clusters, labels: LabelledClusters, ctm: Words
) -> dict[str, Any]:
    """How many of a word's tokens hold a peak of a cluster that is labelled with it.

    Args:
        utts, times: utterance and (N, 3) seconds of every peak.
        clusters, labels: of the language.
        ctm: word times.

    Returns:
        ``mean`` over the words that label a cluster, and how many ``words`` these are.
    """
    tokens = Counter(word.text for words in ctm.values() for word in words)
    found: set[tuple[str, str, float]] = set()
    for utt, time, cluster, word in zip(utts, times[:, 0], clusters.labels, labels.peak_words, strict=True):
        interval = interval_at(ctm.get(utt, ()), time)
        if cluster >= 0 and interval and labels.words[cluster] == word:
            found.add((word, utt, interval[0]))
    hits = Counter(word for word, _, _ in found)
    return {"mean": _mean([hits[word] / tokens[word] for word in sorted(hits)]), "words": len(hits)}


def interval_errors(utts: Sequence[str], times: Array, ctm: Words) -> dict[str, float | int]:
    """Median errors of the found intervals, and of the best fixed window around the peak, in milliseconds.

    Args:
        utts: (N) utterance of every peak.
        times: (N, 3) seconds: peak, start, end.
        ctm: word times; peaks outside words are left out.
    """
    rows = [
        (*time, *interval)
        for utt, time in zip(utts, times, strict=True)
        if (interval := interval_at(ctm.get(utt, ()), time[0]))
    ]
    if not rows:
        return {"peaks": 0}
    at, start, end, true_start, true_end = np.array(rows).T
    before, after = np.median(at - true_start), np.median(true_end - at)
    errors = {
        "start": start - true_start,
        "end": end - true_end,
        "start_fixed_window": at - before - true_start,
        "end_fixed_window": at + after - true_end,
    }
    return {"peaks": len(rows), **{name: round(1000 * float(np.median(np.abs(e))), 1) for name, e in errors.items()}}


def words_agreement(clusters: Clusters, labels: LabelledClusters, keep: Array | bool = True) -> dict[str, float]:
    """Purity, NMI and V-measure of the clusters that were kept, against the words at their peaks (``keep``: at these)."""
    kept = np.flatnonzero((clusters.labels >= 0) & keep)
    return agreement(clusters.labels[kept], [labels.peak_words[i] for i in kept])


def _random_pair(labels: tuple[LabelledClusters, LabelledClusters], concepts: Concepts) -> float:
    """Chance that two clusters drawn at random share a concept: the precision of random links."""
    counts: tuple[dict[str, int], dict[str, int]] = (defaultdict(int), defaultdict(int))
    for side in (0, 1):
        for word in labels[side].words:
            counts[side][word] += 1
    total = len(labels[0].words) * len(labels[1].words)
    hits = sum(n * m for a, n in counts[0].items() for b, m in counts[1].items() if concepts.shared(a, b))
    return hits / total if total else 0.0


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0
