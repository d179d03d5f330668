"""Reader of Spoken ObjectNet: metadata in the form of Places Audio, recordings at 48 kHz, images of ObjectNet."""

from __future__ import annotations

import re
from pathlib import Path

from vgspeech.corpora.captions import Release
from vgspeech.corpora.metadata import read_json_split
from vgspeech.corpora.records import require_all, require_tree, split_name

OBJECTNET_TREE = """\
Spoken-ObjectNet-50k/
  metadata/
    SON-train.json SON-val.json SON-test.json
  wavs/
    ....wav"""
_FILE = re.compile(r"SON-(train|val|dev|test)\.json")


def read_objectnet(root: Path) -> Release:
    """Read a release of Spoken ObjectNet.

    Raises:
        DataError: the folder or its metadata are missing, or a file is not JSON.
    """
    folder = root / "metadata"
    require_all(root, {folder: "the metadata", root / "wavs": "the recordings"}, OBJECTNET_TREE)
    matches = {path: _FILE.fullmatch(path.name) for path in sorted(folder.glob("*.json"))}
    files = {split_name(match[1]): path for path, match in matches.items() if match}
    notes = [f"{path} was left alone: its name is not that of a split" for path, match in matches.items() if not match]
    require_tree(bool(files), root, folder / "SON-*.json", OBJECTNET_TREE)
    splits = {split: read_json_split(path, split, _below_wavs) for split, path in sorted(files.items())}
    return Release("en", root, splits, notes)


def _below_wavs(wav: str, split: str) -> str:
    """A recording's path, which the metadata give with or without its first folder."""
    return wav if wav.startswith("wavs/") else f"wavs/{wav}"
