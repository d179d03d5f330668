"""Reading scp files: which archive holds a record, and where in it (the format is described in `vgspeech.archive`)."""

from __future__ import annotations

import array as packed
from pathlib import Path

from vgspeech.errors import DataError


def parse_scp(scp: Path) -> tuple[list[bytes], list[str], packed.array[int], packed.array[int], dict[int, str]]:
    """Keys of a scp's lines, the archives they name, which of these each line names, offsets, and (few) ranges.

    One pass over the open file, few objects a line: with 400,000 lines these are what a start-up consists of.
    """
    keys: list[bytes] = []
    numbers: dict[bytes, int] = {}
    path_of, offsets = packed.array("i"), packed.array("q")
    ranges: dict[int, str] = {}
    if not scp.exists():
        raise DataError("no such scp file", where=str(scp), hint="run the stage that writes it")
    with open(scp, "rb") as stream:
        for number, line in enumerate(stream):
            key, _, value = line.partition(b" ")
            value = value.strip()
            if value.endswith(b"]") and b"[" in value:
                value, _, window = value[:-1].rpartition(b"[")
                ranges[number] = window.decode("utf-8", errors="replace")
            path, _, offset = value.rpartition(b":")
            text = line.isascii() or line.decode("utf-8", errors="ignore").encode() == line
            if not (key and path and offset.isdigit() and len(offset) < 19 and text) or b"\0" in line:
                what = f"expected 'key archive:offset', not {line.decode('utf-8', errors='replace').rstrip()!r}"
                raise DataError(what, where=f"{scp}:{number + 1}")
            keys.append(key)
            path_of.append(numbers.setdefault(path, len(numbers)))
            offsets.append(int(offset))
    return keys, [path.decode("utf-8", errors="replace") for path in numbers], path_of, offsets, ranges
