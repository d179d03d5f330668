"""Item files of ABX tests: which stretch of which recording is which phone, between which phones, by which speaker.

The format is that of the ZeroSpeech challenges, read as it is: a header ``#file onset offset #phone prev-phone next-phone
speaker`` (columns in any order), then one item a line, separated by blanks; times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vgspeech.datadir import Word
from vgspeech.errors import DataError
from vgspeech.files import atomic_write
from vgspeech.tables import format_seconds, parse_number, read_lines

COLUMNS = ("#file", "onset", "offset", "#phone", "prev-phone", "next-phone", "speaker")


class Item(NamedTuple):
    """One sound: where it is, its phone, the phones around it and its speaker."""

    file: str
    onset_s: float
    offset_s: float
    phone: str
    previous: str
    following: str
    speaker: str


def read_items(path: Path) -> list[Item]:
    """Read an item file.

    Raises:
        DataError: no such file, a column is missing, or a line is not of that form; names file and line.
    """
    lines = read_lines(path)
    header = lines[0].split() if lines else []
    absent = [name for name in COLUMNS if name not in header]
    if absent:
        raise DataError(
            f"the header lacks {', '.join(absent)}", where=f"{path}:1", hint=f"expected {' '.join(COLUMNS)}"
        )
    place = [header.index(name) for name in COLUMNS]
    items = []
    for number, line in enumerate(lines[1:], start=2):
        fields, where = line.split(), f"{path}:{number}"
        if len(fields) != len(header):
            raise DataError(f"expected {len(header)} fields, found {len(fields)}", where=where)
        file, onset, offset, *labels = (fields[i] for i in place)
        times = parse_number(onset, where, "onset"), parse_number(offset, where, "offset")
        if not 0 <= times[0] < times[1]:
            raise DataError(f"onset {onset} and offset {offset} enclose nothing", where=where)
        items.append(Item(file, *times, *labels))
    return items


def write_items(path: Path, items: Iterable[Item]) -> None:
    """Write an item file."""
    with atomic_write(path) as stream:
        stream.write(" ".join(COLUMNS) + "\n")
        for item in items:
            times = (format_seconds(item.onset_s), format_seconds(item.offset_s))
            stream.write(" ".join((item.file, *times, *item[3:])) + "\n")


def triphone_items(phones: Mapping[str, Sequence[Word]], utt2spk: Mapping[str, str]) -> list[Item]:
    """An item for every phone between two others without a gap; it lasts from the first's start to the last's end.

    Triphones as in ZeroSpeech 2021: the sounds around the phone are part of the stretch, and A, B and X share them.
    """
    items = []
    for utt, said in phones.items():
        for before, centre, after in zip(said, said[1:], said[2:], strict=False):
            if abs(before.end_s - centre.start_s) < 1e-3 and abs(centre.end_s - after.start_s) < 1e-3:
                labels = (centre.text, before.text, after.text, utt2spk[utt])
                items.append(Item(utt, before.start_s, after.end_s, *labels))
    return items
