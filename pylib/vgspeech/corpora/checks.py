"""Are the files that a release names there, and usable? What is not moves to the lists of rejected inputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

from vgspeech.corpora.captions import Caption, Rejected, Source
from vgspeech.corpora.clips import Clip, Found, frame_id, look_up
from vgspeech.corpora.division import Division, Part
from vgspeech.corpora.headers import NO_FILE, Header, audio_header, read_headers
from vgspeech.corpora.records import counted
from vgspeech.errors import DataError
from vgspeech.tables import check_rejected, write_rejected
from vgspeech.waves import SEGMENT_OVERSHOOT_S

GLANCE = 50
"""Captions whose files are looked for before all others."""
IMAGES_HINT = "give the folder that image paths in the metadata are relative to: --images DIR (of videos: --videos DIR)"
RECORDINGS_HINT = "is that the folder which their paths are relative to (of own recordings: --audio DIR), and all unpacked?"


@dataclass
class Pictures:
    """The pictures of a split: where each lies, a still's size in pixels, and why some cannot be used. Keys are picture ids."""

    paths: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    clips: dict[str, Clip] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    def tables(self, pictures: Sequence[str]) -> ImageTables:
        """The tables of an image set of some of the pictures.

        Raises:
            DataError: a still has the id of a clip's video frame.
        """
        if not self.clips:
            return ImageTables({one: self.paths[one] for one in pictures}, {one: self.sizes[one] for one in pictures}, {})
        tables = ImageTables({}, {}, {})
        for picture in pictures:
            clip = self.clips.get(picture)
            if clip is None:
                tables.paths[picture], tables.sizes[picture] = self.paths[picture], self.sizes[picture]
                continue
            tables.clips[picture] = [frame_id(picture, number) for number in range(len(clip.locations))]
            for image, location, size in zip(tables.clips[picture], clip.locations, clip.sizes, strict=True):
                if image in self.paths:
                    _refuse_one_id(image, self.paths[image], location, location)
                tables.paths[image], tables.sizes[image] = location, size
        return tables


class ImageTables(NamedTuple):
    """Image -> file, image -> width and height, clip -> its images."""

    paths: dict[str, str]
    sizes: dict[str, tuple[int, int]]
    clips: dict[str, list[str]]


