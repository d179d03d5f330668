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
_PLAIN = (".jpg", ".JPG", ".jpeg", ".png")
"""Extensions that make a still at first sight."""
_MISTAKEN = "its name would be read as a moment of a video"
_DIGITS = re.compile(r"(\d+)")


class Clip(NamedTuple):
    """A clip's video, or folder, on disk; or what is wrong with it."""

    path: str
    """The video or the folder."""
    locations: Sequence[str] = ()
    """Its video frames: moments of the video, or chosen files of the folder."""
    sizes: Sequence[tuple[int, int]] = ()
    """Width and height of each in pixels."""
    problem: str = ""


class Found(NamedTuple):
    """What paths lead to. Stills are kept as plain headers: half a million objects more would cost seconds."""

    stills: dict[str, Header]
    clips: dict[str, Clip]

    def problem(self, path: str) -> str:
        """What is wrong with a picture; empty when nothing is."""
        clip = self.clips.get(path)
        return self.stills[path].problem if clip is None else clip.problem


def look_up(paths: Sequence[str], frames: int, jobs: int, memory: Path) -> Found:
    """Look at the files of pictures by their headers.

    Args:
        paths: each once.
        frames: video frames of a clip; fewer where it has fewer.
        jobs: worker processes.
        memory: see ``headers.read_headers``.

    Raises:
        DataError: there are videos, and PyAV is not installed.
    """
    others = [path for path in paths if not path.endswith(_PLAIN)]
    folders = {path: folder for path in others if (folder := _folder_of(path))}
    clips = {path: _folder_clip(folder, frames) for path, folder in folders.items()}
    videos = [path for path in others if path not in folders and is_video(path)]
    if videos:
        require_pyav(videos[0])
    apart = folders.keys() | set(videos)
    stills = [path for path in paths if path not in apart] if apart else list(paths)
    of_clips = {file for clip in clips.values() for file in clip.locations}
    headers = read_headers(image_header, sorted({*stills, *of_clips}) if clips else stills, jobs, "images", memory)
    opened = read_headers(video_header, videos, jobs, "videos", memory)
    clips = {path: _checked(clip, headers) for path, clip in clips.items()}
    clips |= {path: _video_clip(path, opened[path], frames) for path in videos}
    headers = {path: headers[path] for path in stills} if clips else headers
    headers |= {path: Header(_MISTAKEN) for path in others if path in headers and split_moment(path)}
    return Found(headers, clips)


def _folder_of(path: str) -> str:
    """The folder of a clip's video frames; "" when the path is to be taken for a file."""
    stem, extension = os.path.splitext(path)
    if extension.lower() in IMAGE_EXTENSIONS:
        return ""
    if is_video(path) and any(map(os.path.exists, (path, stem + extension.lower(), stem + extension.upper()))):
        return ""
    return next((folder for folder in ([stem, path] if is_video(path) else [path]) if os.path.isdir(folder)), "")


def _folder_clip(folder: str, frames: int) -> Clip:
    """Image files spread evenly over a folder, in the order of their numbers."""
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= LARGEST_FOLDER:
                    return Clip(folder, problem=f"the folder has more than {LARGEST_FOLDER:,} entries")
                if entry.name.lower().endswith(IMAGE_EXTENSIONS) and not entry.name.startswith("."):
                    names.append(entry.name)
    except OSError as error:
        return Clip(folder, problem=f"cannot be read: {error.strerror}")
    if not names:
        return Clip(folder, problem="the folder has no image files")
    names.sort(key=_by_number)
    count = min(frames, len(names))
    chosen = [names[(2 * number + 1) * len(names) // (2 * count)] for number in range(count)]
    return Clip(folder, [f"{folder}/{name}" for name in chosen])


def _by_number(name: str) -> list[tuple[int, str]]:
    """frame2 comes before frame10."""
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in _DIGITS.split(name)]


def _checked(clip: Clip, headers: dict[str, Header]) -> Clip:
    """A folder's clip with the sizes of its images; one that cannot be used spoils it."""
    for file in clip.locations:
        if headers[file].problem:
            return Clip(clip.path, problem=f"{os.path.basename(file)}: {headers[file].problem}")
    return clip._replace(sizes=[(headers[file].width, headers[file].height) for file in clip.locations])


def _video_clip(path: str, header: Header, frames: int) -> Clip:
    path = header.path or path
    if header.problem:
        return Clip(path, problem=header.problem)
    about = VideoHeader(header.duration_s, header.width, header.height, header.frames)
    moments = spread_moments(about, frames)
    return Clip(path, [moment(path, at) for at in moments], [(header.width, header.height)] * len(moments))


def frame_id(clip: str, number: int) -> str:
    """The id of a clip's video frame, counted from 0."""
    return f"{clip}@{number:02d}"
