"""Own recordings in folders: ``<image>/<language>/<speaker>*.wav``, the picture beside them or in a folder of pictures.

A picture is an image or a video; a sound file that a telephone wrote as .mp4 is one only in the folder of a language.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vgspeech.corpora.captions import Account, Release
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.ids import IMAGE_EXTENSIONS
from vgspeech.corpora.manifest import read_rows
from vgspeech.corpora.roots import Roots
from vgspeech.corpora.sheet import Row
from vgspeech.errors import DataError
from vgspeech.videos import EXTENSIONS as VIDEO_EXTENSIONS

TREE = """\
recordings/
  market/                    one folder for each image
    market.jpg               the image, or video (or market.jpg in the folder given as --images)
    fr/                      one folder for each language: a tag such as en, hi, bam
      awa.wav                the speaker's name; from the second take on with _ and anything behind it
      awa_2.wav
      moussa.flac
    bam/
      awa.wav"""
PICTURE_EXTENSIONS = (*IMAGE_EXTENSIONS, *VIDEO_EXTENSIONS)
SOUND_EXTENSIONS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64", ".sph", ".nist",
    ".m4a", ".mp4", ".aac", ".amr", ".3gp", ".wma",
)  # fmt: skip
"""Files that are taken for recordings. The last six are not read by libsndfile and will be listed with that reason."""


def read_tree(root: Path, images: Path, fractions: Fractions) -> list[Release]:
    """Read a folder tree of recordings.

    Args:
        root: the tree.
        images: folder with ``<image>.<extension>`` for images that do not lie in their own folder.
        fractions: how much is held out for development and test.

    Returns:
        A release for each language; see ``manifest.read_manifest``.

    Raises:
        DataError: no such folder, or nothing in it has that form.
    """
    hint = "expected:\n    " + TREE.replace("\n", "\n    ")
    if not root.is_dir():
        raise DataError("no such folder", where=str(root), hint=hint)
    rows: list[Row] = []
    strays: list[str] = []
    top = _common(root, images)
    for folder in _entries(root):
        if folder.is_dir():
            rows += _image_rows(Path(folder.path), images, top, strays)
        elif not folder.name.lower().endswith(PICTURE_EXTENSIONS):
            strays.append(folder.path)
    if not rows:
        raise DataError("no recordings of the form <image>/<language>/<speaker>*.wav", where=str(root), hint=hint)
    account = Account()
    if strays:
        account.notes.append(f"{len(strays)} files were left alone, being neither picture nor recording; the first: {strays[0]}")
    return read_rows(rows, root, Roots(top, top), fractions, account)


def _common(root: Path, images: Path) -> Path:
    """The folder that recordings and images are named relative to."""
    return Path(os.path.commonpath([root.absolute(), images.absolute()]))


def _image_rows(folder: Path, images: Path, top: Path, strays: list[str]) -> Iterator[Row]:
    inside = [entry for entry in _entries(folder) if entry.is_file() and entry.name.lower().endswith(PICTURE_EXTENSIONS)]
    image = _image(folder, [Path(entry.path) for entry in inside], images)
    for entry in _entries(folder):
        if not entry.is_dir():
            if entry.path != str(image) and entry not in inside:
                strays.append(entry.path)
            continue
        for file in _entries(Path(entry.path)):
            if not file.is_file() or not file.name.lower().endswith(SOUND_EXTENSIONS):
                strays.append(file.path)
                continue
            cells = {
                "image": str(image.absolute().relative_to(top)),
                "wav": str(Path(file.path).absolute().relative_to(top)),
                "lang": entry.name,
                "speaker": os.path.splitext(file.name)[0].partition("_")[0].strip().replace(" ", "."),
            }
            yield Row(0, cells)


def _image(folder: Path, inside: list[Path], images: Path) -> Path:
    """An image's file: in its folder, else in the folder of images; a name that does not exist where there is none."""
    if len(inside) > 1:
        named = [path for path in inside if path.stem == folder.name]
        if len(named) != 1:
            names = ", ".join(path.name for path in inside[:4])
            hint = f"leave one, or call one {folder.name}.jpg"
            raise DataError(f"several images in one folder: {names}", where=str(folder), hint=hint)
        return named[0]
    if inside:
        return inside[0]
    spellings = [spelling for extension in PICTURE_EXTENSIONS for spelling in (extension, extension.upper())]
    found = (images / f"{folder.name}{spelling}" for spelling in spellings)
    return next((path for path in found if path.exists()), images / f"{folder.name}.jpg")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted; hidden files of any system are left out."""
    with os.scandir(folder) as entries:
        return sorted((one for one in entries if not one.name.startswith((".", "Thumbs.db"))), key=lambda one: one.name)
