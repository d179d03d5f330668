"""Image sets: one split's images, stills or clips, as Python objects, and back.

::

    images/train/      images.scp    image path          (a still, or one video frame of a clip; path#t=seconds names a
                                                          moment of a video)
                       image2size    image width height  (pixels)
                       image2frames  clip image ...      (optional: clips, each with its video frames in order)
                       objects.tsv   the objects in each image and their boxes (optional)

What captions describe is a picture: a still, by its id in images.scp, or a clip, by its id in image2frames. A set without
``image2frames`` has stills only. A video frame belongs to one clip and is described by no caption itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vgspeech.errors import DataError
from vgspeech.files import atomic_write, work_paths
from vgspeech.streams import read_keys
from vgspeech.tables import StrPath, bad_line, read_table, read_tsv, write_table

OBJECTS_HEADER = ("image", "concept", "colour", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class SceneObject:
    """An object drawn in an image: names of lexicon rows, and its box in pixels of the original image."""

    concept: str
    colour: str
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1; x1 and y1 lie just outside."""


@dataclass(frozen=True)
class ImageSet:
    """One split's images, loaded; ``ids`` in C order."""

    path: Path
    paths: dict[str, str]
    """Image -> file."""
    sizes: dict[str, tuple[int, int]]
    """Image -> width and height in pixels."""
    ids: list[str] = field(repr=False)
    """Stills and video frames: what images.scp lists."""
    clips: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Clip -> its video frames, in order; empty where all images are stills."""

    @classmethod
    def load(cls, path: StrPath) -> ImageSet:
        """Read an image set's tables.

        Raises:
            DataError: the folder or a table is missing, or a table is not valid.
        """
        path = Path(path)
        if not path.is_dir():
            raise DataError("no such image set", where=str(path), hint="prepare the data first (stage 0)")
        paths = read_table(path / "images.scp")
        sizes = {}
        for number, (image, value) in enumerate(read_table(path / "image2size").items(), start=1):
            fields = value.split()
            if len(fields) != 2 or not all(size.isdigit() and int(size) > 0 for size in fields):
                raise bad_line(path / "image2size", number, f"expected 'image width height', not '{image} {value}'")
            sizes[image] = (int(fields[0]), int(fields[1]))
        return cls(path=path, paths=paths, sizes=sizes, ids=list(paths), clips=read_clips(path, paths))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def pictures(self) -> list[str]:
        """Stills and clips, in C order: what captions describe."""
        if not self.clips:
            return self.ids
        frames = {frame for frames in self.clips.values() for frame in frames}
        return sorted([*self.clips, *(image for image in self.ids if image not in frames)])

    def images_of(self, picture: str) -> tuple[str, ...]:
        """The video frames of a clip; a still is its own only one."""
        return self.clips.get(picture, (picture,))

    def shown(self, picture: str) -> str:
        """The image that stands for a picture where only one can be shown: a clip's middle video frame, the still itself."""
        images = self.images_of(picture)
        return images[len(images) // 2]

    def objects_shown(self) -> dict[str, list[SceneObject]]:
        """Picture -> objects in the image that stands for it; see `objects`."""
        found = self.objects()
        return {picture: found[shown] for picture in self.pictures if (shown := self.shown(picture)) in found}

    def objects(self) -> dict[str, list[SceneObject]]:
        """Image -> objects in it; empty without ``objects.tsv``.

        Raises:
            DataError: a line is not valid; names file and line.
        """
        path = self.path / "objects.tsv"
        if not path.exists():
            return {}
        found: dict[str, list[SceneObject]] = defaultdict(list)
        for number, fields in read_tsv(path, OBJECTS_HEADER):
            try:
                x0, y0, x1, y1 = (int(value) for value in fields[3:])
            except ValueError as error:
                raise bad_line(path, number, "a box corner is not a whole number") from error
            if x1 <= x0 or y1 <= y0:
                raise bad_line(path, number, "the box is empty")
            found[fields[0]].append(SceneObject(fields[1], fields[2], (x0, y0, x1, y1)))
        return dict(found)


def read_clips(path: StrPath, images: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Clips of an image set (``image2frames``) and their video frames; empty where there is no such file.

    Args:
        path: the set's folder.
        images: what its images.scp lists.

    Raises:
        DataError: a line is not valid, a video frame is not listed or is in two clips, or a clip has the id of an image;
            names file and line.
    """
    file = Path(path) / "image2frames"
    if not file.exists():
        return {}
    clips: dict[str, tuple[str, ...]] = {}
    first_use: dict[str, str] = {}
    for number, (clip, value) in enumerate(read_table(file).items(), start=1):
        frames = tuple(value.split())
        if clip in images:
            raise bad_line(file, number, f"clip '{clip}' is also the id of an image in images.scp")
        for frame in frames:
            if frame not in images:
                raise bad_line(file, number, f"video frame '{frame}' of '{clip}' is not in images.scp")
            if first_use.setdefault(frame, clip) != clip or frames.count(frame) > 1:
                raise bad_line(file, number, f"video frame '{frame}' is in a clip already ('{first_use[frame]}')")
        clips[clip] = frames
    return clips


def read_pictures(path: StrPath) -> set[bytes]:
    """Ids of the stills and clips of an image set, in UTF-8: what ``utt2image`` may name.

    Raises:
        DataError: see `read_clips`.
    """
    path = Path(path)
    images = set(read_keys(path / "images.scp"))
    if not (path / "image2frames").exists():
        return images
    clips = read_clips(path, {image.decode() for image in images})
    return (images - {frame.encode() for frames in clips.values() for frame in frames}) | {clip.encode() for clip in clips}


def groups_of_pictures(counts: Sequence[int], most: int) -> Iterator[slice]:
    """Neighbouring pictures, taken together as long as they have ``most`` images at most; one with more stands alone.

    Args:
        counts: number of images of each picture.
    """
    start, held = 0, 0
    for number, count in enumerate(counts):
        if held and held + count > most:
            yield slice(start, number)
            start, held = number, 0
        held += count
    if held:
        yield slice(start, len(counts))


def write_image_set(
    path: StrPath,
    *,
    paths: Mapping[str, str],
    sizes: Mapping[str, tuple[int, int]],
    clips: Mapping[str, Sequence[str]] | None = None,
    objects: Mapping[str, Sequence[SceneObject]] | None = None,
) -> None:
    """Write an image set.

    Args:
        path: the set's folder.
        paths: image -> file; stored relative to the work directory when inside it.
        sizes: image -> width and height in pixels; an image whose size could not be read is left out.
        clips: clip -> its video frames, which are among the images; None or empty where all are stills.
        objects: image -> objects in it, when known.
    """
    path = Path(path)
    write_table(path / "images.scp", work_paths(paths))
    write_table(path / "image2size", {key: f"{width} {height}" for key, (width, height) in sizes.items()})
    if clips:
        write_table(path / "image2frames", {clip: " ".join(frames) for clip, frames in clips.items()})
    else:
        (path / "image2frames").unlink(missing_ok=True)
    if objects is None:
        (path / "objects.tsv").unlink(missing_ok=True)
        return
    with atomic_write(path / "objects.tsv") as stream:
        stream.write("\t".join(OBJECTS_HEADER) + "\n")
        for image in sorted(objects):
            for thing in objects[image]:
                stream.write("\t".join([image, thing.concept, thing.colour, *map(str, thing.box)]) + "\n")


