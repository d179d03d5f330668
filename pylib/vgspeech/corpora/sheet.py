"""Tables that people write: with Windows line ends, from spreadsheets, separated by commas although called .tsv."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vgspeech.errors import DataError


class Row(NamedTuple):
    """A record of a table or of a JSON list."""

    line: int
    """Line in the file, from 1; of a JSON list, the record's number."""
    cells: Any
    """column -> text; of a JSON list, whatever is there."""
    place: str = ""
    """Where it stands, when that is no line of the table: an annotation."""
    problem: str = ""
    """What is wrong with it, when its maker knows."""
    utterance: str = ""
    """Its id, when it has one already."""


@dataclass(frozen=True)
class Sheet:
    """A table as read."""

    columns: list[str]
    rows: list[Row]


def read_sheet(path: Path) -> Sheet:
    """Read a table with a header line, separated by tabs, else commas or semicolons (then with quotes as in CSV).

    UTF-8, with or without a byte order mark, or UTF-16 with one; line ends of any system. Empty lines and lines that
    start with ``#`` are skipped. A line with too many cells is kept whole, for its reader to refuse.

    Raises:
        DataError: no such file, not text, or no header.
    """
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in "\t,;" if mark in first), "")
    if not delimiter:
        what = "not a table: its first line has no columns separated by tabs" if first else "the file is empty"
        raise DataError(what, where=f"{path}:1")
    if delimiter == "\t":
        lines = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
    columns: list[str] = []
    rows: list[Row] = []
    start = 1
    try:
        for cells in lines:
            line, start = start, lines.line_num + 1
            cells = [cell.strip() for cell in cells]
            if not any(cells) or (cells[0].startswith("#") and columns):
                continue
            if not columns:
                columns = [cell.strip().lower() for cell in cells]
            else:
                rows.append(Row(line, _named(columns, cells)))
    except csv.Error as error:
        raise DataError(f"not a table: {error}", where=f"{path}:{start}") from error
    return Sheet(columns, rows)


def _named(columns: list[str], cells: list[str]) -> Any:
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    if len(cells) > len(columns):
        return f"{len(cells)} cells under {len(columns)} columns"
    return dict(zip(columns, cells, strict=False))


def read_text(path: Path, hint: str = "save it as UTF-8 (in a spreadsheet program: CSV UTF-8)") -> str:
    """A text file of others: UTF-8, with or without a byte order mark, or UTF-16 with one; line ends become ``\\n``.

    Raises:
        DataError: no such file, or not text; names file and line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(what, where=str(path)) from error
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"not text in UTF-8 (byte {error.start})", where=f"{path}:{line}", hint=hint) from error
    if "\0" in text:
        where = f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}"
        raise DataError("not a text file", where=where, hint=hint)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_columns(
    columns: Sequence[str], where: str, required: Sequence[str], optional: Sequence[str], others: Mapping[str, str]
) -> list[str]:
    """See that a table has the columns that it needs.

    Args:
        columns: what it has.
        where: for the message.
        required, optional: columns that are known.
        others: other names that people use for them.

    Returns:
        Notes about columns that are not used.

    Raises:
        DataError: one is missing, stands twice, or is written in another way (with "did you mean").
    """
    known = [*required, *optional]
    twice = next((name for name in columns if list(columns).count(name) > 1), None)
    if twice is not None:
        raise DataError(f"column '{twice}' stands twice", where=where)
    unknown = [name for name in columns if name not in known]
    free = [name for name in known if name not in columns]
    meant = {name: _meant(name, free, others) for name in unknown}
    wrong = [f"'{name}'; did you mean '{near}'?" for name, near in meant.items() if near]
    missing = [name for name in required if name not in columns]
    if wrong:
        lacks = f" (missing: {', '.join(missing)})" if missing else ""
        raise DataError(f"unknown column {wrong[0]}{lacks}", where=where, hint=f"columns are {', '.join(known)}")
    if missing:
        what = f"no column {', '.join(repr(name) for name in missing)}; there are: {', '.join(columns)[:200]}"
        raise DataError(what, where=where, hint=f"columns are {', '.join(known)}; the first {len(required)} are needed")
    return [f"{where}: the column '{name}' is not used" for name in unknown]


def _meant(name: str, free: Sequence[str], others: Mapping[str, str]) -> str:
    if others.get(name) in free:
        return others[name]
    return next(iter(difflib.get_close_matches(name, free, n=1, cutoff=0.7)), "")
