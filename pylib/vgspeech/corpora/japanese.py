"""Reader of Places Japanese: text files of two columns, ``<image> <wav>``, both with a leading slash; nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from vgspeech.corpora.captions import Caption, Release, Source
from vgspeech.corpora.ids import UNKNOWN_SPEAKER, image_id, release_path, speaker_id, utterance_id
from vgspeech.corpora.records import ImageIds, collect, line_source, plain_wav, require_all, require_tree, split_name
from vgspeech.corpora.sheet import read_text

JAPANESE_TREE = """\
PlacesAudioJpn_100k/
  PlacesAudioJpn_100k_image2audio_train.txt PlacesAudioJpn_100k_image2audio_valid.txt
  (the folders of recordings that the second column of these files names)"""
_FILE = re.compile(r".*image2audio_((?:train|dev|valid|val|test)(?:_[A-Za-z0-9]+)*)\.txt")


def read_japanese(root: Path) -> Release:
    """Read a release of Places Japanese. It names no speakers and has no transcripts.

    Raises:
        DataError: the folder or its lists are missing, or one is not text.
    """
    require_all(root, {root / "*image2audio_*.txt": "the lists of images and recordings"}, JAPANESE_TREE)
    matches = {path: _FILE.fullmatch(path.name) for path in sorted(root.glob("*.txt"))}
    files = {split_name(match[1].replace("valid", "val")): path for path, match in matches.items() if match}
    notes = [f"{path} was left alone: its name is not that of a split" for path, match in matches.items() if not match]
    require_tree(bool(files), root, root / "*image2audio_{train,valid}.txt", JAPANESE_TREE)
    splits = {}
    for split, path in sorted(files.items()):
        lines = read_text(path).rstrip("\n").split("\n")
        reader = _Reader(line_source(path), split)
        splits[split] = collect(lines, split, reader.source, reader.caption, _image_of)
    return Release("ja", root, splits, notes)


class _Reader:
    def __init__(self, source: Source, split: str) -> None:
        self.source = source
        self.split = split
        self._ids = ImageIds()

    def caption(self, line: str, number: int) -> Caption:
        """A line as a caption; it is named after the line's number, as the release names none."""
        image, wav = columns(line)
        return Caption(
            utterance=utterance_id(UNKNOWN_SPEAKER, f"{self.split}{number:06d}"),
            speaker=speaker_id(UNKNOWN_SPEAKER),
            image=release_path(image),
            image_id=self._ids[release_path(image)],
            wav=plain_wav(release_path(wav)),
            text="",
            alignment="",
            source=self.source,
            record=number,
        )


def columns(line: str) -> tuple[str, str]:
    """The two columns of a line, separated by a tab or, without one, by the last blank.

    Raises:
        ValueError: there are not two.
    """
    cells = line.split("\t") if "\t" in line else line.rsplit(None, 1)
    if len(cells) != 2 or not all(cell.strip() for cell in cells):
        raise ValueError(f"expected '<image> <wav>', got {line[:60]!r}")
    return cells[0].strip(), cells[1].strip()


def _image_of(line: str) -> str:
    try:
        return image_id(release_path(columns(line)[0]))
    except ValueError:
        return ""
