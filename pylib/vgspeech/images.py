"""Pictures: image files to uint8 arrays, packed archives of them, and the view that evaluation takes.

Packed images are image files (JPEG or PNG) in archives of `vgspeech.archive.BlobWriter`, one archive a job. A file that
is already small and plain is packed byte for byte as it was released; others are shrunk to what the networks need::

    packed.<job>.ark   what the jobs wrote
    packed.scp         all images; written last
    packed.rejected    images that could not be used, and why

An image is a still or one video frame of a clip (`vgspeech.imagesets`). A clip is packed with all its video frames or not at all.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from vgspeech.archive import BlobReader, BlobWriter, merge_scps
from vgspeech.datadir import ImageSet, job_slice
from vgspeech.errors import ConfigError, DataError
from vgspeech.files import need_space
from vgspeech.imagesets import read_clips
from vgspeech.progress import track
from vgspeech.tables import check_rejected, read_table, write_rejected
from vgspeech.videos import read_moments, split_moment

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000
"""Larger images are refused by their header, before they are decoded: a small file can claim to be enormous."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""Formats that are read. Formats whose decoders run other programs (EPS) are not among them."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SIZE_SAMPLE = 200
"""Images whose files are looked at to tell how much room packing will take."""
JPEG_BYTES = 0.5
"""About what a pixel of a video frame takes when it is packed."""
_ORIENTATION = 0x0112


def decode(data: bytes, where: str | None = None) -> Pixels:
    """An image file's pixels.

    The camera's rotation (EXIF) is applied, transparency is laid on white, every colour mode becomes 8-bit RGB.

    Args:
        data: the file's bytes.
        where: what to call the image in messages.

    Returns:
        Shape (H, W, 3), uint8, writable.

    Raises:
        DataError: not an image, damaged, cut off, or larger than `MAX_PIXELS`.
    """
    return np.array(_load(_open(data, where), where))


def read_pixels(location: str) -> Pixels:
    """The pixels of what a table of images names: a file, or a moment of a video (`vgspeech.videos.moment`).

    Raises:
        DataError: it cannot be read; see `decode` and `vgspeech.videos.read_moments`.
    """
    moment = split_moment(location)
    if moment is not None:
        (pixels,) = read_moments(moment[0], [moment[1]])
        return pixels
    return decode(_read_file(location), location)


def _load(image: Image.Image, where: str | None, shorter_side: int | None = None) -> Image.Image:
    """Decode, as upright RGB; with ``shorter_side`` a JPEG may come smaller, but not smaller than twice that."""
    try:
        if shorter_side is not None and image.format == "JPEG":
            image.draft(None, _at_least(image.size, 2 * shorter_side))
        return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them run into
        raise DataError(f"is a damaged or incomplete {image.format} image ({error})", where=where) from error


def _open(data: bytes, where: str | None) -> Image.Image:
    """Read an image's header only."""
    if not data:
        raise DataError("is empty (0 bytes)", where=where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise DataError(f"claims more than {MAX_PIXELS // 10**6} million pixels", where=where) from error
    except (OSError, ValueError, EOFError) as error:
        kind = "a text file" if _is_text(data) else "no image"
        raise DataError(f"is {kind}, or of a format that is not read ({', '.join(FORMATS)})", where=where) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"claims {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million", where=where)
    return image


