"""Readers of the Places Audio releases: English (2018 and 2020 metadata) and Hindi.

Both are JSON files of records ``{"speaker", "asr_text", "wav", "image"}``; English ones have a ``uttid`` and, in the
aligned variant, ``text_alignment``. The declared base paths point into the machines that made the release, so images
are looked up below a root of the user's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from vgspeech.corpora.captions import Release
from vgspeech.corpora.metadata import WavPath, read_json_split
from vgspeech.corpora.records import require_all, require_tree, split_name

ENGLISH_TREE = """\
PlacesAudio_400k_distro/
  metadata/
    train_2020.json dev_seen_2020.json dev_unseen_2020.json test_seen_2020.json test_unseen_2020.json
    (or, release of 2018: train.json val.json)
  wavs/
    0/utterance_230846.wav ..."""
HINDI_TREE = """\
PlacesHindi100k/
  PlacesHindi100k_train.json PlacesHindi100k_dev.json PlacesHindi100k_test.json
  hindi_wavs/
    train/....wav dev/....wav test/....wav"""

_SPLIT = re.compile(r"(train|dev|test)(_[A-Za-z0-9]+)*")
_HINDI_FILE = re.compile(r".*?Hindi.*?_((?:train|dev|val|test)(?:_[A-Za-z0-9]+)*)\.json")


def read_english(root: Path) -> Release:
    """Read a release of Places Audio in English.

    When the folder holds the metadata of 2018 and of 2020, those of 2020 are used: they divide the recordings anew.

    Raises:
        DataError: the folder or its metadata are missing, or a file is not JSON.
    """
    folder = root / "metadata"
    require_all(root, {folder: "the metadata", root / "wavs": "the recordings"}, ENGLISH_TREE)
    names = sorted(path.name for path in folder.glob("*.json"))
    newer = [name for name in names if name.endswith("_2020.json")]
    files, notes = {}, []
    for name in newer or names:
        split = split_name(name.removesuffix(".json").removesuffix("_2020"))
        if _SPLIT.fullmatch(split):
            files[split] = folder / name
        else:
            notes.append(f"{folder / name} was left alone: its name is not that of a split")
    if newer and len(newer) < len(names):
        older = ", ".join(name for name in names if name not in newer)
        notes.append(f"{folder} holds the splits of 2020 and others; the others were left alone: {older}")
    require_tree(bool(files), root, folder / "*.json", ENGLISH_TREE)
    return _read("en", root, files, lambda wav, split: wav, notes)


def read_hindi(root: Path) -> Release:
    """Read a release of Places Hindi.

    Recordings' paths carry leading folders that no longer exist; they are rewritten to ``hindi_wavs/<split>/...``.

    Raises:
        DataError: the folder or its metadata are missing, or a file is not JSON.
    """
    require_all(root, {root / "*Hindi*_*.json": "the metadata", root / "hindi_wavs": "the recordings"}, HINDI_TREE)
    matches = {path: _HINDI_FILE.fullmatch(path.name) for path in sorted(root.glob("*.json"))}
    files = {split_name(match[1]): path for path, match in matches.items() if match}
    notes = [f"{path} was left alone: its name is not that of a split" for path, match in matches.items() if not match]
    require_tree(bool(files), root, root / "*Hindi*_{train,dev,test}.json", HINDI_TREE)
    return _read("hi", root, files, lambda wav, split: hindi_wav(root, wav, split), notes)


def hindi_wav(root: Path, wav: str, split: str) -> str:
    """The place of a Hindi recording below ``root``, given a path whose leading folders cannot be trusted.

    Returns:
        Of the places where it may be, the first that exists, else the first: what follows ``hindi_wavs`` or the split's
        folder in ``wav``, in the folder of this split or, if named, of another.
    """
    *folders, name = wav.split("/")
    if "hindi_wavs" in folders:
        inside = folders[folders.index("hindi_wavs") + 1 :]
        places = [[split, *inside[1:], name], [*inside, name], [split, *inside, name]]
        if inside[:1] == [split]:
            places = places[:1]
    elif split in folders:
        places = [[split, *folders[folders.index(split) + 1 :], name]]
    else:
        places = [[split, *folders[2:], name], [split, name]]
    paths = ["/".join(["hindi_wavs", *parts]) for parts in places]
    return paths[0] if len(paths) == 1 else next((path for path in paths if os.path.exists(root / path)), paths[0])


def _read(language: str, root: Path, files: dict[str, Path], wav_path: WavPath, notes: list[str]) -> Release:
    splits = {split: read_json_split(path, split, wav_path) for split, path in sorted(files.items())}
    return Release(language, root, splits, notes)
