"""Reading tables that may be damaged: what can be used of them, and what is wrong with the rest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vgspeech.rules import ARCHIVE_RULE, VALUE_RULES

_BOM = b"\xef\xbb\xbf"
_BAD_ID = re.compile(r"[\s/\x00]")
_BLANKS = " \t\v\f"


@dataclass
class Damaged:
    """A table's usable lines, and its faults."""

    file: Path
    lines: dict[bytes, bytes] = field(default_factory=dict)
    """Key -> line in its proper form, in the file's order."""
    reasons: dict[bytes, str] = field(default_factory=dict)
    """Key -> why its line (or lines) cannot be used."""
    repairs: dict[str, None] = field(default_factory=dict)
    """What was put right on reading."""


@dataclass(frozen=True)
class Line:
    """A line of a damaged file."""

    number: int
    key: str
    value: str
    repairs: tuple[str, ...]
    reason: str | None
    """Why it cannot be used, whatever the file is."""


def damaged_lines(file: Path) -> Iterator[Line]:
    """Lines with blanks, line ends and byte order mark put right; empty lines are left out."""
    with open(file, "rb") as stream:
        for number, raw in enumerate(stream, start=1):
            line = _line(number, raw)
            if line is not None:
                yield line


def _line(number: int, raw: bytes) -> Line | None:
    repairs = []
    if number == 1 and raw.startswith(_BOM):
        raw = raw.removeprefix(_BOM)
        repairs.append("byte order mark removed")
    reason = None if raw.endswith(b"\n") else "the last line is cut off"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text, reason = raw.decode("utf-8", errors="replace"), "is not UTF-8 text"
    if "\r" in text:
        repairs.append("carriage returns removed")
        text = text.replace("\r", "")
    body = text.removesuffix("\n")
    stripped = body.strip(_BLANKS)
    if not stripped:
        return None
    key, value = (*re.split(f"[{_BLANKS}]+", stripped, maxsplit=1), "")[:2]
    value = value.strip()
    if body not in (f"{key} {value}", f"{key}\t{value}", key):
        repairs.append("blanks put right")
    if _BAD_ID.search(key):
        reason = reason or "the id contains a blank or '/'"
    return Line(number, key, value, tuple(repairs), reason)


def read_damaged(file: Path) -> Damaged:
    """Read a table: a line is usable when its value keeps the rule of the table, and no other line has its key."""
    found = Damaged(file)
    name = file.name
    rule = ARCHIVE_RULE if name.endswith(".scp") and name != "wav.scp" else VALUE_RULES.get(name)
    for line in damaged_lines(file):
        found.repairs |= dict.fromkeys(line.repairs)
        key, content = line.key.encode(), f"{line.key} {line.value}".rstrip(" ").encode() + b"\n"
        problem = line.reason or _value_problem(line.value, name)
        if problem is None and rule is not None:
            problem = rule.check(line.value.encode())
        if problem is not None:
            found.reasons.setdefault(key, f"{file.name}:{line.number}: {problem}")
        elif key in found.lines and found.lines[key] != content:
            found.reasons.setdefault(key, f"{file.name}:{line.number}: a second line, which differs")
        elif key in found.lines:
            found.repairs["repeated lines removed"] = None
        else:
            found.lines[key] = content
    for key in found.reasons:
        found.lines.pop(key, None)
    return found


def _value_problem(value: str, name: str) -> str | None:
    return None if value or name == "text" else "has no value"


def other_spelling(key: bytes, others: dict[str, bytes]) -> bytes | None:
    """An id that looks the same as ``key`` but is other Unicode characters, from those that `by_spelling` indexed."""
    found = others.get(unicodedata.normalize("NFC", key.decode()))
    return found if found != key else None


def by_spelling(keys: Iterator[bytes]) -> dict[str, bytes]:
    """Ids beyond ASCII by their Unicode normal form C."""
    return {unicodedata.normalize("NFC", key.decode()): key for key in keys if not key.isascii()}
