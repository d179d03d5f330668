"""Metadata files in JSON: ``{"image_base_path": ..., "audio_base_path": ..., "data": [record, ...]}``.

The released files are read whole (400,000 records are about 1 GB as Python objects). Which line a record starts on is
looked up only when something is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, NamedTuple

from vgspeech.errors import DataError
from vgspeech.files import read_json

_SPACE = re.compile(r"[ \t\r\n]*")


class Metadata(NamedTuple):
    """A metadata file as read; the records are not checked yet."""

    image_base: str
    audio_base: str
    records: list[Any]


def read_metadata(path: Path) -> Metadata:
    """Read a metadata file.

    Raises:
        DataError: no such file, not JSON (with the line), or no list called ``data``.
    """
    try:
        top = read_json(path)
    except RecursionError as error:
        raise DataError("not a metadata file: nested too deeply", where=str(path)) from error
    except ValueError as error:  # json refuses whole numbers of thousands of digits with a plain ValueError
        raise DataError(f"not usable JSON: {error}", where=str(path)) from error
    if not isinstance(top, dict) or not isinstance(top.get("data"), list):
        raise DataError(
            "not a metadata file of Places Audio: expected an object with a list called 'data'", where=f"{path}:1"
        )
    image_base, audio_base = (
        base if isinstance(base, str) else "" for base in (top.get("image_base_path"), top.get("audio_base_path"))
    )
    return Metadata(image_base, audio_base, top["data"])


def record_places(path: Path, records: Iterable[int]) -> dict[int, str]:
    """Where each record starts, as messages say it: ``file:line: record N``.

    Args:
        path: a metadata file that ``read_metadata`` has read.
        records: numbers of records, from 1.

    Returns:
        record number -> its place.
    """
    wanted = set(records)
    places: dict[int, str] = {}
    if not wanted:
        return places
    text = path.read_text(encoding="utf-8-sig")
    decode = json.JSONDecoder().raw_decode
    position, line, counted = _start_of_data(text), 1, 0
    for number in range(1, max(wanted) + 1):
        position = _skip(text, position)
        if number in wanted:
            line += text.count("\n", counted, position)
            counted = position
            places[number] = f"{path}:{line}: record {number}"
        _, position = decode(text, position)
        position = _skip(text, position) + 1  # the comma
    return places


def _start_of_data(text: str) -> int:
    """Position just inside the list ``data``; of several keys of that name the last counts, as in ``json``."""
    decode = json.JSONDecoder().raw_decode
    position = _skip(text, _skip(text, 0) + 1)
    found = -1
    while text[position] == '"':
        key, position = scanstring(text, position + 1, True)
        position = _skip(text, _skip(text, position) + 1)
        if key == "data":
            found = position + 1
        _, position = decode(text, position)
        position = _skip(text, position)
        if text[position] != ",":
            break
        position = _skip(text, position + 1)
    return found


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None  # the pattern matches nothing too
    return match.end()
