"""Readers of the Places Audio releases: English (2018 and 2020 metadata) and Hindi.

Both are JSON files of records ``{"speaker", "asr_text", "wav", "image"}``; English ones have a ``uttid`` and, in the
aligned variant, ``text_alignment``. The declared base paths point into the machines that made the release, so images
are looked up below a root of the user's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vgspeech.corpora.captions import Caption, Rejected, Release, SplitRecords
from vgspeech.corpora.ids import UNKNOWN_SPEAKER, image_id, release_path, require_unicode, speaker_id, utterance_id
from vgspeech.corpora.metadata import Metadata, read_metadata, record_places
from vgspeech.errors import DataError

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

WavPath = Callable[[str, str], str]


def read_english(root: Path) -> Release:
    """Read a release of Places Audio in English.

    When the folder holds the metadata of 2018 and of 2020, those of 2020 are used: they divide the recordings anew.

    Raises:
        DataError: the folder or its metadata are missing, or a file is not JSON.
    """
    folder = root / "metadata"
    _require(folder.is_dir(), root, folder, ENGLISH_TREE)
    names = sorted(path.name for path in folder.glob("*.json"))
    newer = [name for name in names if name.endswith("_2020.json")]
    files, notes = {}, []
    for name in newer or names:
        split = _split_name(name.removesuffix(".json").removesuffix("_2020"))
        if _SPLIT.fullmatch(split):
            files[split] = folder / name
        else:
            notes.append(f"{folder / name} was left alone: its name is not that of a split")
    if newer and len(newer) < len(names):
        older = ", ".join(name for name in names if name not in newer)
        notes.append(f"{folder} holds the splits of 2020 and others; the others were left alone: {older}")
    _require(bool(files), root, folder / "*.json", ENGLISH_TREE)
    return _read("en", root, files, lambda wav, split: wav, notes)


def read_hindi(root: Path) -> Release:
    """Read a release of Places Hindi.

    Recordings' paths carry leading folders that no longer exist; they are rewritten to ``hindi_wavs/<split>/...``.

    Raises:
        DataError: the folder or its metadata are missing, or a file is not JSON.
    """
    _require(root.is_dir(), root, root, HINDI_TREE)
    matches = {path: _HINDI_FILE.fullmatch(path.name) for path in sorted(root.glob("*.json"))}
    files = {_split_name(match[1]): path for path, match in matches.items() if match}
    notes = [f"{path} was left alone: its name is not that of a split" for path, match in matches.items() if not match]
    _require(bool(files), root, root / "*Hindi*_{train,dev,test}.json", HINDI_TREE)
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
    return paths[0] if len(paths) == 1 else next((path for path in paths if (root / path).exists()), paths[0])


def _split_name(name: str) -> str:
    return "dev" + name[3:] if name == "val" or name.startswith("val_") else name


def _require(found: bool, root: Path, missing: Path, tree: str) -> None:
    if found:
        return
    drawn = "expected:\n    " + tree.replace("\n", "\n    ")
    inside = [path for path in sorted(root.glob("*/")) if (path / missing.name).exists()] if root.is_dir() else []
    if inside:
        drawn = f"did you mean {inside[0]}?\n  {drawn}"
    what = f"the corpus has no {missing.relative_to(root)}" if root.is_dir() else "no such corpus folder"
    raise DataError(what, where=str(root), hint=drawn)


def _read(language: str, root: Path, files: dict[str, Path], wav_path: WavPath, notes: list[str]) -> Release:
    splits = {split: _read_split(path, split, wav_path) for split, path in sorted(files.items())}
    return Release(language, root, splits, notes)


def _read_split(path: Path, split: str, wav_path: WavPath) -> SplitRecords:
    """One metadata file: its captions, and what had to be refused with file and line."""
    metadata = read_metadata(path)
    records = SplitRecords(source=path)
    refused: dict[int, tuple[str, str]] = {}
    first_use: dict[tuple[str, str], int] = {}
    names: dict[str, int] = {}
    image_ids: dict[str, str] = {}
    for number, item in enumerate(metadata.records, start=1):
        try:
            caption = _caption(item, path, number, split, metadata, wav_path, image_ids)
        except ValueError as error:
            refused[number] = str(error), _image_id_of(item, metadata)
            continue
        earlier = first_use.setdefault((caption.wav, caption.image), number)
        if earlier != number:
            reason = f"duplicate of record {earlier} in {path}"
            records.duplicates.append(Rejected(f"{split}#{number}", reason, caption.image_id))
        elif names.setdefault(caption.utterance, number) != number:
            reason = f"utterance id {caption.utterance} is also that of record {names[caption.utterance]}"
            refused[number] = reason, caption.image_id
        else:
            records.captions.append(caption)
    places = record_places(path, refused)
    records.rejected = [
        Rejected(f"{split}#{number}", f"{places[number]}: {reason}", image_id)
        for number, (reason, image_id) in refused.items()
    ]
    return records


def _caption(
    item: Any, source: Path, number: int, split: str, metadata: Metadata, wav_path: WavPath, image_ids: dict[str, str]
) -> Caption:
    """A checked record; ValueError says what is wrong with it. ``image_ids`` keeps one string for each image."""
    if not isinstance(item, dict):
        raise ValueError(f"expected an object with keys such as 'wav' and 'image', got {str(item)[:40]!r}")
    wav = wav_path(release_path(_text_of(item, "wav"), metadata.audio_base), split)
    if wav.startswith("|") or wav.endswith("|") or re.search(r":\d+$", wav) or wav != wav.strip():
        raise ValueError(f"path {wav!r} would be read as a command or an archive offset")
    image = release_path(_text_of(item, "image"), metadata.image_base)
    speaker = _name_of(item, "speaker", UNKNOWN_SPEAKER)
    # Numbers follow the file's order, so rejecting a record leaves the ids of all others as they are.
    name = _name_of(item, "uttid", f"{split}{number:06d}")
    return Caption(
        utterance=utterance_id(speaker, name),
        speaker=speaker_id(speaker),
        image=image,
        image_id=image_ids.get(image) or image_ids.setdefault(image, image_id(image)),
        wav=wav,
        text=" ".join(_optional(item, "asr_text").split()),
        alignment=_optional(item, "text_alignment"),
        source=source,
        record=number,
    )


def _text_of(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if value is None or value == "":
        raise ValueError(f"no '{key}'")
    if not isinstance(value, str):
        raise ValueError(f"'{key}' is not text: {str(value)[:40]}")
    return value


def _name_of(item: dict[str, Any], key: str, default: str) -> str:
    value = item.get(key)
    return default if value is None or value == "" else str(value)


def _optional(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        return ""
    require_unicode(value)
    return value


def _image_id_of(item: Any, metadata: Metadata) -> str:
    """The image of a record that is refused for another reason, where it can be told."""
    try:
        return image_id(release_path(_text_of(item, "image"), metadata.image_base)) if isinstance(item, dict) else ""
    except ValueError:
        return ""
