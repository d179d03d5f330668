"""Scores of query by voice: keyword spotting, and whether the word is found at the right time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgspeech.datadir import ImageSet, Lexicon, SpeechSet, Word
from vgspeech.errors import DataError
from vgspeech.lexicon.voice_query import Hits

Array = np.ndarray[Any, np.dtype[Any]]

TOP = 10
LEAST_IOU = 0.5
"""A word is found in time when intersection over union of the found and the true stretch reaches this."""
METRICS = ("p_at_10", "p_at_n", "eer", "p_at_10_localised", "chance")


def score_ranking(scores: Array, relevant: Array, overlaps: Array | None = None) -> dict[str, float] | None:
    """Scores of one query.

    Args:
        scores: (C) of all candidates; equal ones are ranked against the query (irrelevant first).
        relevant: (C) bool.
        overlaps: (C) intersection over union of the found with the true stretch; None without true times.

    Returns:
        P@10, P@N (N: relevant candidates), equal error rate, P@10 where a hit must also overlap by ``LEAST_IOU``, and
        the share of relevant candidates (P@10 and P@N by chance); None without relevant or without irrelevant
        candidates, where there is nothing to find.
    """
    count = int(relevant.sum())
    if count in (0, len(relevant)):
        return None
    order = np.lexsort((relevant, -scores))
    found = {
        "p_at_10": float(relevant[order[:TOP]].mean()),
        "p_at_n": float(relevant[order[:count]].mean()),
        "eer": equal_error_rate(scores, relevant),
        "chance": count / len(relevant),
    }
    if overlaps is not None:
        found["p_at_10_localised"] = float((relevant & (overlaps >= LEAST_IOU))[order[:TOP]].mean())
    return found


def equal_error_rate(scores: Array, relevant: Array) -> float:
    """Where as many relevant candidates are missed as irrelevant ones are taken, interpolated along the ROC curve."""
    from sklearn.metrics import roc_curve

    taken, hit, _ = roc_curve(relevant, scores, drop_intermediate=False)
    excess = taken - (1 - hit)  # rises from -1 to 1
    after = int(np.flatnonzero(excess >= 0)[0])
    step = excess[after] - excess[after - 1]
    weight = -excess[after - 1] / step
    return float(taken[after - 1] + weight * (taken[after] - taken[after - 1]))


def overlap(start_s: float, end_s: float, words: Sequence[Word]) -> float:
    """Best intersection over union of a stretch with one of several words."""
    shared = [max(0.0, min(end_s, word.end_s) - max(start_s, word.start_s)) for word in words]
    unions = [max(end_s, word.end_s) - min(start_s, word.start_s) for word in words]
    return max((s / u for s, u in zip(shared, unions, strict=True) if u > 0), default=0.0)


def macro_average(words: Sequence[str], scores: Sequence[dict[str, float] | None]) -> dict[str, float | int]:
    """Mean over words of the mean over each word's queries; what could not be scored is counted.

    Args:
        words: the word of every query.
        scores: of every query, from `score_ranking`.
    """
    by_word: dict[str, list[dict[str, float]]] = defaultdict(list)
    for word, values in zip(words, scores, strict=True):
        if values is not None:
            by_word[word].append(values)
    means: dict[str, float | int] = {"words": len(by_word), "queries": sum(map(len, by_word.values()))}
    means["without_relevant"] = len(words) - int(means["queries"])
    for metric in METRICS:
        per_word = [
            float(np.mean([values[metric] for values in rows])) for rows in by_word.values() if metric in rows[0]
        ]
        if per_word:
            means[metric] = float(np.mean(per_word))
    return means


@dataclass(frozen=True)
class Asked:
    """What is known of the queries.

    Attributes:
        words: the word of every query.
        concepts: what it names.
        images: the image that each query was recorded for, or whose caption it was cut from.
        others_only: leave captions and images of a query's own image out.
    """

    words: list[str]
    concepts: list[set[str]]
    images: list[str]
    others_only: bool

    @classmethod
    def of(cls, queries: SpeechSet, language: str, lexicon: Lexicon, others_only: bool) -> Asked:
        """From a speech set whose ``text`` holds one word each.

        Raises:
            DataError: a query has no text.
        """
        for query in queries.ids:
            if query not in queries.text:
                raise DataError(f"query '{query}' has no line", where=str(queries.path / "text"))
        words = [queries.text[query] for query in queries.ids]
        concepts = [lexicon.concepts_of(language, word) for word in words]
        return cls(words, concepts, [queries.utt2image[query] for query in queries.ids], others_only)

    def candidates(self, n: int, images: Sequence[str]) -> Array:
        """(C,) bool: the candidates, each of an image, that query ``n`` is scored on."""
        return np.array([not self.others_only or image != self.images[n] for image in images])


def score_captions(
    asked: Asked, hits: Hits, searched: SpeechSet, language: str, lexicon: Lexicon
) -> dict[str, float | int]:
    """Scores of a search in captions, by their word times or, without these, their transcripts (then not in time).

    Args:
        asked, hits: queries and what was found.
        searched: the captions, in ``language``.
        lexicon: a caption with any word for the query's concept is relevant.
    """
    timed = bool(searched.ctm)
    spoken = {
        utt: searched.ctm.get(utt, ()) if timed else _untimed(searched.text.get(utt, "")) for utt in hits.captions
    }
    images = [searched.utt2image[utt] for utt in hits.captions]
    scores = []
    for n, concepts in enumerate(asked.concepts):
        named = [
            [word for word in spoken[utt] if concepts & lexicon.concepts_of(language, word.text)]
            for utt in hits.captions
        ]
        overlaps = np.array(
            [overlap(start, end, words) for (_, start, end), words in zip(hits.times[n], named, strict=True)]
        )
        kept = asked.candidates(n, images)
        relevant = np.array([bool(words) for words in named])
        scores.append(score_ranking(hits.scores[n][kept], relevant[kept], overlaps[kept] if timed else None))
    return macro_average(asked.words, scores)


def _untimed(text: str) -> list[Word]:
    """The words of a transcript and, for names of several words, all of it."""
    return [Word(0.0, 0.0, word) for word in (text, *text.split())]


def score_images(asked: Asked, images: Sequence[str], scores: Array, shown: ImageSet) -> dict[str, float | int]:
    """Scores of a search in images, by the concepts of their objects.

    Args:
        asked: the queries.
        images: ids of the I images.
        scores: (N, I).
        shown: what is in them.
    """
    objects = shown.objects()
    named = {
        image: {name for thing in objects.get(image, ()) for name in (thing.concept, thing.colour)} for image in images
    }
    rows = []
    for n, concepts in enumerate(asked.concepts):
        kept = asked.candidates(n, images)
        relevant = np.array([bool(concepts & named[image]) for image in images])
        rows.append(score_ranking(scores[n][kept], relevant[kept]))
    return macro_average(asked.words, rows)
