"""Cheap checks of recordings and images by their headers, in worker processes: no sample and no pixel is decoded (of a
video, one video frame).

Durations come from here. A recording whose header and length disagree is refused: readers differ in what they make of
it, so durations, features and alignments would not belong together.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from PIL import ExifTags, Image, UnidentifiedImageError

from vgspeech.errors import DataError
from vgspeech.files import atomic_write
from vgspeech.images import FORMATS, MAX_PIXELS
from vgspeech.progress import track
from vgspeech.videos import read_header
from vgspeech.waves import open_sound

Item = TypeVar("Item")
Result = TypeVar("Result")
BLOCK = 16384
"""Files after which headers are kept on disk."""
_CHUNK = 64
NO_FILE = "no such file"
_UNREAD = (".m4a", ".mp4", ".aac", ".amr", ".3gp", ".wma")
_CONVERT = "convert such recordings first: ffmpeg -i IN.m4a OUT.flac"
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


class Header(NamedTuple):
    """What a file's header says; when ``problem`` is not empty the numbers mean nothing."""

    problem: str = ""
    duration_s: float = 0.0
    width: int = 0
    height: int = 0
    path: str = ""
    """Where the file lies, when its extension is written in other letters (``a.JPG`` for ``a.jpg``)."""
    frames: int = 0
    """Video frames of a video, 0 when its header does not say."""


def audio_header(path: str) -> Header:
    """Duration of a recording from its header, or what is wrong with it."""
    problem, path, other = _look_for(path)
    if problem:
        return Header(problem)
    try:
        with open_sound(path) as sound:
            return Header(duration_s=sound.frames / sound.samplerate, path=other)
    except DataError as error:
        return Header(f"{error.what}; {_CONVERT}" if path.lower().endswith(_UNREAD) else error.what)


def image_header(path: str) -> Header:
    """Width and height of an image as shown (EXIF rotation applied) from its header, or what is wrong with it."""
    problem, path, other = _look_for(path)
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
    return Header(width=height if turned else width, height=width if turned else height, path=other)


def video_header(path: str) -> Header:
    """Length and size of a video (rotation applied) from its header and first video frame, or what is wrong with it."""
    problem, path, other = _look_for(path)
    if problem:
        return Header(problem)
    try:
        duration_s, width, height, frames = read_header(path)
    except DataError as error:
        return Header(error.what)
    return Header(duration_s=duration_s, width=width, height=height, path=other, frames=frames)


def read_headers(
    read: Callable[[str], Header], paths: Sequence[str], jobs: int, what: str, memory: Path | None = None
) -> dict[str, Header]:
    """Apply ``audio_header``, ``image_header`` or ``video_header`` to many files.

    Args:
        read: one of the three.
        paths: files, each once.
        jobs: number of worker processes; 1 works in this process.
        what: for the progress line.
        memory: folder where good headers of large corpora are kept, block by block, with the files' sizes and times: a
            check that was interrupted reads only the rest, and files that have changed, when it is started again.

    Returns:
        path -> header, in the order of ``paths``.
    """
    if memory is None or len(paths) <= BLOCK:
        return dict(zip(paths, track(map_files(read, paths, jobs), len(paths), what, "files"), strict=True))
    parts = [memory / f"{what}.{number}.jsonl" for number in range(-(-len(paths) // BLOCK))]
    known = _recall(parts)
    headers: dict[str, Header] = {}
    found = map_files(partial(_read_unless_known, read, known), paths, jobs)
    lines: list[str] = []
    fresh = False
    for path, (header, line, new) in zip(paths, track(found, len(paths), what, "files"), strict=True):
        headers[path] = header
        lines += [line] if line else []
        fresh |= new
        if len(headers) % BLOCK == 0 or len(headers) == len(paths):
            if fresh:
                with atomic_write(parts[(len(headers) - 1) // BLOCK]) as stream:
                    stream.writelines(lines)
            lines, fresh = [], False
    return headers


def map_files(function: Callable[[Item], Result], files: Sequence[Item], jobs: int) -> Iterator[Result]:
    """Apply a function to many files in worker processes; with few files, or one job, in this process. In order."""
    if jobs <= 1 or len(files) < 4 * _CHUNK:
        yield from map(function, files)
        return
    global _work
    _work = function  # inherited by the workers: what is known of 400,000 files is not sent to them
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(_call, files, chunksize=_CHUNK)


_work: Callable[[Any], object] | None = None


def _call(file: Any) -> Any:
    assert _work is not None  # set before the workers start
    return _work(file)


def _read_unless_known(
    read: Callable[[str], Header], known: dict[str, tuple[int, int, Header]], path: str
) -> tuple[Header, str, bool]:
    """(header, line to remember it by, whether it had to be read); bad headers are not remembered."""
    try:
        status = os.stat(path)
    except OSError:
        return read(path), "", True
    size, time_ns, header = known.get(path, (-1, -1, Header()))
    new = (size, time_ns) != (status.st_size, status.st_mtime_ns)
    if new:
        header = read(path)
    if header.problem:
        return header, "", new
    numbers = [header.duration_s, header.width, header.height, header.frames]
    return header, json.dumps([path, status.st_size, status.st_mtime_ns, *numbers]) + "\n", new


def _recall(parts: Sequence[Path]) -> dict[str, tuple[int, int, Header]]:
    known = {}
    for part in parts:
        if part.exists():
            for line in part.read_text(encoding="utf-8").splitlines():
                path, size, time_ns, duration_s, width, height, *more = json.loads(line)
                known[path] = size, time_ns, Header("", duration_s, width, height, "", *more)
    return known


def _look_for(path: str) -> tuple[str, str, str]:
    """(what is wrong, the file's path, the same when it is not ``path``).

    Where no such file is, one whose extension differs in case only will do: lists and folders are often written on
    machines to which that is the same.
    """
    problem = _missing(path)
    if problem != NO_FILE:
        return problem, path, ""
    stem, extension = os.path.splitext(path)
    for spelling in (extension.lower(), extension.upper()):
        if spelling != extension and os.path.exists(stem + spelling):
            return _missing(stem + spelling), stem + spelling, stem + spelling
    return problem, path, ""


def _missing(path: str) -> str:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return NO_FILE
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "not a file"
    return "the file is empty (0 bytes)" if status.st_size == 0 else ""
