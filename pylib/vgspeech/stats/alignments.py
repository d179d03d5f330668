"""Word labels of moments and segments, from aligned words (``ctm``)."""

from __future__ import annotations

from collections.abc import Sequence

from vgspeech.datadir import Word

NO_WORD = "<SIL>"
"""Label of a moment or segment without a word."""


def word_at(words: Sequence[Word], time_s: float) -> str:
    """The word spoken at a moment: start <= time < end; the first of several, ``NO_WORD`` when there is none."""
    return next((word.text for word in words if word.start_s <= time_s < word.end_s), NO_WORD)


def interval_at(words: Sequence[Word], time_s: float) -> tuple[float, float] | None:
    """Start and end in seconds of the word spoken at a moment."""
    return next(((word.start_s, word.end_s) for word in words if word.start_s <= time_s < word.end_s), None)
