"""Reader of SPEECH-COCO: COCO's captions by eight synthetic voices, with the times of all words and phones.

Every recording has a JSON file beside it. They are read by worker processes; times are read again, one file at a time,
when word times are written: those of 600,000 captions at once would take gigabytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from vgspeech.corpora.captions import Caption, Release, Source
from vgspeech.corpora.coco import divide_anew
from vgspeech.corpora.headers import map_files
from vgspeech.corpora.ids import image_id, require_unicode, speaker_id, utterance_id
from vgspeech.corpora.metadata import load_json
from vgspeech.corpora.records import collect, require_all
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import Word
from vgspeech.errors import DataError
from vgspeech.progress import track

SPEECH_TREE = """\
CORPUS-MSCOCO/
  train2014/
    json/ wav/
      298817_26763_Phil_None_0-9.json and .wav ...
  val2014/
    json/ wav/"""
_NAME = re.compile(r"(\d+)_(\d+)_([A-Za-z]+)_([A-Za-z]+)_([0-9-]+)\.json")
_FOLDERS = {"train": "train2014", "dev": "val2014"}


def read_speech_coco(root: Path, karpathy: Path | None = None, jobs: int = 1) -> tuple[Release, Truth]:
    """Read a release of SPEECH-COCO.

    Args:
        root: its folder.
        karpathy: see ``coco.read_spoken_coco``.
        jobs: worker processes.

    Raises:
        DataError: a part of the tree is missing.
    """
    folders = {split: name for split, name in _FOLDERS.items() if (root / name).is_dir()} or dict(_FOLDERS)
    wanted = {root / name / "json": "metadata" for name in folders.values()}
    wanted |= {root / name / "wav": "recordings" for name in folders.values()}
    require_all(root, wanted, SPEECH_TREE)
    splits = {}
    for split, name in folders.items():
        files = sorted(entry.name for entry in os.scandir(root / name / "json") if entry.name.endswith(".json"))
        folder = root / name / "json"
        read = track(map_files(_read, [str(folder / file) for file in files], jobs), len(files), f"{name} metadata", "files")
        source = Source(folder, partial(_places, folder, files))
        caption = partial(_caption, name, source)
        splits[split] = collect(zip(files, read, strict=True), name, source, caption, partial(_image_of, name))
    release = divide_anew(Release("en", root, splits), karpathy)
    return release, Truth(words={"en": Timecodes(root, "WORD")}, phones={"en": Timecodes(root, "PHO")})


def _places(folder: Path, files: Sequence[str], numbers: Sequence[int]) -> dict[int, str]:
    return {number: str(folder / files[number - 1]) for number in numbers}


def _read(path: str) -> tuple[str, str]:
    """(what is said, what is wrong with the file)."""
    try:
        top = load_json(Path(path))
    except DataError as error:
        return "", error.what
    text = top.get("synthesisedCaption") if isinstance(top, dict) else None
    return (text, "") if isinstance(text, str) else ("", "no 'synthesisedCaption'")


def _caption(folder: str, source: Source, item: tuple[str, tuple[str, str]], number: int) -> Caption:
    name, (text, problem) = item
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("its name is not <image>_<caption>_<speaker>_<disfluency>_<speed>.json")
    if problem:
        raise ValueError(problem)
    require_unicode(text)
    image = image_path(folder, match[1])
    return Caption(
        utterance=utterance_id(match[3], name.removesuffix(".json")),
        speaker=speaker_id(match[3]),
        image=image,
        image_id=image_id(image),
        wav=f"{folder}/wav/{name.removesuffix('.json')}.wav",
        text=" ".join(text.split()),
        alignment="",
        source=source,
        record=number,
    )


def image_path(folder: str, number: str) -> str:
    """Where COCO keeps an image: ``train2014/COCO_train2014_000000298817.jpg``."""
    return f"{folder}/COCO_{folder}_{int(number):012d}.jpg"


def _image_of(folder: str, item: tuple[str, tuple[str, str]]) -> str:
    match = _NAME.fullmatch(item[0])
    return image_id(image_path(folder, match[1])) if match else ""


class Timecodes(Mapping[str, Sequence[Word]]):
    """recording (path in the release) -> its words or phones, read from its JSON file when asked for."""

    def __init__(self, root: Path, kind: str) -> None:
        self._root = root
        self._kind = kind

    def _file(self, wav: str) -> Path:
        folder, _, name = wav.partition("/wav/")
        return self._root / folder / "json" / f"{name.removesuffix('.wav')}.json"

    def __contains__(self, wav: object) -> bool:
        return isinstance(wav, str) and self._file(wav).exists()

    def __getitem__(self, wav: str) -> list[Word]:
        """Words with their times.

        Raises:
            ValueError: the file has none that can be read.
        """
        try:
            top = load_json(self._file(wav))
        except DataError as error:
            raise ValueError(error.what) from error
        if not isinstance(top, dict):
            raise ValueError("no timecodes")
        return parse_timecodes(top.get("timecode"), top.get("duration"), self._kind)

    def __iter__(self) -> Iterator[str]:
        for folder in _FOLDERS.values():
            for path in sorted((self._root / folder / "json").glob("*.json")):
                yield f"{folder}/wav/{path.stem}.wav"

    def __len__(self) -> int:
        return sum(1 for _ in self)


def parse_timecodes(codes: object, duration: object, kind: str) -> list[Word]:
    """Words or phones of a list ``[[milliseconds, "SYL" | "SEPR" | "WORD" | "PHO", text], ...]``.

    A word lasts to the next separator or word, a phone to the next entry of any kind, the last to the recording's end.

    Raises:
        ValueError: the list has another form, or runs backwards.
    """
    if not isinstance(codes, list) or not isinstance(duration, int | float):
        raise ValueError("no timecodes")
    entries = []
    for code in codes:
        if not (isinstance(code, list) and len(code) == 3 and isinstance(code[0], int | float)):
            raise ValueError(f"{str(code)[:40]!r} is no timecode")
        entries.append((code[0] / 1000, str(code[1]), str(code[2]).strip().lower()))
    found, end_s = [], duration / 1000
    for start_s, what, text in reversed(entries):
        if what == kind and text and len(text.split()) == 1:
            require_unicode(text)
            if not 0 <= start_s <= end_s < float("inf"):
                raise ValueError(f"'{text}' ends before it starts")
            found.append(Word(start_s, end_s, text))
        if kind == "PHO" or what in ("WORD", "SEPR"):
            end_s = start_s
    return found[::-1]
