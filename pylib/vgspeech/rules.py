"""What the values of a speech set's tables must look like, one rule a table.

Whoever checks tables of 400,000 lines first tries the rule's regular expression of usual values, and asks for the exact
problem only when it does not match.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vgspeech.errors import DataError
from vgspeech.tables import parse_number

UTTERANCE_TABLES = ("utt2spk", "utt2lang", "utt2dur", "utt2image")
"""Tables that every speech set has, with one line for every utterance (as have segments, text and utt2share, if there)."""
OPTIONAL_TABLES = ("segments", "text", "utt2share")
RESERVED_WORDS = ("<s>", "</s>", "#0")


@dataclass(frozen=True)
class Rule:
    """A rule for a table's values."""

    usual: re.Pattern[bytes]
    """Values that it matches whole are right."""
    problem: Callable[[str], str | None]
    """What is wrong with another value; None when nothing is."""

    def check(self, value: bytes) -> str | None:
        """What is wrong with a value, None when nothing is."""
        return None if self.usual.fullmatch(value) else self.problem(value.decode("utf-8", errors="replace"))


def _one_name(what: str) -> Rule:
    def problem(value: str) -> str | None:
        return f"{what} '{value}' contains a blank or '/'" if len(value.split()) != 1 or "/" in value else None

    return Rule(re.compile(rb"[!-.0-~]+"), problem)


def _duration(value: str) -> str | None:
    try:
        return None if parse_number(value, "", "duration") > 0 else "the duration is not positive"
    except DataError as error:
        return error.what


def _recording(value: str) -> str | None:
    if value.startswith("~"):
        return "the path starts with '~', which only shells understand"
    if value.startswith("|"):
        return "a command is written 'command |', with the bar at its end"
    return None


def _transcript(value: str) -> str | None:
    found = [word for word in value.split() if word in RESERVED_WORDS]
    return f"contains the reserved symbol {found[0]}" if found else None


def _segment(value: str) -> str | None:
    fields = value.split()
    if len(fields) != 3:
        return "expected 'utterance recording start end'"
    try:
        start, end = parse_number(fields[1], "", "start"), parse_number(fields[2], "", "end")
    except DataError as error:
        return error.what
    wrong = start < 0 or (end <= start and end != -1)
    return f"the segment from {start:g} s to {end:g} s is empty or negative" if wrong else None


def _frames(value: str) -> str | None:
    return f"'{value}' is not a number of frames"


def _share(value: str) -> str | None:
    return f"expected yes or no, not '{value}'"


def _archive(value: str) -> str | None:
    return f"expected 'utterance archive:offset', not '{value}'"


_NEVER = re.compile(rb"(?!)")
ARCHIVE_RULE = Rule(re.compile(rb".+:\d+(?:\[[^\]]*\])?"), _archive)
"""For scp files that point into archives."""
VALUE_RULES = {
    "utt2spk": _one_name("speaker"),
    "utt2lang": _one_name("language"),
    "utt2image": _one_name("image"),
    "utt2dur": Rule(re.compile(rb"\d*[1-9]\d*(?:\.\d*)?|\d+\.\d*[1-9]\d*"), _duration),
    "wav.scp": Rule(re.compile(rb"[^~|].*"), _recording),
    "text": Rule(re.compile(rb"[^<#]*"), _transcript),
    "segments": Rule(_NEVER, _segment),
    "utt2num_frames": Rule(re.compile(rb"0*[1-9]\d*"), _frames),
    "utt2share": Rule(re.compile(rb"yes|no"), _share),
}
