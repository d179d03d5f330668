"""Reading scp files: which archive holds a record, and where in it (the format is described in `vgspeech.archive`)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vgspeech.errors import DataError

_BLOCK = 1 << 20
"""Bytes that are split into lines at once: few enough that what they become is small beside the result."""
_PLAIN = bytes(range(0x20, 0x7F)) + b"\n"
_BLANK, _COLON, _LINE_END, _ZERO = b" :\n0"
_DIGITS = 18
"""Of an offset at most."""
_LONGEST = 10_000
"""Bytes of a line at most, more than two of the longest paths: an array gives every line as much room as the longest has."""


class Lines(NamedTuple):
    """Some lines of a scp file as arrays: 400,000 lines as objects are what a start-up would consist of."""

    keys: npt.NDArray[np.bytes_]
    """(lines,) in UTF-8."""
    archives: npt.NDArray[np.bytes_]
    """(lines,) paths."""
    offsets: npt.NDArray[np.int64]
    """(lines,)"""


class ScpFile(NamedTuple):
    """All lines of a scp file."""

    keys: npt.NDArray[np.bytes_]
    """(lines,) in UTF-8."""
    paths: list[str]
    """Of the archives, each once."""
    path_of: npt.NDArray[np.int32]
    """(lines,) which of ``paths``."""
    offsets: npt.NDArray[np.int64]
    """(lines,)"""
    ranges: dict[int, str]
    """The (few) row ranges by line, counted from 0."""


def parse_scp(scp: Path) -> ScpFile:
    """Read a scp file.

    Raises:
        DataError: no such file, or a line that is none of a scp; names file and line.
    """
    if not scp.exists():
        raise DataError("no such scp file", where=str(scp), hint="run the stage that writes it")
    numbers: dict[bytes, int] = {}
    ranges: dict[int, str] = {}
    keys, path_of, offsets = [np.empty(0, "S1")], [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    done = 0
    with open(scp, "rb") as stream:
        while block := stream.read(_BLOCK) + stream.readline(_LONGEST + 1):
            lines = _plain_lines(block) or _careful_lines(block, f"{scp}:", done, ranges)
            # Lines of one archive mostly follow each other: one look-up for each such run.
            change = np.flatnonzero(np.append(True, lines.archives[1:] != lines.archives[:-1]))
            named = [numbers.setdefault(path, len(numbers)) for path in lines.archives[change].tolist()]
            path_of.append(np.repeat(np.array(named, np.int32), np.diff(change, append=len(lines.keys))))
            keys.append(lines.keys)
            offsets.append(lines.offsets)
            done += len(lines.keys)
    paths = [path.decode("utf-8", errors="replace") for path in numbers]
    return ScpFile(np.concatenate(keys), paths, np.concatenate(path_of), np.concatenate(offsets), ranges)


def _plain_lines(block: bytes) -> Lines | None:
    """Lines that are all plain ASCII with one blank and no range, as nearly all are; None when one of them is not."""
    if not block.endswith(b"\n") or block.translate(None, _PLAIN):
        return None
    raw = np.frombuffer(block, np.uint8)
    ends, blanks = np.flatnonzero(raw == _LINE_END), np.flatnonzero(raw == _BLANK)
    starts = np.append(0, ends[:-1] + 1)
    if len(blanks) != len(ends) or not np.all((starts < blanks) & (blanks < ends) & (ends - starts < _LONGEST)):
        return None
    offsets, colons = _numbers_before(raw, ends)
    digits = ends - 1 - colons
    if not np.all((raw[colons] == _COLON) & (blanks + 1 < colons) & (digits > 0) & (digits <= _DIGITS)):
        return None
    return Lines(_strings(raw, starts, blanks), _strings(raw, blanks + 1, colons), offsets)


def _numbers_before(raw: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """The whole numbers that end before ``ends``, and where the last character that is not of them stands."""
    values, place, scale = np.zeros(len(ends), np.int64), ends - 1, 1
    for _ in range(_DIGITS):
        digit = raw[place].astype(np.int64) - _ZERO
        inside = (digit >= 0) & (digit <= 9)
        if not inside.any():
            break
        values += np.where(inside, digit * scale, 0)
        place = place - inside
        scale *= 10
    return values, place


def _strings(
    raw: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.bytes_]:
    """The bytes from each start to its end."""
    width = int((ends - starts).max())
    places = starts[:, None] + np.arange(width)
    letters = np.where(places < ends[:, None], raw[np.minimum(places, len(raw) - 1)], 0)
    return letters.astype(np.uint8, copy=False).view(f"S{width}")[:, 0]


def _careful_lines(block: bytes, where: str, done: int, ranges: dict[int, str]) -> Lines:
    """Lines by all rules, one by one; ``done`` lines came before them."""
    lines = [_parse_line(line, where, done + number, ranges) for number, line in enumerate(io.BytesIO(block))]
    keys, archives, offsets = zip(*lines, strict=True)
    return Lines(np.array(keys), np.array(archives), np.array(offsets, np.int64))


def _parse_line(line: bytes, where: str, number: int, ranges: dict[int, str]) -> tuple[bytes, bytes, int]:
    """Key, archive and offset of a line; its row range goes into ``ranges``."""
    if len(line) > _LONGEST:
        raise DataError(f"a line of more than {_LONGEST:,} bytes", where=f"{where}{number + 1}")
    key, _, value = line.partition(b" ")
    value = value.strip()
    if value.endswith(b"]") and b"[" in value:
        value, _, window = value[:-1].rpartition(b"[")
        ranges[number] = window.decode("utf-8", errors="replace")
    path, _, offset = value.rpartition(b":")
    text = line.isascii() or line.decode("utf-8", errors="ignore").encode() == line
    if not (key and path and offset.isdigit() and len(offset) <= _DIGITS and text) or b"\0" in line:
        what = f"expected 'key archive:offset', not {line.decode('utf-8', errors='replace').rstrip()!r}"
        raise DataError(what, where=f"{where}{number + 1}")
    return key, path, int(offset)
