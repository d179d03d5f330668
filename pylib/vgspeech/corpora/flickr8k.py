"""Reader of the Flickr8k Audio Captions: 40,000 read-aloud captions of 8,000 photos.

The release names a recording's image and speaker in two text files. Splits, written captions and word times come with
Flickr8k and from others; the last two are optional.
"""

from __future__ import annotations

import re
from pathlib import Path

from vgspeech.corpora.captions import Caption, Release
from vgspeech.corpora.ids import UNKNOWN_SPEAKER, image_id, release_path, speaker_id, utterance_id
from vgspeech.corpora.records import ImageIds, by_image, collect, counted, line_source, plain_wav, require_all
from vgspeech.corpora.sheet import read_text
from vgspeech.corpora.truth import Times, Truth
from vgspeech.datadir import Word, read_ctm
from vgspeech.errors import DataError

FLICKR_TREE = """\
flickr_audio/
  wav2capt.txt wav2spk.txt
  wavs/
    2571096893_694ce79768_1.wav ...
Flickr8k_text/
  Flickr_8k.trainImages.txt Flickr_8k.devImages.txt Flickr_8k.testImages.txt
  Flickr8k.token.txt         (optional: the written captions)
  flickr_8k.ctm              (optional: word times of the forced alignment)
Flicker8k_Dataset/
  2571096893_694ce79768.jpg ..."""
SPLITS = {split: f"Flickr_8k.{split}Images.txt" for split in ("train", "dev", "test")}


def read_flickr8k(audio: Path, text: Path) -> tuple[Release, Truth]:
    """Read the release.

    Args:
        audio: its folder.
        text: the folder of Flickr8k's text files.

    Returns:
        The captions, and their word times where there are any.

    Raises:
        DataError: a part is missing (all missing ones are listed), or a file is not text.
    """
    wanted = {audio / "wav2capt.txt": "images of the recordings", audio / "wav2spk.txt": "their speakers"}
    wanted |= {audio / "wavs": "the recordings"} | {text / name: "images of a split" for name in SPLITS.values()}
    require_all(audio, wanted, FLICKR_TREE)
    reader = _Reader(audio / "wav2spk.txt", text / "Flickr8k.token.txt")
    path = audio / "wav2capt.txt"
    reader.source = line_source(path)
    records = collect(_lines(path), "wav2capt", reader.source, reader.caption, _image_of)
    split_of, notes = _read_splits(text)
    splits, left_out = by_image([records], split_of)
    notes += [f"{counted(left_out, 'caption')} left out: in no split"] if left_out else []
    notes += _strays(audio, {caption.wav for caption in records.captions})
    notes += reader.notes({caption.wav for caption in records.captions})
    release = Release("en", audio, splits, notes)
    ctm = text / "flickr_8k.ctm"
    times = read_word_times(ctm) if ctm.exists() else {}
    if times:
        without = sum(caption.wav not in times for part in splits.values() for caption in part.captions)
        notes += [f"{counted(without, 'caption')} without word times in {ctm}"] if without else []
    return release, Truth(words={"en": times})


def _read_splits(text: Path) -> tuple[dict[str, str], list[str]]:
    """Image -> split, and a note where an image is listed in two: it counts for the one that is evaluated on.

    Raises:
        DataError: a line names no image; says which.
    """
    split_of: dict[str, str] = {}
    twice: dict[str, str] = {}
    for split, name in SPLITS.items():
        for number, line in enumerate(_lines(text / name), start=1):
            if not line.strip():
                continue
            try:
                image = image_id(line.strip())
            except ValueError as error:
                raise DataError(str(error), where=f"{text / name}:{number}") from error
            if split_of.setdefault(image, split) != split:
                twice[image] = f"{split_of[image]} and {split}"
                split_of[image] = split
    if not twice:
        return split_of, []
    image, where = next(iter(twice.items()))
    images = counted(len(twice), "image")
    return split_of, [f"{images} in two split lists, and counted for the second, the first: {image} ({where})"]


class _Reader:
    """Lines ``<wav> <image> #<k>`` to captions."""

    source = line_source(Path())

    def __init__(self, speakers: Path, tokens: Path) -> None:
        self._ids = ImageIds()
        self._speakers: dict[str, str] = {}
        for number, line in enumerate(_lines(speakers), start=1):
            cells = line.split()
            if len(cells) != 2:
                raise DataError(f"expected '<wav> <speaker>', got {line[:60]!r}", where=f"{speakers}:{number}")
            self._speakers[cells[0]] = cells[1]
        self._tokens = tokens
        self._text = _written(tokens) if tokens.exists() else {}

    def caption(self, line: str, number: int) -> Caption:
        """A line as a caption."""
        cells = line.split()
        if len(cells) != 3 or not re.fullmatch(r"#\d", cells[2]):
            raise ValueError(f"expected '<wav> <image> #<k>', got {line[:60]!r}")
        wav, image = release_path(cells[0]), release_path(cells[1])
        speaker = self._speakers.get(cells[0], UNKNOWN_SPEAKER)
        return Caption(
            utterance=utterance_id(speaker, wav.removesuffix(".wav")),
            speaker=speaker_id(speaker),
            image=image,
            image_id=self._ids[image],
            wav=plain_wav(f"wavs/{wav}"),
            text=self._text.get(image + cells[2], ""),
            alignment="",
            source=self.source,
            record=number,
        )

    def notes(self, wavs: set[str]) -> list[str]:
        """What the files do not agree about."""
        notes = []
        unknown = sorted(wavs - {f"wavs/{name}" for name in self._speakers})
        if unknown:
            notes.append(f"{counted(len(unknown), 'recording')} without a speaker, the first: {unknown[0]}")
        used = set(self._ids)
        odd = sorted({key.rpartition("#")[0] for key in self._text} - used)
        if odd:
            notes.append(f"{self._tokens}: written captions of {counted(len(odd), 'image')} not used, the first: {odd[0]}")
        return notes


def _lines(path: Path) -> list[str]:
    return read_text(path).rstrip("\n").split("\n")


def _image_of(line: str) -> str:
    cells = line.split()
    try:
        return image_id(release_path(cells[1])) if len(cells) > 1 else ""
    except ValueError:
        return ""


def _written(path: Path) -> dict[str, str]:
    """``<image>#<k>`` -> written caption."""
    written = {}
    for number, line in enumerate(_lines(path), start=1):
        key, tab, text = line.partition("\t")
        if not tab or "#" not in key:
            raise DataError(f"expected '<image>#<k>' and a caption behind a tab, got {line[:60]!r}", where=f"{path}:{number}")
        written[key] = " ".join(text.split())
    return written


def _strays(audio: Path, wavs: set[str]) -> list[str]:
    found = sorted(path.name for path in (audio / "wavs").iterdir())
    strays = [name for name in found if f"wavs/{name}" not in wavs]
    if not strays:
        return []
    return [f"{counted(len(strays), 'file')} in {audio / 'wavs'} left alone, not being in wav2capt.txt, the first: {strays[0]}"]


def read_word_times(path: Path) -> Times:
    """Word times of the forced alignment, keyed by recording; its own keys are ``<image>.jpg_#<k>``.

    Raises:
        DataError: a line is not of the form of a ctm file.
    """
    times: dict[str, list[Word]] = {}
    for key, words in read_ctm(path).items():
        image, mark, index = key.rpartition("_#")
        if mark:
            lower = [Word(word.start_s, word.end_s, word.text.lower()) for word in words]
            times[f"wavs/{image.removesuffix('.jpg')}_{index}.wav"] = lower
    return times
