"""What the path of a picture leads to: a still, a video, or a folder with the video frames of a clip as image files.

A path that names a video which is not there (``running/a.mp4``) also stands for the folder ``running/a`` of its video frames, so
that one metadata file serves both forms of a corpus.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vgspeech.corpora.headers import Header, image_header, read_headers, video_header
from vgspeech.corpora.ids import IMAGE_EXTENSIONS
from vgspeech.videos import VideoHeader, is_video, moment, require_pyav, split_moment, spread_moments

LARGEST_FOLDER = 100_000
"""Entries of a clip's folder at most."""
_DIGITS = re.compile(r"(\d+)")


class PictureSource(NamedTuple):
    """A picture's file, or files, on disk; or what is wrong with it."""

    path: str
    """The still, the video or the folder."""
    locations: Sequence[str] = ()
    """Its images: the still itself, moments of the video, or chosen files of the folder."""
    sizes: Sequence[tuple[int, int]] = ()
    """Width and height of each in pixels."""
    problem: str = ""

    @property
    def is_clip(self) -> bool:
        """Whether it is a set of video frames (be it of one)."""
        return tuple(self.locations) != (self.path,)


def look_up(paths: Sequence[str], frames: int, jobs: int, memory: Path) -> dict[str, PictureSource]:
    """Look at the files of pictures by their headers.

    Args:
        paths: each once.
        frames: video frames of a clip; fewer where it has fewer.
        jobs: worker processes.
        memory: see ``headers.read_headers``.

    Returns:
        path -> what it leads to.

    Raises:
        DataError: there are videos, and PyAV is not installed.
    """
    folders = {path: folder for path in paths if (folder := _folder_of(path))}
    found: dict[str, PictureSource] = {}
    for path, folder in folders.items():
        files, problem = _files_in(folder, frames)
        found[path] = PictureSource(folder, tuple(files), problem=problem)
    videos = [path for path in paths if path not in folders and is_video(path)]
    if videos:
        require_pyav(videos[0])
    stills = [path for path in paths if path not in folders and not is_video(path)]
    files = sorted({*stills, *(file for source in found.values() for file in source.locations)})
    headers = read_headers(image_header, files, jobs, "images", memory)
    opened = read_headers(video_header, videos, jobs, "videos", memory)
    found |= {path: _checked(source, headers) for path, source in found.items()}
    found |= {path: _still(path, headers[path]) for path in stills}
    return found | {path: _video(path, opened[path], frames) for path in videos}


def _folder_of(path: str) -> str:
    """The folder of a clip's video frames; "" when the path is to be taken for a file."""
    stem, extension = os.path.splitext(path)
    if extension.lower() in IMAGE_EXTENSIONS:
        return ""
    if is_video(path) and any(map(os.path.exists, (path, stem + extension.lower(), stem + extension.upper()))):
        return ""
    return next((folder for folder in ([stem, path] if is_video(path) else [path]) if os.path.isdir(folder)), "")


def _files_in(folder: str, frames: int) -> tuple[list[str], str]:
    """Image files spread evenly over a folder, in the order of their numbers; or what is wrong with it."""
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= LARGEST_FOLDER:
                    return [], f"the folder has more than {LARGEST_FOLDER:,} entries"
                if entry.name.lower().endswith(IMAGE_EXTENSIONS) and not entry.name.startswith("."):
                    names.append(entry.name)
    except OSError as error:
        return [], f"cannot be read: {error.strerror}"
    if not names:
        return [], "the folder has no image files"
    names.sort(key=_by_number)
    count = min(frames, len(names))
    return [f"{folder}/{names[(2 * number + 1) * len(names) // (2 * count)]}" for number in range(count)], ""


def _by_number(name: str) -> list[tuple[int, str]]:
    """frame2 comes before frame10."""
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in _DIGITS.split(name)]


def _checked(source: PictureSource, headers: dict[str, Header]) -> PictureSource:
    """A folder's images with their sizes; one that cannot be used spoils the clip."""
    for file in source.locations:
        if headers[file].problem:
            return PictureSource(source.path, problem=f"{os.path.basename(file)}: {headers[file].problem}")
    sizes = [(headers[file].width, headers[file].height) for file in source.locations]
    return PictureSource(source.path, source.locations, sizes, source.problem)


def _still(path: str, header: Header) -> PictureSource:
    path = header.path or path
    if split_moment(path):
        return PictureSource(path, problem="its name would be read as a moment of a video")
    return PictureSource(path, (path,), ((header.width, header.height),), header.problem)


def _video(path: str, header: Header, frames: int) -> PictureSource:
    path = header.path or path
    if header.problem:
        return PictureSource(path, problem=header.problem)
    about = VideoHeader(header.duration_s, header.width, header.height, header.frames)
    moments = spread_moments(about, frames)
    return PictureSource(path, tuple(moment(path, at) for at in moments), [(header.width, header.height)] * len(moments))


def frame_id(clip: str, number: int) -> str:
    """The id of a clip's video frame, counted from 0."""
    return f"{clip}@{number:02d}"
