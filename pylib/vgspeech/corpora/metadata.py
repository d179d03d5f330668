"""Metadata files in JSON: ``{"image_base_path": ..., "audio_base_path": ..., "data": [record, ...]}``.

The released files are read whole (400,000 records are about 1 GB as Python objects). Which line a record starts on is
looked up only when something is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, NamedTuple

from vgspeech.corpora.captions import Caption, Source, SplitRecords
from vgspeech.corpora.ids import UNKNOWN_SPEAKER, image_id, release_path, speaker_id, utterance_id
from vgspeech.corpora.records import ImageIds, collect, drain, name_of, optional_text, plain_wav, text_of
from vgspeech.errors import DataError
from vgspeech.files import read_json

WavPath = Callable[[str, str], str]
"""(path of a recording in the metadata, split) -> its place below the release's root."""

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
    top = load_json(path)
    if not isinstance(top, dict) or not isinstance(top.get("data"), list):
        raise DataError("not a metadata file: expected an object with a list called 'data'", where=f"{path}:1")
    image_base, audio_base = (
        base if isinstance(base, str) else "" for base in (top.get("image_base_path"), top.get("audio_base_path"))
    )
    return Metadata(image_base, audio_base, top["data"])


def load_json(path: Path) -> Any:
    """Any JSON file of others.

    Raises:
        DataError: no such file, not JSON (with the line), or JSON that cannot be held.
    """
    try:
        return read_json(path)
    except RecursionError as error:
        raise DataError("not a metadata file: nested too deeply", where=str(path)) from error
    except ValueError as error:  # json refuses whole numbers of thousands of digits with a plain ValueError
        raise DataError(f"not usable JSON: {error}", where=str(path)) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error


def read_json_split(path: Path, split: str, wav_path: WavPath) -> SplitRecords:
    """Read one metadata file of records ``{"uttid", "speaker", "asr_text", "text_alignment", "wav", "image"}``.

    Raises:
        DataError: see ``read_metadata``.
    """
    image_base, audio_base, items = read_metadata(path)
    ids, source = ImageIds(), json_source(path)

    def caption(item: Any, number: int) -> Caption:
        if not isinstance(item, dict):
            raise ValueError(f"expected an object with keys such as 'wav' and 'image', got {str(item)[:40]!r}")
        wav = plain_wav(wav_path(release_path(text_of(item, "wav"), audio_base), split))
        return caption_of(item, source, number, split, wav, release_path(text_of(item, "image"), image_base), ids)

    return collect(
        drain(items),
        split,
        source,
        caption,
        lambda item: _image_id_of(item, image_base),
    )


def json_source(path: Path) -> Source:
    """A metadata file in JSON as the source of captions."""
    return Source(path, partial(record_places, path))


def caption_of(
    item: dict[str, Any], source: Source, number: int, split: str, wav: str, image: str, ids: ImageIds
) -> Caption:
    """A caption from a record's ``uttid``, ``speaker``, ``asr_text`` and ``text_alignment``, all optional.

    Raises:
        ValueError: says what is wrong with it.
    """
    speaker = name_of(item, "speaker", UNKNOWN_SPEAKER)
    # Numbers follow the file's order, so rejecting a record leaves the ids of all others as they are.
    name = name_of(item, "uttid", f"{split}{number:06d}")
    return Caption(
        utterance=utterance_id(speaker, name),
        speaker=speaker_id(speaker),
        image=image,
        image_id=ids[image],
        wav=wav,
        text=" ".join(optional_text(item, "asr_text").split()),
        alignment=optional_text(item, "text_alignment"),
        source=source,
        record=number,
    )


def _image_id_of(item: Any, image_base: str) -> str:
    """The image of a record that is refused for another reason, where it can be told."""
    try:
        return image_id(release_path(text_of(item, "image"), image_base)) if isinstance(item, dict) else ""
    except ValueError:
        return ""


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
    """Position just inside the list of records: ``data`` (the last key of that name counts, as in ``json``) or all."""
    decode = json.JSONDecoder().raw_decode
    position = _skip(text, _skip(text, 0) + 1)
    if text[_skip(text, 0)] == "[":
        return position
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
