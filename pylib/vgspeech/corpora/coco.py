"""Readers of the spoken corpora over COCO: SpokenCOCO (people) and SPEECH-COCO (synthetic voices)."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vgspeech.corpora.captions import Caption, Release, Source, SplitRecords
from vgspeech.corpora.ids import image_id, release_path
from vgspeech.corpora.metadata import caption_of, load_json, read_metadata, record_places
from vgspeech.corpora.records import (
    ImageIds,
    by_image,
    collect,
    counted,
    drain,
    plain_wav,
    require_all,
    require_tree,
    split_name,
    text_of,
)
from vgspeech.errors import DataError

SPOKEN_TREE = """\
SpokenCOCO/
  SpokenCOCO_train.json SpokenCOCO_val.json
  (or, splits of Karpathy: SpokenCOCO_{train,val,test}_karpathy.json, unrolled or not, with alignments or without)
  wavs/
    train/....wav val/....wav"""
_SPOKEN_FILE = re.compile(r"SpokenCOCO_(train|val|test)((?:_[A-Za-z]+)*)\.json")


def read_spoken_coco(root: Path, karpathy: Path | None = None) -> Release:
    """Read a release of SpokenCOCO.

    Records are images with a list ``captions``, or are unrolled: one ``caption`` each. Of several files for one split
    those with Karpathy's splits are taken, and of these the ones with alignments.

    Args:
        root: its folder.
        karpathy: ``dataset_coco.json`` of Karpathy's splits, to divide the original metadata anew.

    Raises:
        DataError: the folder or its metadata are missing, or a file is not JSON.
    """
    require_all(root, {root / "SpokenCOCO_*.json": "the metadata", root / "wavs": "the recordings"}, SPOKEN_TREE)
    candidates: dict[str, list[tuple[tuple[bool, bool, str], Path]]] = {}
    notes = []
    for path in sorted(root.glob("*.json")):
        match = _SPOKEN_FILE.fullmatch(path.name)
        if match is None:
            notes.append(f"{path} was left alone: its name is not that of a split")
        else:
            rank = ("karpathy" not in match[2], "alignment" not in match[2], path.name)
            candidates.setdefault(split_name(match[1]), []).append((rank, path))
    require_tree(bool(candidates), root, root / "SpokenCOCO_train.json", SPOKEN_TREE)
    redivided = any(not rank[0] for found in candidates.values() for rank, _ in found)
    files: dict[str, Path] = {}
    unused: list[str] = []
    for split, found in candidates.items():
        usable = [path for rank, path in sorted(found) if rank[0] == (karpathy is not None or not redivided)]
        files |= {split: usable[0]} if usable else {}
        unused += [path.name for _, path in found if path not in usable[:1]]
    require_tree(bool(files), root, root / "SpokenCOCO_train.json", SPOKEN_TREE)
    if unused:
        notes.append(f"{root} holds the same captions several times; left alone: {', '.join(sorted(unused))}")
    splits = {split: _read_spoken(path, split) for split, path in sorted(files.items())}
    return divide_anew(Release("en", root, splits, notes), karpathy)


class _Spoken(NamedTuple):
    """A caption of an image's record."""

    item: Any
    image: Any


def _read_spoken(path: Path, split: str) -> SplitRecords:
    image_base, audio_base, items = read_metadata(path)
    starts: list[int] = []
    ids = ImageIds()
    source = Source(path, partial(_nested_places, path, starts))

    def caption(spoken: _Spoken, number: int) -> Caption:
        if not isinstance(spoken.item, dict) or not isinstance(spoken.image, str):
            raise ValueError("expected an image with its spoken captions")
        item = {"asr_text": spoken.item.get("text"), **spoken.item}
        wav = plain_wav(release_path(text_of(item, "wav"), audio_base))
        return caption_of(item, source, number, split, wav, release_path(spoken.image, image_base), ids)

    return collect(_unroll(drain(items), starts), split, source, caption, lambda spoken: _image_of(spoken, image_base))


def _unroll(items: Iterable[Any], starts: list[int]) -> Iterator[_Spoken]:
    """One caption after the other; ``starts`` gets the number of each record's first one."""
    number = 1
    for item in items:
        starts.append(number)
        image = item.get("image") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(item.get("captions"), list):
            captions = item["captions"] or [None]
        elif isinstance(item, dict) and isinstance(item.get("caption"), dict):
            # Alignments of the unrolled files stand beside the caption.
            captions = [{"text_alignment": item.get("text_alignment"), **item["caption"]}]
        else:
            captions = [item]
        for one in captions:
            yield _Spoken(one, image)
        number += len(captions)


def _nested_places(path: Path, starts: Sequence[int], numbers: Iterable[int]) -> dict[int, str]:
    records = {number: bisect.bisect_right(starts, number) for number in numbers}
    places = record_places(path, records.values())
    return {
        number: f"{places[record]}, caption {number - starts[record - 1] + 1}" for number, record in records.items()
    }


def _image_of(spoken: _Spoken, image_base: str) -> str:
    try:
        return image_id(release_path(spoken.image, image_base)) if isinstance(spoken.image, str) else ""
    except ValueError:
        return ""


def read_karpathy(path: Path) -> dict[str, str]:
    """Image id -> split, of Karpathy's ``dataset_coco.json``; ``restval`` belongs to train.

    Raises:
        DataError: it is not that file.
    """
    top = load_json(path)
    images = top.get("images") if isinstance(top, dict) else None
    names = {"train": "train", "restval": "train", "val": "dev", "test": "test"}
    try:
        return {image_id(f"{one['filepath']}/{one['filename']}"): names[one["split"]] for one in images or ()}
    except (KeyError, TypeError, ValueError) as error:
        what = "not Karpathy's dataset_coco.json: expected images with filepath, filename and split"
        raise DataError(what, where=str(path)) from error


def divide_anew(release: Release, karpathy: Path | None) -> Release:
    """A release with Karpathy's splits, where they are given.

    Raises:
        DataError: they are those of other images.
    """
    if karpathy is None:
        return release
    splits, left_out = by_image(list(release.splits.values()), read_karpathy(karpathy))
    if not splits:
        raise DataError("none of its images is in the corpus", where=str(karpathy))
    notes = [f"{counted(left_out, 'caption')} left out: in no split of {karpathy}"] if left_out else []
    return Release(release.language, release.root, splits, release.notes + notes)
