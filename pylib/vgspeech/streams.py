"""Tables and word times of any size, block by block: the form of `vgspeech.tables`, checked without holding a file.

A record is all adjacent lines of one key: one line of a table, one utterance's words of a ctm file. Blocks of records
are found by one regular expression of well-formed lines; only a block in which it leaves something over is looked at
line by line, to accept what is unusual (``1e-3``, other blanks) or to say what is wrong with it. Keys and text are bytes,
whose order is the C order of files. 400,000 utterances of 20 words, 300 MB, pass in about 4 s.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vgspeech.errors import DataError
from vgspeech.tables import StrPath, bad_line, refuse_order, split_ctm_line, split_line

BLOCK_BYTES = 1 << 22
Records = list[tuple[bytes, bytes]]
"""(text, key) of consecutive records; the text holds its key and ends with a line end."""


@dataclass(frozen=True)
class Form:
    """How a file's lines look."""

    kind: Literal["table", "text", "times"]
    """table: ``key value``; text: the value may be empty; times: ctm, several lines a key."""
    pattern: re.Pattern[bytes]
    """A record of the usual kind: group 1 is its text, group 2 its key."""


_KEY = rb"([^\s/\x00]++)"
_VALUE = rb"[ \t](?=\S)[^\n]*+(?<=\S)"
_NUMBER = rb"\d+(?:\.\d*)?+"
_TIMES = rb" \S++ " + _NUMBER + rb" " + _NUMBER + rb" \S++(?: " + _NUMBER + rb")?+\n"
TABLE = Form("table", re.compile(rb"(" + _KEY + _VALUE + rb"\n)"))
TEXT = Form("text", re.compile(rb"(" + _KEY + rb"(?:" + _VALUE + rb"|[ \t])?\n)"))
TIMES = Form("times", re.compile(rb"(" + _KEY + _TIMES + rb"(?:\2" + _TIMES + rb")*+)"))

_SUSPECTS = (b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\xc2", b"\xe1\x9a\x80", b"\xe2\x80", b"\xe2\x81\x9f", b"\xe3\x80\x80")
_OTHER_BLANK = re.compile(
    rb"[\x1c-\x1f]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
)
"""White space beyond the six ASCII blanks, in UTF-8."""


def value_of(record: tuple[bytes, bytes]) -> bytes:
    """The value of a table's record: what stands behind its key."""
    text, key = record
    return text[len(key) + 1 : -1]


def read_blocks(path: StrPath, form: Form, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Records]:
    """Read a file's records in order, some megabytes at a time.

    Args:
        path: the file.
        form: what it is.
        block_bytes: how much is read at once. The lines of one ctm key may come in two records where blocks meet.

    Raises:
        DataError: the file is missing or breaks a rule of its form, order of keys included; names file and line.
    """
    previous = b""
    for number, block in _whole_lines(path, block_bytes):
        _check_bytes(path, number, block)
        records: Records = [] if _has_other_blank(block) else form.pattern.findall(block)
        if sum(len(text) for text, _ in records) != len(block):
            records = _read_lines(path, number, block, form)
        keys = [previous, *(key for _, key in records)]
        rises = operator.le if form.kind == "times" else operator.lt
        if not all(map(rises, keys, keys[1:])):
            _refuse_keys(path, number, records, previous, form)
        yield records
        previous = keys[-1]


def read_records(path: StrPath, form: Form) -> Iterator[tuple[bytes, bytes]]:
    """The records of `read_blocks`, one by one."""
    for block in read_blocks(path, form):
        yield from block


def read_keys(path: StrPath, form: Form = TABLE) -> list[bytes]:
    """All keys of a table, in order."""
    return [key for block in read_blocks(path, form) for _, key in block]


def line_of(path: StrPath, key: bytes) -> int:
    """Number of the first line with a key, from 1; for messages. 0 when there is none."""
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.split(None, 1)[:1] == [key]:
                return number
    return 0


def _whole_lines(path: StrPath, block_bytes: int) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines) until the file's end."""
    try:
        stream = open(path, "rb")  # noqa: SIM115  closed below
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path), hint="run the stage that writes it") from error
    number, rest = 1, b""
    with stream:
        while block := stream.read(block_bytes):
            end = block.rfind(b"\n") + 1
            if end:
                lines = rest + block[:end]
                yield number, lines
                number, rest = number + lines.count(b"\n"), b""
            rest += block[end:]
    if rest:
        _check_bytes(path, number, rest)
        raise bad_line(path, number, "the last line has no newline at its end (was the file cut off?)")


def _check_bytes(path: StrPath, number: int, block: bytes) -> None:
    if number == 1 and block.startswith(b"\xef\xbb\xbf"):
        raise bad_line(path, 1, "starts with a byte order mark", "save the file as UTF-8 without BOM")
    if b"\r" in block:
        line = number + block.count(b"\n", 0, block.index(b"\r"))
        hint = f"convert it: sed -i 's/\\r//g' {path}"
        raise bad_line(path, line, "has a carriage return (a Windows line end)", hint)
    if not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as error:
            raise bad_line(path, number + block.count(b"\n", 0, error.start), "is not UTF-8 text") from error


def _has_other_blank(block: bytes) -> bool:
    return any(suspect in block for suspect in _SUSPECTS) and _OTHER_BLANK.search(block) is not None


def _read_lines(path: StrPath, number: int, block: bytes, form: Form) -> Records:
    """A block's records by the exact rules, one line each."""
    records = []
    for line in block.splitlines(keepends=True):  # of bytes: ends lines at \n alone, there is no \r
        text = line[:-1].decode("utf-8")
        if form.kind == "times":
            key = split_ctm_line(text, f"{path}:{number}")[0]
            if not text.startswith(key):
                raise bad_line(path, number, "starts with a blank")
        else:
            key = split_line(text, path, number, allow_empty=form.kind == "text")[0]
        records.append((line, key.encode()))
        number += 1
    return records


def _refuse_keys(path: StrPath, number: int, records: Records, previous: bytes, form: Form) -> None:
    for text, key in records:
        if key < previous and form.kind == "times":
            # Sorting whole lines would put words in the order of their times' digits.
            what = f"'{key.decode()}' comes after '{previous.decode()}': the file is not sorted in C order"
            hint = f"sort it by utterance: LC_ALL=C sort -s -k1,1 -o {path} {path}"
            raise bad_line(path, number, what, hint)
        if key < previous or (key == previous and form.kind != "times"):
            refuse_order(path, number, key.decode(), previous.decode())
        previous = key
        number += text.count(b"\n")


def require_folder(path: Path) -> None:
    """Refuse a path that is not a folder.

    Raises:
        DataError: it is not.
    """
    if not path.is_dir():
        raise DataError("no such folder", where=str(path), hint="prepare the data first (stage 0)")
