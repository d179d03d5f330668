"""Co-occurrence of codes and words, counted on two sides.

By the definition of the released ResDAVEnet-VQ code (Harwath, Hsu & Glass, ICLR 2020) the two sides count different
things: a *frame* with the code and the words in its window of +-40 ms, and a *token* of a word and the codes during it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgspeech.stats.aligned_words import AlignedWords, Tokens
from vgspeech.stats.alignments import NO_WORD
from vgspeech.units.clock import CodeClock

Array = np.ndarray[Any, np.dtype[Any]]

WINDOW_S = 0.04
"""Half the window around a frame, whatever the layer's frame shift."""
BATCH_FRAMES = 1 << 18
"""Frames counted at once: enough that numpy's cost a call does not matter, few enough for 100 MB."""


@dataclass
class Counts:
    """Co-occurrence counts of codes and words.

    Attributes:
        words: vocabulary in C order, ``<SIL>`` included.
        code_frames: (C,) frames of every code.
        tokens: (W,) tokens of every word.
        frames: (C, W) int32 frames of the code with the word in their window.
        covered: (C, W) int32 tokens of the word during which the code sounds.
        utterances: how many were counted.
    """

    words: list[str]
    code_frames: Array
    tokens: Array
    frames: Array
    covered: Array
    utterances: int = 0


def count_words(codes: Iterable[tuple[str, Array]], words: AlignedWords, n_codes: int, clock: CodeClock) -> Counts:
    """Count on both sides.

    Args:
        codes: utterance and its codes (T,); utterances that ``words`` does not have are left out.
        words: of all utterances.
        n_codes: size of the codebook.
        clock: of the codes.
    """
    vocabulary = sorted({*words.vocabulary, NO_WORD})
    column = np.searchsorted(np.array(vocabulary), np.array(words.vocabulary, dtype=str))
    silence, width = vocabulary.index(NO_WORD), len(vocabulary)
    counts = Counts(vocabulary, np.zeros(n_codes, np.int64), np.zeros(width, np.int64), *_zeros(n_codes, width))
    frames, covered = counts.frames.reshape(-1), counts.covered.reshape(-1)
    for batch in _batches((sequence, words[utt]) for utt, sequence in codes if utt in words):
        sequence, lengths, tokens = batch.codes, batch.lengths, batch.tokens
        ids = column[tokens.ids]
        counts.code_frames += np.bincount(sequence, minlength=n_codes)
        counts.tokens += np.bincount(ids, minlength=width)
        counts.utterances += len(lengths)
        frame, word = _frame_pairs(batch, ids, clock)
        _count(frames, sequence[frame] * width + word)
        empty = np.ones(len(sequence), bool)
        empty[frame] = False
        frames[silence::width] += np.bincount(sequence[empty], minlength=n_codes).astype(np.int32)
        code, word = _token_pairs(batch, ids, clock)
        _count(covered, code * width + word)
    return counts


def _zeros(n_codes: int, width: int) -> tuple[Array, Array]:
    return np.zeros((n_codes, width), np.int32), np.zeros((n_codes, width), np.int32)


@dataclass
class _Batch:
    """Utterances one after the other.

    Attributes:
        codes: (F,) int64 of all.
        lengths: (U,) frames of each.
        tokens: of all, times within their own utterance.
        owner: (N,) utterance of every token.
    """

    codes: Array
    lengths: Array
    tokens: Tokens
    owner: Array

    @property
    def bases(self) -> Array:
        """(N,) the first frame of every token's utterance."""
        return (np.cumsum(self.lengths) - self.lengths)[self.owner]


def _batches(utterances: Iterable[tuple[Array, Tokens]]) -> Iterator[_Batch]:
    held: list[tuple[Array, Tokens]] = []
    frames = 0
    for sequence, tokens in utterances:
        held.append((sequence, tokens))
        frames += len(sequence)
        if frames >= BATCH_FRAMES:
            yield _joined(held)
            held, frames = [], 0
    if held:
        yield _joined(held)


def _joined(held: list[tuple[Array, Tokens]]) -> _Batch:
    codes = np.concatenate([sequence for sequence, _ in held]).astype(np.int64)
    tokens = Tokens(*(np.concatenate(part) for part in zip(*(tokens for _, tokens in held), strict=True)))
    owner = np.repeat(np.arange(len(held)), [len(tokens.ids) for _, tokens in held])
    return _Batch(codes, np.array([len(sequence) for sequence, _ in held]), tokens, owner)


def _frame_pairs(batch: _Batch, ids: Array, clock: CodeClock) -> tuple[Array, Array]:
    """(frame, word) once for every frame and each distinct word in its window: start < centre + W, end >= centre - W."""
    centres = clock.centres(int(batch.lengths.max(initial=0)))
    limit = batch.lengths[batch.owner]
    first = np.minimum(np.searchsorted(centres + WINDOW_S, batch.tokens.starts, side="right"), limit)
    last = np.minimum(np.searchsorted(centres - WINDOW_S, batch.tokens.ends, side="right"), limit)
    token, frame = _positions(first + batch.bases, last + batch.bases)
    return _distinct(frame, ids[token])


def _token_pairs(batch: _Batch, ids: Array, clock: CodeClock) -> tuple[Array, Array]:
    """(code, word) once for every token and each distinct code from frame floor(start) to frame ceil(end)."""
    lead, limit = clock.offset_s - clock.shift_s / 2, batch.lengths[batch.owner]
    first = np.floor((batch.tokens.starts - lead) / clock.shift_s).astype(np.int64)
    last = np.ceil((batch.tokens.ends - lead) / clock.shift_s).astype(np.int64)
    first, last = np.clip(first, 0, limit), np.clip(last, 0, limit)
    token, frame = _positions(first + batch.bases, last + batch.bases)
    token, code = _distinct(token, batch.codes[frame])
    return code, ids[token]


def _positions(first: Array, last: Array) -> tuple[Array, Array]:
    """(index, position) for every position of each range first <= position < last."""
    lengths = np.maximum(last - first, 0)
    index = np.repeat(np.arange(len(first)), lengths)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)


def _distinct(first: Array, second: Array) -> tuple[Array, Array]:
    """Distinct pairs of two equally long arrays of whole numbers >= 0."""
    width = int(second.max(initial=0)) + 1
    keys, _ = _runs_of(first * width + second)
    return keys // width, keys % width


def _count(counts: Array, keys: Array) -> None:
    """Add to ``counts`` how often each key occurs."""
    keys, sizes = _runs_of(keys)
    counts[keys] += sizes.astype(counts.dtype)


def _runs_of(keys: Array) -> tuple[Array, Array]:
    """Distinct keys in order and how often each occurs. By sorting: np.unique's hash is five times as slow here."""
    keys = np.sort(keys)
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    return keys[first], np.diff(np.r_[first, len(keys)])