def glance(division: Division, roots: dict[str, Path], images: Path, frames: int) -> None:
    """Look for the files of a few captions, so that a wrong folder comes to light before all files are looked for.

    Raises:
        DataError: none of the recordings, or none of the pictures, is there.
    """
    every = [(language, caption) for _, language, part in parts_of(division) for caption in part.captions]
    some = every[:: max(1, len(every) // GLANCE)]
    for root in sorted({roots[language] for language, _ in some}):
        recordings = [f"{root}/{caption.wav}" for language, caption in some if roots[language] == root]
        if all(audio_header(path).problem == NO_FILE for path in recordings):
            _refuse_folder(root, recordings, "recordings", RECORDINGS_HINT)
    pictures = sorted({f"{images}/{caption.image}" for _, caption in some})
    found = look_up(pictures, frames, 1, images)
    if all(found.problem(path) == NO_FILE for path in pictures):
        _refuse_folder(images, pictures, "pictures", IMAGES_HINT)


def _refuse_folder(folder: Path, paths: Sequence[str], what: str, hint: str) -> NoReturn:
    problem = f"none of the {what} is there; looked for {counted(len(paths), 'file')}, the first: {paths[0]}"
    raise DataError(problem, where=str(folder), hint=hint)


def check_recordings(division: Division, roots: dict[str, Path], jobs: int, memory: Path) -> dict[str, Header]:
    """Read the headers of all recordings; captions with a bad one move, in place, to their part's ``rejected``.

    Args:
        division: all captions.
        roots: language -> root of its release.
        jobs: worker processes.
        memory: folder where headers are kept, so that an interrupted check goes on where it stopped.

    Returns:
        path of a recording, as the metadata have it -> its header.
    """
    paths = {f"{roots[language]}/{c.wav}" for _, language, part in parts_of(division) for c in part.captions}
    headers = read_headers(audio_header, sorted(paths), jobs, "recordings", memory)
    some_bad = any(header.problem for header in headers.values())
    for _, language, part in parts_of(division):
        bad = []
        for caption in part.captions if some_bad else filter(Caption.is_piece, part.captions):
            path = f"{roots[language]}/{caption.wav}"
            problem = headers[path].problem or _outside(caption, headers[path].duration_s)
            if problem:
                bad.append((caption, f"{path}: {problem}"))
        _reject(part, bad)
    return headers


def _outside(caption: Caption, duration_s: float) -> str:
    """What is wrong with a piece of a recording; empty when nothing is."""
    if not caption.is_piece() or (
        caption.start_s < duration_s and (caption.end_s or 0.0) <= duration_s + SEGMENT_OVERSHOOT_S
    ):
        return ""
    end = "its end" if caption.end_s is None else f"{caption.end_s:g} s"
    return f"the piece from {caption.start_s:g} s to {end} lies outside the recording of {duration_s:.3f} s"


def check_images(division: Division, root: Path, frames: int, jobs: int, memory: Path) -> dict[str, Pictures]:
    """Read the headers of all images and videos; captions of a bad one move, in place, to their part's ``rejected``.

    Args:
        division: all captions.
        root: what their images' paths are relative to.
        frames: video frames of a clip.
        jobs: worker processes.
        memory: see ``check_recordings``.

    Returns:
        split -> its pictures.

    Raises:
        DataError: two files would have one image id.
    """
    paths = {caption.image: f"{root}/{caption.image}" for _, _, part in parts_of(division) for caption in part.captions}
    files = look_up(sorted(paths.values()), frames, jobs, memory)
    pictures = {}
    for split, parts in division.items():
        pictures[split] = found = Pictures()
        problems: dict[str, str] = {}
        for caption in (caption for part in parts.values() for caption in part.captions):
            path = paths[caption.image]
            if problem := files.problem(path):
                problems.setdefault(caption.image_id, f"{path}: {problem}")
            else:
                _enter(found, caption, path, files)
        # Releases may name one picture with two extensions; the file that is there counts.
        problems = {image: problem for image, problem in problems.items() if image not in found.paths}
        if problems:
            _reject_images(parts, found, problems)
    return pictures


def _enter(found: Pictures, caption: Caption, path: str, files: Found) -> None:
    """Enter a caption's picture."""
    picture, clip = caption.image_id, files.clips.get(path)
    header = files.stills[path] if clip is None else Header()
    path = (header.path or path) if clip is None else clip.path
    other = found.paths.setdefault(picture, path)
    if other != path:
        _refuse_one_id(picture, other, path, _places([caption])[0])
    if clip is None:
        found.sizes[picture] = header.width, header.height
    else:
        found.clips[picture] = clip


def _reject_images(parts: dict[str, Part], found: Pictures, problems: dict[str, str]) -> None:
    """Captions of images that cannot be used move to their part's rejected ones; ``problems`` is image id -> reason."""
    for part in parts.values():
        lost = [caption for caption in part.captions if caption.image_id in problems]
        for caption, place in zip(lost, _places(lost), strict=True):
            found.rejected.setdefault(caption.image_id, f"{place}: {problems[caption.image_id]}")
        _reject(part, [(c, f"its image cannot be used: {problems[c.image_id]}") for c in lost])


def _refuse_one_id(image: str, one: str, other: str, where: str) -> NoReturn:
    raise DataError(
        f"two images would have one id, {image}: {one} and {other}",
        where=where,
        hint="ids leave the extension out: rename one of the two and repair the metadata",
    )


def _reject(part: Part, bad: list[tuple[Caption, str]]) -> None:
    """Move captions to the part's rejected ones, each with its place in the metadata and the reason."""
    if not bad:
        return
    places = _places(caption for caption, _ in bad)
    part.rejected = part.rejected + [
        Rejected(caption.utterance, f"{place}: {reason}") for place, (caption, reason) in zip(places, bad, strict=True)
    ]
    lost = {caption.utterance for caption, _ in bad}
    part.captions = [caption for caption in part.captions if caption.utterance not in lost]


def _places(captions: Iterable[Caption]) -> list[str]:
    """Where captions stand in their metadata files, looked up anew: ``file:line: record N``."""
    keys = [(caption.source, caption.record) for caption in captions]
    numbers: dict[Source, list[int]] = defaultdict(list)
    for source, record in keys:
        numbers[source].append(record)
    places = {source: source.places(records) for source, records in numbers.items()}
    return [places[source][record] for source, record in keys]


def list_rejected(division: Division, pictures: dict[str, Pictures], out: Path, max_bad: float) -> None:
    """Write all lists of what cannot be used, then fail on the first that is too long.

    Raises:
        DataError: more than ``max_bad`` of a set's captions, or of a split's images, cannot be used.
    """
    totals: dict[Path, int] = {}
    for split, language, part in parts_of(division):
        folder = out / "speech" / f"{split}_{language}"
        write_rejected(folder / "rejected", [(rejected.id, rejected.reason) for rejected in part.rejected])
        (folder / "duplicates").unlink(missing_ok=True)
        if part.duplicates:
            write_rejected(folder / "duplicates", [(rejected.id, rejected.reason) for rejected in part.duplicates])
        totals[folder / "rejected"] = len(part.captions) + len(part.rejected)
    for split, found in pictures.items():
        write_rejected(out / "images" / split / "rejected", found.rejected.items())
        totals[out / "images" / split / "rejected"] = len(found.paths) + len(found.rejected)
    for path, total in totals.items():
        check_rejected(path, total, max_bad)


def parts_of(division: Division) -> list[tuple[str, str, Part]]:
    """All parts as (split, language, part)."""
    return [(split, language, part) for split, parts in division.items() for language, part in parts.items()]
