"""Praat TextGrid files, in the long and the short text format.

Praat reads both as one stream of free-standing numbers, "texts" and <flags>; every other word is a comment for people, as is
what follows a ``!`` (Praat manual, "TextGrid file formats"). Read so here, because the libraries that go by the look
of the long format fail on files that Praat writes: of ``xmin = 6.1e-05`` pympi 1.71 makes 5 seconds, and praatio 6.2 stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vgspeech.corpora.sheet import read_text
from vgspeech.corpora.tiers import Annotation, Tier, Tiers
from vgspeech.errors import DataError

_TOKEN = re.compile(r'"(?P<text>(?:[^"]|"")*+)"|<(?P<flag>exists|absent)>|![^\n]*|(?P<word>\S+)')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_SAVE_AS = "in Praat: Save > Save as text file, and Preferences > Text writing preferences: UTF-8"


def read_praat(path: Path) -> Tiers:
    """Read a TextGrid: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: no such file, binary, not a TextGrid, or it ends too early; names the line.
    """
    tokens = _Tokens(path, read_text(path, hint=_SAVE_AS))
    if not tokens.text("a file type").startswith("ooTextFile") or tokens.text("an object class") != "TextGrid":
        raise DataError("not a TextGrid", where=f"{path}:1", hint=_SAVE_AS)
    tokens.number("xmin")
    tokens.number("xmax")
    if tokens.next("<exists> or <absent>", "flag") == "absent":
        return Tiers(path, [])
    return Tiers(path, [_tier(tokens) for _ in range(tokens.count("the number of tiers"))])


def _tier(tokens: _Tokens) -> Tier:
    kind = tokens.text("the class of a tier")
    if kind not in ("IntervalTier", "TextTier"):
        raise tokens.wrong(f"an IntervalTier or a TextTier, not {kind[:40]!r}")
    tier = Tier(tokens.text("a tier's name"), points=kind == "TextTier")
    tokens.number("xmin")
    tokens.number("xmax")
    for _ in range(tokens.count("a number of annotations")):
        start_s = tokens.number("a time")
        end_s = start_s if tier.points else tokens.number("an end")
        tier.annotations.append(Annotation(start_s, end_s, tokens.text("a text")))
    return tier


class _Tokens:
    """The free-standing things of a text, one after the other."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._content = text
        self._at = 0
        self._stream = self._find()

    def _find(self) -> Iterator[tuple[str, str]]:
        for match in _TOKEN.finditer(self._content):
            self._at = match.start()
            word = match["word"]
            if word is None:
                if match.lastgroup:
                    yield match.lastgroup, match[match.lastgroup]
            elif _NUMBER.fullmatch(word):
                yield "number", word
            elif word.startswith('"'):
                raise self.wrong('a " that closes the text')
        self._at = len(self._content)

    def next(self, what: str, kind: str) -> str:
        """The next token, which must be of a kind."""
        found, value = next(self._stream, ("", ""))
        if found != kind:
            raise self.wrong(f"{what}, not {value[:40]!r}" if found else f"{what}, but the file ends")
        return value

    def text(self, what: str) -> str:
        return self.next(what, "text").replace('""', '"')

    def number(self, what: str) -> float:
        return float(self.next(what, "number"))

    def count(self, what: str) -> int:
        value = self.next(what, "number")
        if not value.isdecimal():
            raise self.wrong(f"{what}, not {value[:40]!r}")
        return int(value[:9])

    def wrong(self, expected: str) -> DataError:
        line = self._content.count("\n", 0, self._at) + 1
        return DataError(f"expected {expected}", where=f"{self._path}:{line}", hint=_SAVE_AS)
