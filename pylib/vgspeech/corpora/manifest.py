"""Own recordings: a manifest (TSV or JSON) of captions, in any number of languages.

One line a caption. Columns ``image`` (or ``video``), ``wav``, ``lang``, ``speaker``; optional ``start`` and ``end`` (seconds, for
captions that are pieces of long recordings), ``text``, ``share`` (yes or no: may reports play it), ``split``. Paths are
relative to the manifest's folder, or to the folders given instead of it, or absolute and inside these. An image may be a video,
or a folder of a clip's video frames; a manifest may have both columns and fill one of them in every line.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from vgspeech.corpora.captions import Account, Caption, Release, Source, SplitRecords
from vgspeech.corpora.cuts import cut_rows
from vgspeech.corpora.holdout import Fractions, hold_out
from vgspeech.corpora.ids import path_id, require_unicode, speaker_id, utterance_id
from vgspeech.corpora.metadata import json_source, load_json
from vgspeech.corpora.records import SPLIT, ImageIds, collect, name_of, number_of, plain_wav, split_name, text_of
from vgspeech.corpora.roots import Roots, below
from vgspeech.corpora.sheet import Row, check_columns, read_sheet
from vgspeech.errors import DataError

REQUIRED = ("image", "wav", "lang", "speaker")
OPTIONAL = ("video", "start", "end", "text", "share", "split")
OTHER_NAMES = {
    "audio": "wav", "recording": "wav", "sound": "wav", "file": "wav", "path": "wav", "audio_file": "wav",
    "picture": "image", "photo": "image", "img": "image", "clip": "video", "movie": "video",
    "language": "lang", "locale": "lang", "spk": "speaker",
    "speaker_id": "speaker", "voice": "speaker", "begin": "start", "stop": "end", "transcript": "text",
    "caption": "text", "sentence": "text", "consent": "share", "public": "share", "subset": "split", "set": "split",
}  # fmt: skip
"""Column names that people use, and what they are called here; for suggestions only."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_YES_NO = {"": True, "yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def read_manifest(path: Path, roots: Roots, fractions: Fractions, tier: str = "") -> list[Release]:
    """Read a manifest.

    Args:
        path: the manifest; ``.json`` is a list of objects (or an object with such a list called ``data``), anything
            else a table with a header line, separated by tabs, commas or semicolons.
        roots: where recordings and images lie.
        fractions: how much is held out for development and test, when the manifest has no column ``split``.
        tier: where a line has no image, its recording is cut by the tier of this name, see `vgspeech.corpora.cuts`.

    Returns:
        A release for each language, the one with most captions first.

    Raises:
        DataError: no such file, not a manifest, or no line of it can be used.
    """
    account = Account()
    if path.suffix.lower() == ".json":
        rows = _json_rows(path)
        names = dict.fromkeys(name for row in rows if isinstance(row.cells, dict) for name in row.cells)
        account.notes += _check_columns(list(names), str(path), tier)
    else:
        sheet = read_sheet(path)
        account.notes += _check_columns(sheet.columns, f"{path}:1", tier)
        rows = sheet.rows
    if tier:
        rows = cut_rows(rows, path, roots, tier, account)
    return read_rows(rows, path, roots, fractions, account)


def _check_columns(names: Sequence[str], where: str, tier: str) -> list[str]:
    """See that a manifest has its columns; notes about others."""
    if not tier and {"image", "video"}.isdisjoint(names) and set(names) == set(REQUIRED[1:]):
        hint = "name each caption's picture there; or, if annotations of long recordings do, say in which tier: --tier NAME"
        raise DataError("no column 'image'", where=where, hint=hint)
    return check_columns(names, where, *_columns(names, tier), OTHER_NAMES)


