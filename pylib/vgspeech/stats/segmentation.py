"""How well a segmentation of speech agrees with aligned words or phones: boundaries and tokens, with a tolerance.

Scored is what lies between an utterance's start and the end of its last word. Both edges are given away for nothing, so
they are left out, with the found boundaries that are as near to them as the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_ROUNDING_S = 1e-6
"""Times that differ by less are one: files hold six decimals at the most."""


class Segments(NamedTuple):
    """Segments of an utterance in order: ``starts`` and ``ends`` (N,) in seconds; there may be gaps between them."""

    starts: Array
    ends: Array

    def boundaries(self) -> Array:
        """Every start and end once, in order."""
        times = np.sort(np.concatenate([self.starts, self.ends]))
        return times[np.r_[True, np.diff(times) > _ROUNDING_S]] if len(times) else times


class Matches(NamedTuple):
    """How many of the reference's and of the found items are there, and how many pairs agree (one to one)."""

    hits: int
    reference: int
    found: int

    def __add__(self, other: object) -> Matches:
        """Sums over utterances."""
        if not isinstance(other, Matches):
            return NotImplemented
        return Matches(self.hits + other.hits, self.reference + other.reference, self.found + other.found)

    @property
    def precision(self) -> float:
        """Share of the found items that agree."""
        return self.hits / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the reference's items that were found."""
        return self.hits / self.reference if self.reference else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    @property
    def over_segmentation(self) -> float:
        """R / P - 1, which is found / reference - 1: 0 when as many were found as there are, -1 when none."""
        return self.found / self.reference - 1 if self.reference else 0.0

    @property
    def r_value(self) -> float:
        """1 - (|r1| + |r2|) / 2 (Räsänen, Laine & Altosaar, Interspeech 2009): cannot be raised by more boundaries."""
        os, recall = self.over_segmentation, self.recall
        r1, r2 = np.hypot(1 - recall, os), (recall - 1 - os) / np.sqrt(2)
        return float(1 - (abs(r1) + abs(r2)) / 2)

    def scores(self) -> dict[str, float]:
        """All of them by name."""
        names = ("precision", "recall", "f1", "over_segmentation", "r_value")
        return {**self._asdict(), **{name: float(getattr(self, name)) for name in names}}


NONE = Matches(0, 0, 0)


def match_times(reference: Array, found: Array, tolerance_s: float) -> int:
    """The largest number of pairs (one to one) of two sorted lists of seconds that differ by the tolerance at most."""
    limit = tolerance_s + _ROUNDING_S
    r, f = reference.tolist(), found.tolist()
    i = j = hits = 0
    while i < len(r) and j < len(f):
        if abs(r[i] - f[j]) <= limit:
            hits, i, j = hits + 1, i + 1, j + 1
        elif r[i] < f[j]:
            i += 1
        else:
            j += 1
    return hits


def match_boundaries(reference: Segments, found: Segments, tolerance_s: float) -> Matches:
    """Boundaries of one utterance."""
    if not len(reference.ends):
        return NONE
    last, limit = float(reference.ends.max()), tolerance_s + _ROUNDING_S
    truth, guesses = reference.boundaries(), found.boundaries()
    truth = truth[(truth > _ROUNDING_S) & (truth < last - _ROUNDING_S)]
    guesses = guesses[(guesses > limit) & (guesses < last - limit)]
    return Matches(match_times(truth, guesses, tolerance_s), len(truth), len(guesses))


def match_tokens(reference: Segments, found: Segments, tolerance_s: float) -> Matches:
    """Tokens of one utterance: a segment is right when both its ends are, and each token is found once.

    Segments that begin after the last word are not counted.
    """
    if not len(reference.ends):
        return NONE
    limit = tolerance_s + _ROUNDING_S
    counted = found.starts < reference.ends.max() - limit
    starts, ends = found.starts[counted], found.ends[counted]
    used = np.zeros(len(starts), bool)
    hits = 0
    for start, end in zip(reference.starts.tolist(), reference.ends.tolist(), strict=True):
        near = slice(*np.searchsorted(starts, (start - limit, start + limit)))
        right = np.flatnonzero((np.abs(ends[near] - end) <= limit) & ~used[near])
        if len(right):
            used[near.start + right[0]] = True
            hits += 1
    return Matches(hits, len(reference.starts), len(starts))


def score_segmentation(pairs: Iterable[tuple[Segments, Segments]], tolerance_s: float) -> dict[str, Any]:
    """Boundary and token scores over utterances, each pair (reference, found).

    Returns:
        {"tolerance_s", "boundary", "token"}: counts and scores, see `Matches`.
    """
    boundary = token = NONE
    for reference, found in pairs:
        boundary += match_boundaries(reference, found, tolerance_s)
        token += match_tokens(reference, found, tolerance_s)
    return {"tolerance_s": tolerance_s, "boundary": boundary.scores(), "token": token.scores()}
