"""Codes as a segmentation of speech, scored against words or phones, beside the same runs in random order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vgspeech.stats.aligned_words import AlignedWords, Tokens
from vgspeech.stats.clustering import information
from vgspeech.stats.segmentation import Segments, score_segmentation
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import Runs, expand, run_times

Array = np.ndarray[Any, np.dtype[Any]]


def shuffled(runs: Iterable[tuple[str, Runs]], seed: int) -> Iterator[tuple[str, Runs]]:
    """Each utterance's runs in random order: as many boundaries and the same codes, without their places."""
    for utt, found in runs:
        digest = hashlib.blake2b(f"{seed} {utt}".encode(), digest_size=8).digest()
        order = np.random.default_rng(int.from_bytes(digest, "big")).permutation(len(found.codes))
        yield utt, Runs(found.codes[order], found.lengths[order])


def frame_labels(tokens: Tokens, times: Array) -> Array:
    """(T,) the token id spoken at each time: start <= time < end; -1 where there is none."""
    if not len(tokens.ids):
        return np.full(len(times), -1, np.int64)
    last = np.searchsorted(tokens.starts, times, side="right") - 1
    inside = (last >= 0) & (times < tokens.ends[last])
    return np.where(inside, tokens.ids[last], -1)


def code_label_counts(runs: Iterable[tuple[str, Runs]], words: AlignedWords, n_codes: int, clock: CodeClock) -> Array:
    """(codes, labels) frames with each code and label; frames in silence are left out."""
    width = len(words.vocabulary)
    counts = np.zeros(n_codes * width, np.int64)
    for utt, found in runs:
        codes = expand(found)
        labels = frame_labels(words[utt], clock.centres(len(codes)))
        np.add.at(counts, codes[labels >= 0].astype(np.int64) * width + labels[labels >= 0], 1)
    return counts.reshape(n_codes, width)


def score_units(
    runs: Sequence[tuple[str, Runs]], words: AlignedWords, n_codes: int, clock: CodeClock, tolerances_s: Sequence[float]
) -> dict[str, Any]:
    """All segmentation scores of codes against words or phones.

    Args:
        runs: of utterances that ``words`` has.
        words: words or phones.
        n_codes: size of the codebook.
        clock: of the codes.
        tolerances_s: one set of boundary and token scores for each.

    Returns:
        {"segmentation": [see `score_segmentation`], "agreement": see `information` (frames outside silence)}.
    """
    pairs = [(Segments(words[utt].starts, words[utt].ends), run_times(found, clock)) for utt, found in runs]
    return {
        "segmentation": [score_segmentation(pairs, tolerance) for tolerance in tolerances_s],
        "agreement": information(code_label_counts(runs, words, n_codes, clock)),
    }