def _columns(names: Collection[str], tier: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that a manifest of these columns must have, and may have: ``video`` or a tier can take the place of ``image``."""
    if tier:
        return REQUIRED[1:], (*REQUIRED[:1], *OPTIONAL)
    if "video" in names and "image" not in names:
        return ("video", *REQUIRED[1:]), ("image", *OPTIONAL[1:])
    return REQUIRED, OPTIONAL


def _json_rows(path: Path) -> list[Row]:
    top = load_json(path)
    items = top.get("data") if isinstance(top, dict) else top
    if not isinstance(items, list):
        what = "not a manifest: expected a list of objects with the keys " + ", ".join(REQUIRED)
        raise DataError(what, where=f"{path}:1")
    return [Row(number, item) for number, item in enumerate(items, start=1)]


def read_rows(rows: Sequence[Row], path: Path, roots: Roots, fractions: Fractions, account: Account) -> list[Release]:
    """Captions of rows, divided by language and split; see ``read_manifest``.

    Args:
        rows: cells by column, and the line that each stands on (for JSON: its number).
        path: the file that they come from.
        roots: as there.
        fractions: as there.
        account: goes into every release.
    """
    json = path.suffix.lower() == ".json" and not any(row.place for row in rows)
    source = json_source(path) if json else Source(path, lambda numbers: _places(path, rows, numbers))
    reader = _Reader(source, roots)
    records = collect(rows, "manifest", source, reader.caption, reader.image_of)
    if not records.captions:
        reasons = [rejected.reason for rejected in records.rejected[:3]]
        what = "no line can be used" + "".join(f"\n    {reason}" for reason in reasons)
        hint = "a caption needs a picture, a recording, a language, a speaker; files lie elsewhere? --images DIR, --audio DIR"
        raise DataError(what, where=str(path), hint=hint)
    split_of = _splits(records.captions, reader, fractions)
    languages = _by_size(reader.language[caption.record] for caption in records.captions)
    first_split = min(set(split_of.values()), key=lambda split: (split != "train", split))
    image_split = {caption.image_id: split_of[caption.record] for caption in records.captions}
    splits: dict[str, dict[str, SplitRecords]] = {language: {} for language in languages}

    def target(number: int, image: str) -> SplitRecords:
        language = reader.language.get(number, languages[0])
        split = split_of.get(number) or image_split.get(image, first_split)
        return splits.get(language, splits[languages[0]]).setdefault(split, SplitRecords())

    for caption in records.captions:
        target(caption.record, "").captions.append(caption)
    for rejected in records.rejected:
        target(number_of(rejected), rejected.image_id).rejected.append(rejected)
    for duplicate in records.duplicates:
        target(number_of(duplicate), duplicate.image_id).duplicates.append(duplicate)
    return [Release(language, roots.audio, splits[language], list(account.notes), account.files) for language in languages]


class _Reader:
    """Rows to captions; remembers each row's language and, where there is the column, its split."""

    def __init__(self, source: Source, roots: Roots) -> None:
        self.source = source
        self.roots = roots
        self.language: dict[int, str] = {}
        self.split: dict[int, str] = {}
        self._ids = ImageIds()

    def caption(self, row: Row, number: int) -> Caption:
        cells = row.cells
        if not isinstance(cells, dict):
            raise ValueError(f"expected an object with the keys {', '.join(REQUIRED)}, got {str(cells)[:40]!r}")
        if cells.get("lang") or not row.problem:
            self.language[number] = _language(text_of(cells, "lang"))
        if row.problem:
            raise ValueError(row.problem)
        image = below(_picture(cells), self.roots.images, "--images")
        wav = plain_wav(below(text_of(cells, "wav"), self.roots.audio, "--audio"))
        speaker = name_of(cells, "speaker", "")
        start_s, end_s = _seconds(cells, "start") or 0.0, _seconds(cells, "end")
        if end_s is not None and end_s <= start_s:
            raise ValueError(f"the piece from {start_s:g} s to {end_s:g} s is empty or negative")
        split = name_of(cells, "split", "").strip()
        if split:
            self.split[number] = _split(split)
        name = path_id(wav.rpartition(".")[0] or wav)
        if start_s > 0 or end_s is not None:
            name += f"-{round(start_s * 1000):08d}"
        text = name_of(cells, "text", "")
        require_unicode(text)
        return Caption(
            utterance=utterance_id(speaker, row.utterance or name),
            speaker=speaker_id(speaker),
            image=image,
            image_id=self._ids[image],
            wav=wav,
            text=" ".join(text.split()),
            alignment="",
            source=self.source,
            record=number,
            start_s=start_s,
            end_s=end_s,
            share=_share(name_of(cells, "share", "")),
        )

    def image_of(self, row: Row) -> str:
        """The image id of a row that was refused, where it can be told."""
        if not isinstance(row.cells, dict):
            return ""
        try:
            return self._ids[below(_picture(row.cells), self.roots.images, "")]
        except ValueError:
            return ""


def _picture(cells: dict[str, Any]) -> str:
    """The path in ``image`` or in ``video``; one of them is empty."""
    if not cells.get("video"):
        return text_of(cells, "image")
    if cells.get("image"):
        raise ValueError("both 'image' and 'video' are given; a caption describes one of them")
    return text_of(cells, "video")


def _language(tag: str) -> str:
    primary, hyphen, rest = tag.strip().replace("_", "-").partition("-")
    language = primary.lower() + hyphen + rest
    if not _LANGUAGE.fullmatch(language):
        raise ValueError(f"language {tag!r} is not a tag of two or three letters, such as en, hi or bam (ISO 639)")
    return language


def _seconds(cells: dict[str, Any], key: str) -> float | None:
    value = cells.get(key)
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"'{key}' is not a number of seconds: {str(value)[:40]!r}") from error
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"'{key}' is not a number of seconds: {str(value)[:40]!r}")
    return seconds


def _share(value: str) -> bool:
    try:
        return _YES_NO[value.strip().lower()]
    except KeyError as error:
        raise ValueError(f"'share' is yes or no, not {value[:40]!r}") from error


def _split(name: str) -> str:
    split = split_name(name.lower())
    if not SPLIT.fullmatch(split):
        raise ValueError(f"split {name[:40]!r} is not train, dev or test, perhaps with a suffix as in test_unseen")
    return split


def _splits(captions: Sequence[Caption], reader: _Reader, fractions: Fractions) -> dict[int, str]:
    """Record number -> split: as the column says, else as the image's other captions, else by the image's hash."""
    if not reader.split:
        held = hold_out([(caption.image_id, reader.language[caption.record]) for caption in captions], fractions)
        return {caption.record: held[caption.image_id] for caption in captions}
    of_image = {c.image_id: reader.split[c.record] for c in captions if c.record in reader.split}
    return {c.record: reader.split.get(c.record) or of_image.get(c.image_id, "train") for c in captions}


def _places(path: Path, rows: Sequence[Row], numbers: Iterable[int]) -> dict[int, str]:
    """Where rows stand: an annotation, a line of a table, or a recording of a folder tree."""
    places = {n: f"{path}:{rows[n - 1].line}" if rows[n - 1].line else str(path) for n in numbers}
    return {n: rows[n - 1].place or place for n, place in places.items()}


def _by_size(names: Iterable[str]) -> list[str]:
    """Names by how often they occur, the most frequent first."""
    counts = Counter(names)
    return sorted(counts, key=lambda name: (-counts[name], name))
