"""Reader of Spoken Moments in Time: spoken captions of the three-second videos of Moments in Time.

Metadata are JSON in the form of Places Audio, ``{"data": [{"uttid", "speaker", "asr_text", "wav", "video"}, ...]}``, or tables
(.csv, .tsv) with these columns. Videos lie below a root of their own, as Moments in Time has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vgspeech.corpora.captions import Caption, Release, Source, SplitRecords
from vgspeech.corpora.ids import image_id, release_path
from vgspeech.corpora.metadata import caption_of, json_source, read_metadata
from vgspeech.corpora.records import ImageIds, collect, drain, plain_wav, require_all, require_tree, split_name, text_of
from vgspeech.corpora.sheet import check_columns, read_sheet
from vgspeech.errors import DataError

MOMENTS_TREE = """\
SpokenMoments/
  metadata/
    train.json val.json test.json     (or .csv or .tsv; anything may stand before the split: spoken_moments_train.json)
  wavs/
    ....wav"""
_FILE = re.compile(r"(?:.*[_-])?(train|val|dev|test)(?:ing|idation)?(?:[_-]?set)?\.(json|csv|tsv)", re.IGNORECASE)
REQUIRED = ("video", "wav")
OPTIONAL = ("uttid", "speaker", "asr_text", "text_alignment")
OTHER_NAMES = {
    "clip": "video", "image": "video", "video_path": "video", "filename": "video", "audio": "wav", "audio_path": "wav",
    "worker": "speaker", "text": "asr_text", "caption": "asr_text", "transcript": "asr_text",
}  # fmt: skip


def read_spoken_moments(root: Path) -> Release:
    """Read a release of Spoken Moments.

    Raises:
        DataError: the folder or its metadata are missing, a split has two files, or a file cannot be read.
    """
    folder = root / "metadata"
    require_all(root, {folder: "the metadata", root / "wavs": "the recordings"}, MOMENTS_TREE)
    files: dict[str, Path] = {}
    notes = []
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            notes.append(f"{path} was left alone: its name is not that of a split")
            continue
        split = split_name(match[1].lower())
        if split in files:
            hint = "move one of them out of the folder"
            raise DataError(f"two files for the split {split}: {files[split].name}, {path.name}", where=str(folder), hint=hint)
        files[split] = path
    require_tree(bool(files), root, folder / "train.json", MOMENTS_TREE)
    return Release("en", root, {split: _read_split(path, split, notes) for split, path in sorted(files.items())}, notes)


def _read_split(path: Path, split: str, notes: list[str]) -> SplitRecords:
    if path.suffix.lower() == ".json":
        _, audio_base, items = read_metadata(path)
        return _collect(drain(items), split, json_source(path), audio_base)
    sheet = read_sheet(path)
    notes += check_columns(sheet.columns, f"{path}:1", REQUIRED, OPTIONAL, OTHER_NAMES)
    lines = [row.line for row in sheet.rows]
    source = Source(path, lambda numbers: {number: f"{path}:{lines[number - 1]}" for number in numbers})
    return _collect([row.cells for row in sheet.rows], split, source, "")


def _collect(items: Iterable[Any], split: str, source: Source, audio_base: str) -> SplitRecords:
    ids = ImageIds()

    def caption(item: Any, number: int) -> Caption:
        if not isinstance(item, dict):
            raise ValueError(f"expected 'video' and 'wav', got {str(item)[:40]!r}")
        wav = plain_wav(release_path(text_of(item, "wav"), audio_base))
        wav = wav if wav.startswith("wavs/") else f"wavs/{wav}"
        return caption_of(item, source, number, split, wav, _video(item), ids)

    return collect(items, split, source, caption, _image_of)


def _video(item: dict[str, Any]) -> str:
    return release_path(text_of(item, "video"))


def _image_of(item: Any) -> str:
    """The clip of a record that is refused for another reason, where it can be told."""
    try:
        return image_id(_video(item)) if isinstance(item, dict) else ""
    except ValueError:
        return ""
