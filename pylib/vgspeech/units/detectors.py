"""Codes as word detectors: does a code sound when, and only when, a word is said?

The two sides of F1 count different things (see `vgspeech.units.cooccurrence`; Harwath, Hsu & Glass, ICLR 2020):

* precision P(word | code): of the *frames* with the code, the share whose window overlaps the word. Silence counts as
  ``<SIL>``; stop words are left out of the words afterwards, so they lower no other word's precision.
* recall R(word, code): of the *tokens* of the word, the share during which the code sounds in at least one frame.

"Occurrences" in the tables are the numerator of the recall. The segment-side precision (that of VG-HuBERT, Peng &
Harwath, Interspeech 2022) is another number: of the word tokens during which the code sounds, the share of the word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from vgspeech.stats.alignments import NO_WORD
from vgspeech.units.cooccurrence import Counts

Array = np.ndarray[Any, np.dtype[Any]]

PrecisionSide = Literal["frame", "segment"]
GOOD_F1 = 0.5
GOOD_PRECISION = 0.35
TOP_WORDS = 250
THRESHOLDS = tuple(np.arange(1, 20) / 20)


class Detector(NamedTuple):
    """A code as detector of one word.

    Attributes:
        code, word: which.
        f1, precision, recall: 0 to 1.
        occurrences: tokens of the word during which the code sounds.
    """

    code: int
    word: str
    f1: float
    precision: float
    recall: float
    occurrences: int


@dataclass
class Detections:
    """All pairs of a code and a word that it detects at all; codes by their best F1, the words of each by theirs.

    Ties go to the code, then the word, that comes first.

    Attributes:
        words: vocabulary in C order.
        code, word: (N,) which; ``word`` counts in the vocabulary.
        f1, precision, recall: (N,) 0 to 1.
        occurrences: (N,) covered tokens.
    """

    words: list[str]
    code: Array
    word: Array
    f1: Array
    precision: Array
    recall: Array
    occurrences: Array

    def __len__(self) -> int:
        return len(self.code)

    def at(self, i: int) -> Detector:
        """One pair."""
        f1, precision, recall = (float(values[i]) for values in (self.f1, self.precision, self.recall))
        return Detector(int(self.code[i]), self.words[self.word[i]], f1, precision, recall, int(self.occurrences[i]))

    def first_of_codes(self) -> Array:
        """Where each code's words begin, in the order of the codes."""
        return np.flatnonzero(np.r_[True, self.code[1:] != self.code[:-1]]) if len(self) else np.zeros(0, np.int64)

    def ranked(self, best: int = 2) -> list[list[Detector]]:
        """For every code its ``best`` words at the most."""
        first = self.first_of_codes()
        last = np.minimum(np.r_[first[1:], len(self)], first + best)
        return [[self.at(i) for i in range(a, b)] for a, b in zip(first.tolist(), last.tolist(), strict=True)]

    def best_of_words(self) -> Array:
        """(words detected,) where the best pair of every word is, best first."""
        order = np.lexsort((self.code, -self.f1))
        _, place = np.unique(self.word[order], return_index=True)
        return order[np.sort(place)]


def f1_score(precision: float, recall: float) -> float:
    """2PR / (P + R), 0 when both are 0."""
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def detections(
    counts: Counts, stop_words: Iterable[str] = (), min_occurrences: int = 1, side: PrecisionSide = "frame"
) -> Detections:
    """Score every pair that occurs on both sides.

    Args:
        counts: from `count_words`.
        stop_words: words that no code is asked to detect.
        min_occurrences: pairs with fewer covered tokens are left out.
        side: what the precision counts, see the module's text.
    """
    skipped = {*stop_words, NO_WORD}
    allowed = np.array([word not in skipped for word in counts.words])
    hits = counts.frames if side == "frame" else counts.covered
    trials = counts.code_frames if side == "frame" else counts.covered.sum(1, dtype=np.int64)
    code, word = np.nonzero((counts.covered >= max(min_occurrences, 1)) & allowed & (hits > 0))
    occurrences = counts.covered[code, word].astype(np.int64)
    precision, recall = hits[code, word] / trials[code], occurrences / counts.tokens[word]
    f1 = 2 * precision * recall / (precision + recall)
    best = np.zeros(len(counts.code_frames))
    np.maximum.at(best, code, f1)
    order = np.lexsort((word, -f1, code, -best[code]))
    return Detections(counts.words, *(values[order] for values in (code, word, f1, precision, recall, occurrences)))


TABLE_HEADER = (
    *("rank", "code", "word", "F1", "P", "R", "occ"),
    *("second_word", "second_F1", "second_P", "second_R", "second_occ"),
)


def table_rows(ranked: Sequence[Sequence[Detector]]) -> list[list[str]]:
    """Rows of ``word_detectors.tsv``: the two best words of every code, percentages; "-" where there is no second."""
    rows = []
    for rank, words in enumerate(ranked, start=1):
        row = [str(rank), str(words[0].code)]
        for place in (0, 1):
            if place < len(words):
                d = words[place]
                percent = (f"{100 * value:.2f}" for value in (d.f1, d.precision, d.recall))
                row += [d.word, *percent, str(d.occurrences)]
            else:
                row += ["-"] * 5
        rows.append(row)
    return rows


def detector_scores(found: Detections, n_codes: int) -> dict[str, Any]:
    """Summary: words detected with F1 >= .5, mean F1 of the best words, and how many words pass other thresholds.

    A word's F1 is that of its best code.
    """
    values = found.f1[found.best_of_words()]
    top = values[:TOP_WORDS]
    best = found.first_of_codes()
    return {
        "words_with_f1_at_least_0.5": int((values >= GOOD_F1).sum()),
        "mean_f1_of_top_words": float(top.mean()) if len(top) else 0.0,
        "top_words": len(top),
        "codes_used": len(best),
        "codes": n_codes,
        "codes_with_f1_at_least_0.5": int((found.f1[best] >= GOOD_F1).sum()),
        "codes_with_precision_at_least_0.35": int((found.precision[best] >= GOOD_PRECISION).sum()),
        "words_by_threshold": {f"{t:.2f}": int((values >= t).sum()) for t in THRESHOLDS},
    }
