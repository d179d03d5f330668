"""Codes as word detectors: does a code sound when, and only when, a word is said?

By the definition of the released ResDAVEnet-VQ code (Harwath, Hsu & Glass, ICLR 2020), the two sides of F1 count
different things:

* precision P(word | code): of the *frames* with the code, the share whose window of +-40 ms overlaps the word. Silence
  counts as ``<SIL>``; stop words are left out of the words afterwards, so they lower no other word's precision.
* recall R(word, code): of the *tokens* of the word, the share during which the code sounds in at least one frame.

"Occurrences" in the tables are the numerator of the recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vgspeech.datadir import Word
from vgspeech.stats.alignments import NO_WORD

Array = np.ndarray[Any, np.dtype[Any]]

WINDOW_S = 0.04
"""Half the window around a frame, whatever the layer's frame shift."""
GOOD_F1 = 0.5
TOP_WORDS = 250


class CodeClock(NamedTuple):
    """When code frames are: frame f is centred at f * shift_s + offset_s seconds (released definition: shift_s / 2)."""

    shift_s: float
    offset_s: float


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
class Counts:
    """Co-occurrence counts of codes and words.

    Attributes:
        words: vocabulary in C order, ``<SIL>`` included.
        code_frames: (C,) frames of every code.
        tokens: (W,) tokens of every word.
        frames: (C, W) frames of the code with the word in their window.
        covered: (C, W) tokens of the word during which the code sounds.
    """

    words: list[str]
    code_frames: Array
    tokens: Array
    frames: Array
    covered: Array


def f1_score(precision: float, recall: float) -> float:
    """2PR / (P + R), 0 when both are 0."""
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def count_words(
    utterances: Iterable[tuple[Array, Sequence[Word]]], n_codes: int, vocabulary: Iterable[str], clock: CodeClock
) -> Counts:
    """Count on both sides.

    Args:
        utterances: codes (T,) of each and its words with times.
        n_codes: size of the codebook.
        vocabulary: all words.
        clock: of the codes.
    """
    words = sorted({*vocabulary, NO_WORD})
    index = {word: i for i, word in enumerate(words)}
    frames, covered = np.zeros(n_codes * len(words), np.int64), np.zeros(n_codes * len(words), np.int64)
    code_frames, tokens = np.zeros(n_codes, np.int64), np.zeros(len(words), np.int64)
    for codes, said in utterances:
        codes = np.asarray(codes, dtype=np.int64)
        ids = np.array([index[word.text] for word in said], dtype=np.int64)
        times = np.array([(word.start_s, word.end_s) for word in said]).reshape(-1, 2)
        np.add.at(code_frames, codes, 1)
        np.add.at(tokens, ids, 1)
        for counts, (code, word) in (
            (frames, _frame_pairs(codes, ids, times, clock, index[NO_WORD])),
            (covered, _token_pairs(codes, ids, times, clock)),
        ):
            np.add.at(counts, code * len(words) + word, 1)
    shape = (n_codes, len(words))
    return Counts(words, code_frames, tokens, frames.reshape(shape), covered.reshape(shape))


def _frame_pairs(codes: Array, ids: Array, times: Array, clock: CodeClock, silence: int) -> tuple[Array, Array]:
    """(code, word) once for every frame and each distinct word in its window; (code, silence) where there is none."""
    # Order of operations and the >= are the released code's: they decide the ties, which are many at rounded times.
    centres = (np.arange(len(codes)) + clock.offset_s / clock.shift_s) * clock.shift_s
    inside = (times[:, 0] < (centres + WINDOW_S)[:, None]) & (times[:, 1] >= (centres - WINDOW_S)[:, None])
    frame, token = np.nonzero(inside)
    frame, word = _distinct(frame, ids[token])
    empty = np.flatnonzero(~inside.any(1))
    return np.concatenate([codes[frame], codes[empty]]), np.concatenate([word, np.full(len(empty), silence)])


def _token_pairs(codes: Array, ids: Array, times: Array, clock: CodeClock) -> tuple[Array, Array]:
    """(code, word) once for every token and each distinct code from frame floor(start) to frame ceil(end)."""
    shifted = (times - (clock.offset_s - clock.shift_s / 2)) / clock.shift_s
    first = np.clip(np.floor(shifted[:, 0]).astype(np.int64), 0, len(codes))
    last = np.clip(np.ceil(shifted[:, 1]).astype(np.int64), first, len(codes))
    lengths = last - first
    token = np.repeat(np.arange(len(ids)), lengths)
    frame = np.arange(len(token)) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)
    token, code = _distinct(token, codes[frame])
    return code, ids[token]


def _distinct(first: Array, second: Array) -> tuple[Array, Array]:
    """Distinct pairs of two equally long arrays of whole numbers >= 0."""
    width = int(second.max(initial=0)) + 1
    keys = np.unique(first * width + second)
    return keys // width, keys % width


def detectors(counts: Counts, stop_words: Iterable[str] = (), min_occurrences: int = 1) -> list[list[Detector]]:
    """For every code that detects anything its words, best F1 first; the codes by their best F1.

    Ties go to the code, then the word, that comes first.

    Args:
        counts: from `count_words`.
        stop_words: words that no code is asked to detect.
        min_occurrences: pairs with fewer covered tokens are left out.
    """
    skipped = {*stop_words, NO_WORD}
    allowed = np.array([word not in skipped for word in counts.words])
    found: dict[int, list[Detector]] = {}
    for code, word in np.argwhere((counts.covered >= max(min_occurrences, 1)) & allowed).tolist():
        if not counts.frames[code, word]:
            continue
        precision = float(counts.frames[code, word] / counts.code_frames[code])
        recall = float(counts.covered[code, word] / counts.tokens[word])
        f1 = f1_score(precision, recall)
        occurrences = int(counts.covered[code, word])
        found.setdefault(code, []).append(Detector(code, counts.words[word], f1, precision, recall, occurrences))
    for words in found.values():
        words.sort(key=lambda d: (-d.f1, d.word))
    return sorted(found.values(), key=lambda words: (-words[0].f1, words[0].code))


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


def detector_scores(ranked: Sequence[Sequence[Detector]], n_codes: int) -> dict[str, Any]:
    """Summary: words detected with F1 >= .5, mean F1 of the best words, and how many words pass other thresholds.

    A word's F1 is that of its best code.
    """
    best: dict[str, float] = {}
    for words in ranked:
        for d in words:
            best[d.word] = max(best.get(d.word, 0.0), d.f1)
    values = np.sort(np.array(list(best.values())))[::-1]
    top = values[:TOP_WORDS]
    return {
        "words_with_f1_at_least_0.5": int((values >= GOOD_F1).sum()),
        "mean_f1_of_top_words": float(top.mean()) if len(top) else 0.0,
        "top_words": len(top),
        "codes_used": len(ranked),
        "codes": n_codes,
        "codes_with_f1_at_least_0.5": sum(words[0].f1 >= GOOD_F1 for words in ranked),
        "words_by_threshold": {f"{t:.1f}": int((values >= t).sum()) for t in np.arange(1, 10) / 10},
    }
