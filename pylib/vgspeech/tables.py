"""Text tables: the one form of all small files on disk, read strictly and written whole.

A table is UTF-8 text, one ``key value`` a line, sorted in C order with unique keys and a final newline. Keys are ids:
they contain no blank and no ``/``. A file that breaks a rule is refused with file and line; nothing is repaired.
"""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from vgspeech.errors import DataError
from vgspeech.files import atomic_write

StrPath = str | os.PathLike[str]
Row = dict[str, str]

_BAD_IN_ID = re.compile(r"[\s/\x00]")
_BLOCK = 1 << 20
_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b"/")) + b" \n"
"""What :func:`read_pairs` reads without the careful way: ASCII that is neither a slash nor a control character."""


def read_lines(path: StrPath) -> list[str]:
    """Lines of a text file that keeps the rules of all tables: UTF-8, no byte order mark, ``\\n`` at every line's end.

    Raises:
        DataError: a rule is broken; names file and line.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path), hint="run the stage that writes it") from error
    if raw.startswith(b"\xef\xbb\xbf"):
        raise bad_line(path, 1, "starts with a byte order mark", "save the file as UTF-8 without BOM")
    if b"\r" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\r")) + 1
        raise bad_line(
            path, line, "has a carriage return (a Windows line end)", f"convert it: sed -i 's/\\r//g' {path}"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_line(path, raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from error
    if text and not text.endswith("\n"):
        raise bad_line(path, text.count("\n") + 1, "the last line has no newline at its end (was the file cut off?)")
    return text.split("\n")[:-1]


def read_table(path: StrPath, *, allow_empty: bool = False) -> dict[str, str]:
    """Read a ``key value`` table; the value is everything behind the first blank.

    Args:
        path: the table.
        allow_empty: accept keys without a value (an empty transcript).

    Raises:
        DataError: a rule of tables is broken (see the module's text); names file and line.
    """
    table: dict[str, str] = {}
    previous = ""
    for number, line in enumerate(read_lines(path), start=1):
        key, value = split_line(line, path, number, allow_empty=allow_empty)
        if key <= previous:
            refuse_order(path, number, key, previous)
        table[key] = value
        previous = key
    return table


def read_pairs(path: StrPath) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.bytes_]]:
    """Read a table whose values are single words, such as ``utt2image``, into two arrays of UTF-8 byte strings.

    For tables of hundreds of thousands of lines: a tenth of the time and memory of :func:`read_table`, same rules.

    Returns:
        Keys, in C order, and their values; both of shape (lines,).

    Raises:
        DataError: a rule of tables is broken, or a value has a blank in it; names file and line.
    """
    plain = _plain_pairs(path)
    if plain is not None and np.all(plain[0][:-1] < plain[0][1:]):
        return plain
    table = read_table(path)  # says which line breaks a rule, or that there are unusual but allowed ones, such as tabs
    for number, value in enumerate(table.values(), start=1):
        if len(value.split()) != 1:
            raise bad_line(path, number, f"the value '{value}' is more than one word")
    keys, values = (np.array([text.encode() for text in side], dtype=np.bytes_) for side in (table, table.values()))
    return keys, values


def _plain_pairs(path: StrPath) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.bytes_]] | None:
    """Keys and values of a table of plain ASCII with one blank a line; None of any other. A part of the file at a time, because
    its words are several times as large as the file."""
    keys, values = [np.empty(0, "S1")], [np.empty(0, "S1")]
    try:
        with open(path, "rb") as stream:
            while block := stream.read(_BLOCK) + stream.readline():
                words, lines = block.split(), block.count(b"\n")
                if not _is_plain(block) or len(words) != 2 * lines or block.count(b" ") != lines:
                    return None
                keys.append(np.array(words[::2]))
                values.append(np.array(words[1::2]))
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path), hint="run the stage that writes it") from error
    return np.concatenate(keys), np.concatenate(values)


def _is_plain(block: bytes) -> bool:
    """Whether lines are plain ASCII without blanks at their ends, the last of them whole."""
    blanks = block.startswith(b" ") or b" \n" in block or b"\n " in block
    return block.endswith(b"\n") and not blanks and not block.translate(None, _PLAIN)


def split_line(line: str, path: StrPath, number: int, *, allow_empty: bool = False) -> tuple[str, str]:
    """Key and value of a table's line (without its line end).

    Raises:
        DataError: the line breaks a rule of tables.
    """
    key, _, value = line.partition(" ")
    if "\t" in key:
        key, _, value = line.partition("\t")
    if not key:
        raise bad_line(path, number, "is empty" if not line else "starts with a blank")
    if not value and not allow_empty:
        raise bad_line(path, number, f"'{key}' has no value")
    if value != value.strip():
        raise bad_line(path, number, f"the value of '{key}' starts or ends with a blank")
    if _BAD_IN_ID.search(key):
        check_id(key, f"{path}:{number}")
    return key, value


def split_ctm_line(line: str, where: str) -> tuple[str, float, float, str]:
    """Utterance, start, duration (seconds) and word of a line ``utterance channel start duration word [confidence]``.

    Raises:
        DataError: the line is not of that form.
    """
    fields = line.split()
    if len(fields) not in (5, 6):
        raise DataError(f"expected 'utterance channel start duration word', not '{line}'", where=where)
    start, duration = parse_number(fields[2], where, "start"), parse_number(fields[3], where, "duration")
    if start < 0 or duration < 0:
        raise DataError("start or duration is negative", where=where)
    return fields[0], start, duration, fields[4]


def refuse_order(path: StrPath, number: int, key: str, previous: str) -> NoReturn:
    """Refuse a key that is not above the line before's in C order.

    Raises:
        DataError: always; says whether it is repeated or out of order.
    """
    if key == previous:
        raise bad_line(path, number, f"'{key}' appears twice")
    hint = f"sort it in C order: LC_ALL=C sort -o {path} {path}"
    raise bad_line(path, number, f"'{key}' comes after '{previous}': the file is not sorted in C order", hint)


def check_id(name: str, where: str) -> None:
    """Refuse an id (of an utterance, speaker, recording or image) with a blank or ``/`` in it.

    Raises:
        DataError: says where and what.
    """
    if not name or _BAD_IN_ID.search(name):
        raise DataError(f"id '{name}' is empty or contains a blank or '/'", where=where)


def write_table(path: StrPath, table: Mapping[str, str]) -> None:
    """Write a table, sorted in C order, whole or not at all.

    Raises:
        DataError: an id or value could not be read back (blank or ``/`` in an id, line end in a value).
    """
    keys = sorted(table)
    path = Path(path)
    write_columns(path.parent, keys, {path.name: [table[key] for key in keys]})


def write_columns(folder: StrPath, keys: Sequence[str], columns: Mapping[str, Sequence[str]]) -> None:
    """Write tables that share their keys, each whole or not at all; of half a million keys the check is worth doing once.

    Args:
        folder: where the tables are.
        keys: in C order, each once.
        columns: file name -> the values, in the order of the keys.

    Raises:
        DataError: see ``write_table``.
    """
    text = "\n".join(keys)
    if "/" in text or "\0" in text or text.split() != list(keys):
        for key in keys:
            check_id(key, str(Path(folder) / next(iter(columns))))
    for name, values in columns.items():
        path = Path(folder) / name
        _check_values(path, keys, values)
        with atomic_write(path) as stream:
            stream.writelines([f"{key} {value}\n" if value else f"{key}\n" for key, value in zip(keys, values, strict=True)])


def _check_values(path: Path, keys: Sequence[str], values: Sequence[str]) -> None:
    """Refuse what could not be read back; all values are looked at in one go, one by one only to name the bad one."""
    text = "\n".join(values)
    if "\r" in text or text.count("\n") >= max(1, len(values)) or any(map(operator.ne, map(str.strip, values), values)):
        for key, value in zip(keys, values, strict=True):
            if value != value.strip() or "\n" in value or "\r" in value:
                raise DataError(f"the value of '{key}' has a line end in it or a blank at its end", where=str(path))


def bad_line(path: StrPath, line: int, what: str, hint: str | None = None) -> DataError:
    """The error for one line of a file (counted from 1)."""
    return DataError(what, where=f"{path}:{line}", hint=hint)


def parse_number(text: str, where: str, what: str) -> float:
    """``text`` as a finite number.

    Raises:
        DataError: it is not one; the message calls it ``what``.
    """
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"{what} '{text}' is not a number", where=where) from error
    if not math.isfinite(value):
        raise DataError(f"{what} '{text}' is not a number", where=where)
    return value


def format_seconds(value: float) -> str:
    """Seconds as tables hold them: up to six decimals (finer than one sample), no trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def write_tsv(path: StrPath, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a tab-separated table under a header line, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write("\t".join(header) + "\n")
        stream.writelines("\t".join(map(str, row)) + "\n" for row in rows)


def read_tsv(path: StrPath, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines of a tab-separated file under its header line, as (line number, cells).

    Raises:
        DataError: another header, or a line with more or fewer cells.
    """
    lines = read_lines(path)
    if not lines or lines[0].split("\t") != list(header):
        raise bad_line(path, 1, f"expected the header {' '.join(header)} (separated by tabs)")
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise bad_line(path, number, f"expected {len(header)} cells separated by tabs, found {len(fields)}")
        yield number, fields


def write_rejected(path: StrPath, rejected: Iterable[tuple[str, str]]) -> None:
    """Write the list of inputs that could not be used: ``id reason`` lines; an empty file says that all could."""
    write_table(path, {name: " ".join(reason.split()) for name, reason in rejected})


def check_rejected(rejected: StrPath, total: int, max_bad: float) -> int:
    """Fail when more inputs than allowed were rejected.

    Args:
        rejected: the list that `write_rejected` wrote.
        total: inputs, rejected ones included.
        max_bad: largest fraction of rejected inputs.

    Returns:
        How many were rejected.

    Raises:
        DataError: more than ``max_bad`` of them; the message shows the first three reasons.
    """
    table = read_table(rejected)
    if len(table) > max_bad * total:
        first = "".join(f"\n    {name}: {reason}" for name, reason in list(table.items())[:3])
        raise DataError(
            f"{len(table)} of {total} inputs cannot be used, more than --max-bad {max_bad:g} allows:{first}",
            where=str(rejected),
            hint="repair or remove what the file lists, or allow more with --max-bad",
        )
    return len(table)


def read_rows(path: StrPath) -> list[Row]:
    """Rows of a tab-separated table, by the names in its header.

    Raises:
        DataError: no such file, or a line with more or fewer cells than the header.
    """
    header = (read_lines(path) or [""])[0].split("\t")
    return [dict(zip(header, cells, strict=True)) for _, cells in read_tsv(path, header)]
