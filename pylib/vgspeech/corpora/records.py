"""What all readers share: records become captions, are listed as refused with file and line, or as repetitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vgspeech.corpora.captions import Caption, Rejected, Source, SplitRecords
from vgspeech.corpora.ids import image_id, require_unicode
from vgspeech.errors import DataError

Item = TypeVar("Item")
SPLIT = re.compile(r"(train|dev|test)(_[A-Za-z0-9]+)*")
"""Names of splits."""


def collect(
    items: Iterable[Item],
    label: str,
    source: Source,
    caption_of: Callable[[Item, int], Caption],
    image_of: Callable[[Item], str],
) -> SplitRecords:
    """Read the records of a metadata file.

    Args:
        items: the records, as the file has them.
        label: rejected records are called ``label#number``.
        source: the file, which ``caption_of`` puts into captions too.
        caption_of: makes a caption of a record and its number (from 1); ValueError says what is wrong with it.
        image_of: the image id of a record that was refused for another reason, "" where it cannot be told.
    """
    records = SplitRecords()
    refused: dict[int, tuple[str, str]] = {}
    namesakes: dict[int, int] = {}
    first_use: dict[tuple[str, str, float], int] = {}
    names: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        try:
            caption = caption_of(item, number)
        except ValueError as error:
            refused[number] = str(error), image_of(item)
            continue
        earlier = first_use.setdefault((caption.wav, caption.image, caption.start_s), number)
        if earlier != number:
            reason = f"duplicate of record {earlier} in {source.path}"
            records.duplicates.append(Rejected(f"{label}#{number}", reason, caption.image_id))
        elif names.setdefault(caption.utterance, number) != number:
            namesakes[number] = names[caption.utterance]
            refused[number] = f"utterance id {caption.utterance} is also that of", caption.image_id
        else:
            records.captions.append(caption)
    places = source.places({*refused, *namesakes.values()})
    for number, first in namesakes.items():
        reason, image = refused[number]
        refused[number] = f"{reason} record {first}, {places[first]}: the same recording, or two of one name", image
    records.rejected = [
        Rejected(f"{label}#{number}", f"{places[number]}: {reason}", image)
        for number, (reason, image) in refused.items()
    ]
    return records


def by_image(files: Sequence[SplitRecords], split_of: Mapping[str, str]) -> tuple[dict[str, SplitRecords], int]:
    """Divide records anew, by image.

    Args:
        files: records of metadata files.
        split_of: image id -> split.

    Returns:
        The splits; refused records whose image is not known are listed with train. And the number of captions whose
        image is in no split.
    """
    splits = {split: SplitRecords() for split in sorted(set(split_of.values()))}
    left_out = 0
    for records in files:
        for caption in records.captions:
            if caption.image_id in split_of:
                splits[split_of[caption.image_id]].captions.append(caption)
            else:
                left_out += 1
        for rejected in records.rejected:
            split = split_of.get(rejected.image_id, "" if rejected.image_id else "train")
            if split in splits:
                splits[split].rejected.append(rejected)
        for duplicate in records.duplicates:
            if duplicate.image_id in split_of:
                splits[split_of[duplicate.image_id]].duplicates.append(duplicate)
    return {split: records for split, records in splits.items() if records.captions or records.rejected}, left_out


def line_source(path: Path) -> Source:
    """A text file of one record a line as the source of captions."""
    return Source(path, lambda numbers: {number: f"{path}:{number}" for number in numbers})


def number_of(rejected: Rejected) -> int:
    """The record number of a record that ``collect`` lists."""
    return int(rejected.id.rpartition("#")[2])


def drain(items: list[Any]) -> Iterable[Any]:
    """The items of a list, each let go of when the next is asked for: 400,000 records are hundreds of megabytes."""
    for index, item in enumerate(items):
        items[index] = None
        yield item


class ImageIds(dict[str, str]):
    """Image path -> image id, each made once; captions of one image share the strings."""

    def __missing__(self, path: str) -> str:
        self[path] = image_id(path)
        return self[path]


def text_of(item: dict[str, Any], key: str) -> str:
    """A value that must be there.

    Raises:
        ValueError: it is missing, empty or not text.
    """
    value = item.get(key)
    if value is None or value == "":
        raise ValueError(f"no '{key}'")
    if not isinstance(value, str):
        raise ValueError(f"'{key}' is not text: {str(value)[:40]}")
    return value


def name_of(item: dict[str, Any], key: str, default: str) -> str:
    """A name, which may be written as a number."""
    value = item.get(key)
    return default if value is None or value == "" else str(value)


def optional_text(item: dict[str, Any], key: str) -> str:
    """A text that may be missing.

    Raises:
        ValueError: it is not valid Unicode.
    """
    value = item.get(key)
    if not isinstance(value, str):
        return ""
    require_unicode(value)
    return value


def plain_wav(path: str) -> str:
    """A recording's path that every reader of wav.scp takes for a file.

    Raises:
        ValueError: it would be read as a command or as an offset into an archive.
    """
    if path[:1] == "|" or path[-1:] == "|" or (path[-1:].isdigit() and _OFFSET.search(path)) or path != path.strip():
        raise ValueError(f"path {path!r} would be read as a command or an archive offset")
    return path


_OFFSET = re.compile(r":\d+$")


def split_name(name: str) -> str:
    """A split's name as we write it: ``val`` is ``dev``."""
    return "dev" + name[3:] if name == "val" or name.startswith("val_") else name


def require_tree(found: bool, root: Path, missing: Path, tree: str) -> None:
    """Refuse a corpus folder that lacks something, and draw what is expected.

    Raises:
        DataError: ``found`` is false.
    """
    if not found:
        raise DataError(f"the corpus has no {missing.relative_to(root)}", where=str(root), hint=_drawn(tree))


def require_all(root: Path, wanted: dict[Path, str], tree: str) -> None:
    """Refuse a corpus that lacks files or folders, with the list of all that is missing.

    Args:
        root: the corpus folder.
        wanted: path, whose last part may be a pattern with ``*`` -> what it is.
        tree: the expected tree, drawn.

    Raises:
        DataError: something is missing.
    """
    if not root.is_dir():
        raise DataError("no such corpus folder", where=str(root), hint=_drawn(tree))
    missing = [path for path in wanted if not _is_there(path)]
    if not missing:
        return
    listed = "".join(f"\n    {path}: {wanted[path]}" for path in missing)
    inside = [path.relative_to(root) for path in missing if path.is_relative_to(root)]
    meant = [folder for folder in sorted(root.glob("*/")) if inside and all(_is_there(folder / path) for path in inside)]
    hint = (f"did you mean {meant[0]}?\n  " if meant else "") + _drawn(tree)
    raise DataError(f"the corpus lacks {len(missing)} of its parts:{listed}", where=str(root), hint=hint)


def _is_there(path: Path) -> bool:
    return any(path.parent.glob(path.name)) if "*" in path.name else path.exists()


def _drawn(tree: str) -> str:
    return "expected:\n    " + tree.replace("\n", "\n    ")


def counted(number: int, what: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
