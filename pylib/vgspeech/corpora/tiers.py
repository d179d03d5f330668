"""Tiers of annotations beside a recording: what readers of ELAN and Praat files yield."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vgspeech.errors import DataError


class Annotation(NamedTuple):
    """A stretch of a recording and what is written there; seconds."""

    start_s: float
    end_s: float
    text: str
    problem: str = ""
    """Why its times are not known."""


@dataclass
class Tier:
    """A named layer of annotations."""

    name: str
    annotations: list[Annotation] = field(default_factory=list)
    points: bool = False
    """Whether its annotations are moments, without a length."""


@dataclass
class Tiers:
    """An annotation file."""

    path: Path
    tiers: list[Tier]
    offsets_s: dict[str, float] = field(default_factory=dict)
    """Name of a sound file -> at what time of it the annotations' time begins, where that is not its start."""

    def find(self, name: str) -> Tier:
        """The tier of that name, which can be cut by.

        Raises:
            DataError: there is none (with those that are there), there are two, or it is one of moments.
        """
        found = [tier for tier in self.tiers if _plain(tier.name) == _plain(name)]
        if len(found) == 1 and not found[0].points:
            return found[0]
        listed = ", ".join(repr(tier.name) for tier in self.tiers) or "none"
        if not found:
            raise DataError(f"no tier {name!r}; there are: {listed}", where=str(self.path), hint="choose one: --tier NAME")
        if len(found) > 1:
            raise DataError(f"{len(found)} tiers are called {name!r}; there are: {listed}", where=str(self.path))
        what = f"the tier {name!r} holds points in time; captions need a start and an end: an interval tier"
        raise DataError(what, where=str(self.path))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())
