"""Cheap checks of recordings and images by their headers, in worker processes: no sample and no pixel is decoded.

Durations come from here. A recording whose header and length disagree is refused: readers differ in what they make of
it, so durations, features and alignments would not belong together.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

from vgspeech.errors import DataError
from vgspeech.images import FORMATS, MAX_PIXELS
from vgspeech.progress import track
from vgspeech.waves import open_sound

_CHUNK = 64
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


class Header(NamedTuple):
    """What a file's header says; when ``problem`` is not empty the numbers mean nothing."""

    problem: str = ""
    duration_s: float = 0.0
    width: int = 0
    height: int = 0


def audio_header(path: str) -> Header:
    """Duration of a recording from its header, or what is wrong with it."""
    problem = _missing(path)
    if problem:
        return Header(problem)
    try:
        with open_sound(path) as sound:
            return Header(duration_s=sound.frames / sound.samplerate)
    except DataError as error:
        return Header(error.what)


def image_header(path: str) -> Header:
    """Width and height of an image as shown (EXIF rotation applied) from its header, or what is wrong with it."""
    problem = _missing(path)
    if problem:
        return Header(problem)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
    except UnidentifiedImageError:  # its text repeats the path
        return Header("not a readable image: it is in no known format")
    except Exception as error:  # Pillow's readers let errors of many kinds through on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        return Header(f"not a readable image: {reason}")
    if width * height > MAX_PIXELS:
        return Header(f"the image claims {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million")
    return Header(width=height if turned else width, height=width if turned else height)


def read_headers(read: Callable[[str], Header], paths: Sequence[str], jobs: int, what: str) -> dict[str, Header]:
    """Apply ``audio_header`` or ``image_header`` to many files.

    Args:
        read: one of the two.
        paths: files, each once.
        jobs: number of worker processes; 1 works in this process.
        what: for the progress line.

    Returns:
        path -> header, in the order of ``paths``.
    """
    if jobs <= 1 or len(paths) < 4 * _CHUNK:
        return dict(zip(paths, track(map(read, paths), len(paths), what, "files"), strict=True))
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        headers = pool.imap(read, paths, chunksize=_CHUNK)
        return dict(zip(paths, track(headers, len(paths), what, "files"), strict=True))


def _missing(path: str) -> str:
    try:
        size = os.stat(path).st_size
    except OSError as error:
        return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    if not os.path.isfile(path):
        return "not a file"
    return "the file is empty (0 bytes)" if size == 0 else ""