def _is_text(data: bytes) -> bool:
    try:
        return data[:512].decode("utf-8", errors="strict").isprintable() or b"\n" in data[:512]
    except UnicodeDecodeError:
        return False


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
        levels = np.asarray(image, dtype=np.float64)
        top = 255.0 if levels.max(initial=0) <= 255 else 65535.0
        return Image.fromarray(np.round(levels.clip(0, top) * (255 / top)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("RGB")


def _at_least(size: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    """``size`` scaled so that the shorter side is ``shorter_side``, as torchvision's Resize rounds it."""
    width, height = size
    if width <= height:
        return shorter_side, int(shorter_side * height / width)
    return int(shorter_side * width / height), shorter_side


def shrink_and_encode(data: bytes, shorter_side: int = 256, where: str | None = None) -> bytes:
    """An image file as it is packed.

    Args:
        data: the original file.
        shorter_side: larger images are shrunk until their shorter side has this many pixels.
        where: what to call the image in messages.

    Returns:
        The original bytes if the image is a JPEG or PNG of 8 bits, not rotated by EXIF, opaque and not larger;
        otherwise a PNG when the source has a palette (a drawing), else a JPEG of quality 95.

    Raises:
        DataError: see `decode`; kept originals are decoded too, to see that they can be.
    """
    source = _open(data, where)
    mode, small = source.mode, min(source.size) <= shorter_side
    image = _load(source, where, None if small else shorter_side)
    plain = source.format in ("JPEG", "PNG") and mode in ("RGB", "L", "P") and not source.has_transparency_data
    rotated = source.getexif().get(_ORIENTATION, 1) != 1
    if plain and small and not rotated:
        return data
    return _encode(image, shorter_side, "PNG" if mode in ("P", "1") else "JPEG")


def _encode(image: Image.Image, shorter_side: int, kind: str) -> bytes:
    if min(image.size) > shorter_side:
        image = image.resize(_at_least(image.size, shorter_side), Image.Resampling.BILINEAR)
    packed = io.BytesIO()
    image.save(packed, kind, **({} if kind == "PNG" else {"quality": 95}))
    return packed.getvalue()


def packed_files(locations: Sequence[str], shorter_side: int = 256) -> Iterator[bytes]:
    """One picture's images as they are packed; neighbouring moments of a video are decoded in one go.

    Args:
        locations: a still's file; files, or moments of a video, of a clip.
        shorter_side: see `shrink_and_encode`. Video frames become JPEGs of quality 95.

    Raises:
        DataError: one of them cannot be read.
    """
    for video, group in itertools.groupby(locations, lambda one: (split_moment(one) or ("",))[0]):
        if not video:
            yield from (shrink_and_encode(_read_file(path), shorter_side, path) for path in group)
            continue
        moments = [moment[1] for moment in map(split_moment, group) if moment]
        for pixels in read_moments(video, moments):
            yield _encode(Image.fromarray(pixels), shorter_side, "JPEG")


@dataclass(frozen=True)
class PackCounts:
    """Images in the set (or share), packed and rejected ones."""

    total: int
    packed: int
    rejected: int


def pack_images(images: ImageSet, job: int, num_jobs: int, shorter_side: int = 256) -> PackCounts:
    """Pack one job's share of an image set.

    Args:
        images: the set.
        job: from 1 to ``num_jobs``; jobs take contiguous shares of the sorted pictures.
        num_jobs: number of jobs.
        shorter_side: see `shrink_and_encode`.

    Returns:
        The share's counts; images that could not be packed are listed for `merge_packed`.
    """
    share = job_slice(len(images.pictures), job, num_jobs)
    total = 0
    rejected: dict[str, str] = {}
    scp = images.path / f"packed.{job}.scp"
    # The joined scp of an earlier run must not point into archives that are being replaced.
    (images.path / "packed.scp").unlink(missing_ok=True)
    # Jobs begin in order, so that the first one sees to it that there is room for all.
    ahead = [image for picture in images.pictures[share.start :] for image in images.images_of(picture)]
    need_space(scp, expected_bytes(images, ahead, shorter_side), f"packed images of {images.path.name}")
    mine = images.pictures[share]
    with BlobWriter(scp.with_suffix(".ark"), scp) as writer:
        for picture in track(mine, total=len(mine), what="images", unit="images"):
            ids = images.images_of(picture)
            total += len(ids)
            try:
                files = list(packed_files([images.paths[image] for image in ids], shorter_side))
            except DataError as error:
                rejected |= dict.fromkeys(ids, f"{error.where}: {error.what}")
                continue
            for image, data in zip(ids, files, strict=True):
                writer.write(image, data)
    write_rejected(scp.with_suffix(".rejected"), rejected.items())
    return PackCounts(total, total - len(rejected), len(rejected))


def expected_bytes(images: ImageSet, ids: list[str], shorter_side: int) -> float:
    """About the size of the images when they are packed, by the files and sizes of some that are evenly spread."""
    some = ids[:: max(1, len(ids) // SIZE_SAMPLE)]
    sizes = []
    for image in some:
        width, height = images.sizes.get(image, (0, 0))
        shrunk = min(1.0, shorter_side / max(1, min(width, height))) ** 2
        if split_moment(images.paths[image]):
            sizes.append(width * height * shrunk * JPEG_BYTES)
            continue
        with contextlib.suppress(OSError):  # a file that is missing is rejected later, with its reason
            sizes.append(os.path.getsize(images.paths[image]) * shrunk)
    return len(ids) * sum(sizes) / max(1, len(sizes))


def merge_packed(images: ImageSet, num_jobs: int, max_bad: float) -> PackCounts:
    """Join the jobs' packed images into ``packed.scp``.

    Args:
        images: the set.
        num_jobs: number of jobs that ran.
        max_bad: largest fraction of rejected images.

    Returns:
        The set's counts.

    Raises:
        DataError: a job's output is missing, images were lost, or too many were rejected; then they are listed, but no
            ``packed.scp`` is written.
    """
    parts = [images.path / f"packed.{job}.scp" for job in range(1, num_jobs + 1)]
    rejected = {key: reason for part in parts for key, reason in read_table(part.with_suffix(".rejected")).items()}
    write_rejected(images.path / "packed.rejected", rejected.items())
    check_rejected(images.path / "packed.rejected", len(images), max_bad)
    packed = merge_scps(parts, images.path / "packed.scp")
    if packed + len(rejected) != len(images):
        (images.path / "packed.scp").unlink()
        what = f"the jobs accounted for {packed + len(rejected)} of {len(images)} images"
        raise DataError(what, where=str(images.path), hint="run the step again")
    for path in images.path.glob("packed.*.*"):
        job, kind = path.name.split(".")[1:3]
        if job.isdigit() and (kind != "ark" or int(job) > num_jobs):
            path.unlink()
    return PackCounts(len(images), packed, len(rejected))


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error


class PackedImages:
    """A packed image set: the pictures that captions describe, each with its images, decoded at every access.

    A still is its own only image; a clip has its video frames.
    """

    def __init__(self, scp: str | os.PathLike[str]) -> None:
        """Open ``packed.scp``; the set's ``image2frames``, where there is one, lies beside it.

        Raises:
            DataError: a table is not valid, or only some of a clip's video frames are packed.
        """
        self._files = BlobReader(scp)
        self._clips: _Clips | None = None
        folder = Path(scp).parent
        if (folder / "image2frames").exists():
            self._clips = _Clips(folder, self._files)

    @property
    def ids(self) -> list[str]:
        """Ids of the packed pictures in C order."""
        return list(self._files) if self._clips is None else [key.decode() for key in self._clips.keys]

    @property
    def keys_array(self) -> npt.NDArray[np.bytes_]:
        """(pictures,) the ids in UTF-8, in C order."""
        return self._files.keys_array if self._clips is None else self._clips.keys

    def lines_of(self, pictures: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
        """The place in `keys_array` of each of many ids in UTF-8; -1 for pictures that are not there."""
        if self._clips is None:
            return self._files.lines_of(pictures)
        keys = self._clips.keys
        place = np.minimum(np.searchsorted(keys, pictures), max(len(keys) - 1, 0))
        return np.where(keys[place] == pictures, place, -1) if len(keys) else np.full(len(pictures), -1)

    def image_counts(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of images of each of some pictures, by their places in `keys_array`."""
        if self._clips is None:
            return np.ones(len(places), dtype=np.int64)
        return np.diff(self._clips.first)[places]

    def __len__(self) -> int:
        return len(self.keys_array)

    def __contains__(self, picture: str) -> bool:
        return bool(self.lines_of(np.array([picture.encode()]))[0] >= 0)

    def files(self, picture: str) -> list[bytes]:
        """The packed image files of a picture.

        Raises:
            KeyError: it is not packed.
        """
        if self._clips is None:
            return [self._files[picture]]
        place = int(self.lines_of(np.array([picture.encode()]))[0])
        if place < 0:
            raise KeyError(picture)
        first, end = self._clips.first[place : place + 2]
        return [self._files.read(int(line)) for line in self._clips.lines[first:end]]

    def __getitem__(self, picture: str) -> list[Pixels]:
        """The images of a picture, each (H, W, 3) uint8: one of a still, all video frames of a clip."""
        return [decode(data, picture) for data in self.files(picture)]


class _Clips:
    """Pictures of a packed set with clips: ``keys`` (N,) in C order; the scp's ``lines`` of picture i start at ``first[i]``.

    Arrays, because a set has half a million clips and every worker process a copy.
    """

    def __init__(self, folder: Path, packed: BlobReader) -> None:
        clips = read_clips(folder, read_table(folder / "images.scp"))
        frames = np.array([frame.encode() for names in clips.values() for frame in names], dtype=np.bytes_)
        lines = packed.lines_of(frames)
        owner = np.repeat(np.arange(len(clips)), [len(names) for names in clips.values()])
        there = np.bincount(owner[lines >= 0], minlength=len(clips))
        for clip, count in zip(clips, there, strict=True):
            if 0 < count < len(clips[clip]):
                what = f"only {count} of the {len(clips[clip])} video frames of '{clip}' are packed"
                raise DataError(what, where=str(folder / "packed.scp"), hint="pack the images again (stage 2)")
        stills = np.setdiff1d(np.arange(len(packed)), lines)
        keys = np.concatenate([np.array([clip.encode() for clip in clips], dtype=np.bytes_), packed.keys_array[stills]])
        counts = np.concatenate([there, np.ones(len(stills), dtype=np.int64)])
        place = np.argsort(np.argsort(keys, kind="stable"), kind="stable")
        owners = np.concatenate([owner[lines >= 0], len(clips) + np.arange(len(stills))])
        self.lines = np.concatenate([lines[lines >= 0], stills])[np.argsort(place[owners], kind="stable")]
        used = np.argsort(place, kind="stable")
        used = used[counts[used] > 0]
        self.keys = keys[used]
        self.first = np.concatenate([[0], np.cumsum(counts[used])])


def evaluation_view(image: Pixels, resize: int, image_size: int) -> Pixels:
    """What the model sees of an image in evaluation: shorter side to ``resize``, then the centre square.

    The same pixels as torchvision's Resize (bilinear, antialiased) and CenterCrop on a PIL image. An image that already
    has the wanted size is not resampled.

    Args:
        image: shape (H, W, 3), uint8.
        resize: pixels of the shorter side.
        image_size: side of the square in pixels, at most ``resize``.

    Returns:
        Shape (image_size, image_size, 3), uint8, contiguous.

    Raises:
        ConfigError: the square is larger than the resized image.
    """
    if image_size > resize:
        raise ConfigError(f"image.image_size ({image_size}) must not be larger than image.resize ({resize})")
    height, width = image.shape[:2]
    if min(height, width) != resize:
        resized = Image.fromarray(image).resize(_at_least((width, height), resize), Image.Resampling.BILINEAR)
        image = np.array(resized)
        height, width = image.shape[:2]
    top, left = round((height - image_size) / 2), round((width - image_size) / 2)
    return np.ascontiguousarray(image[top : top + image_size, left : left + image_size])


def to_tensor(images: Tensor) -> Tensor:
    """Pixels as the image encoders take them: channels first, in [0, 1], then ImageNet's mean and deviation taken out.

    Args:
        images: shape (B, H, W, 3) or (H, W, 3), uint8.

    Returns:
        Shape (B, 3, H, W) or (3, H, W), float32, on the same device.
    """
    import torch

    scale = 255 * torch.tensor(IMAGENET_STD, device=images.device)
    shift = 255 * torch.tensor(IMAGENET_MEAN, device=images.device)
    return ((images.to(torch.float32) - shift) / scale).movedim(-1, -3).contiguous()
