"""What discovery reads: which captions describe one image, their frames ready for comparison, and fixed blocks of
images."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vgspeech.archive import ArchiveReader
from vgspeech.errors import DataError
from vgspeech.order import shuffled

Array = np.ndarray[Any, np.dtype[Any]]

MEAN_CAPTIONS = 2000
"""Captions that a language's mean frame is estimated from; more do not move it visibly."""

TIME_DECIMALS = 4
"""Times are kept to 0.1 ms, as in the tables, so that a result does not depend on whether it went through a file."""


class ImageCaptions(NamedTuple):
    """An image that is described in both languages or by several speakers of one (or two images that look alike,
    ``neighbours``).

    Attributes:
        image: its id.
        a, b: utterance ids of its captions in the two languages, sorted; within one language both are all of them.
        pairs: (place in a, place in b) of the captions to be compared; None: each of a with each of b.
    """

    image: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] | None = None

    def compared(self) -> Iterable[tuple[int, int]]:
        """``pairs``, written out."""
        return itertools.product(range(len(self.a)), range(len(self.b))) if self.pairs is None else self.pairs


def pair_captions(utt2image_a: Mapping[str, str], utt2image_b: Mapping[str, str]) -> list[ImageCaptions]:
    """Images with captions in both languages, sorted by id.

    Args:
        utt2image_a, utt2image_b: image of every caption, one mapping a language.

    Raises:
        DataError: fewer than two images have captions in both, so that nothing can be compared.
    """
    by_image_a, by_image_b = captions_by_image(utt2image_a), captions_by_image(utt2image_b)
    shared = sorted(by_image_a.keys() & by_image_b.keys())
    if len(shared) < 2:
        raise DataError(
            f"{len(shared)} images have captions in both languages; discovery needs at least two",
            hint="check utt2image of the two speech sets: image ids must be the same strings in both; for languages that "
            "share no images there is --pairs nearest",
        )
    return [ImageCaptions(image, tuple(by_image_a[image]), tuple(by_image_b[image])) for image in shared]


def pair_speakers(utt2image: Mapping[str, str], utt2spk: Mapping[str, str]) -> list[ImageCaptions]:
    """Images with captions by several speakers of one language, sorted by id; captions of different speakers are paired.

    Args:
        utt2image, utt2spk: image and speaker of every caption.
    """
    found = []
    for image, utts in sorted(captions_by_image(utt2image).items()):
        numbers = itertools.combinations(range(len(utts)), 2)
        pairs = tuple((k, m) for k, m in numbers if utt2spk[utts[k]] != utt2spk[utts[m]])
        if pairs:
            found.append(ImageCaptions(image, tuple(utts), tuple(utts), pairs))
    return found


def captions_by_image(utt2image: Mapping[str, str]) -> dict[str, list[str]]:
    """Utterance ids of every image, sorted."""
    captions: dict[str, list[str]] = {}
    for utt in sorted(utt2image):
        captions.setdefault(utt2image[utt], []).append(utt)
    return captions


def caption_blocks(images: Sequence[ImageCaptions], size: int, seed: int) -> list[list[ImageCaptions]]:
    """Random blocks of at least ``size`` images: the captions of a block serve each other as unrelated ones.

    The blocks depend on image ids and seed only, so that work can be split by blocks among any number of jobs.

    Args:
        images: with distinct ids.
        size: images in a block (the last ones are spread over all blocks; fewer images make one block).
        seed: of the order.
    """
    by_id = {image.image: image for image in images}
    order = [by_id[key] for key in shuffled(by_id, seed)]
    n_blocks = max(1, len(order) // max(size, 1))
    bounds = np.linspace(0, len(order), n_blocks + 1).astype(int)
    return [order[start:stop] for start, stop in itertools.pairwise(bounds)]


class FrameClock(NamedTuple):
    """When frames are: frame t is centred at t * shift_s + offset_s seconds."""

    shift_s: float
    offset_s: float

    def seconds(self, frames: Array) -> Array:
        """Seconds, rounded to what tables hold and never negative, of moments in frames.

        Args:
            frames: of any shape; fractions are welcome.
        """
        return np.maximum(np.round(frames * self.shift_s + self.offset_s, TIME_DECIMALS), 0)


class CaptionFrames(Mapping[str, Array]):
    """Frame embeddings with their language's mean frame subtracted and scaled to unit length, read when asked for.

    Without the subtraction a MISA model's frames all point one way; for SISA models it changes nothing visible. Silent
    frames are zero: they resemble nothing.
    """

    def __init__(self, frames: Mapping[str, Array], mean: Array, speech: Mapping[str, Array] | None = None) -> None:
        """``frames``: (T, D) float arrays by utterance id; ``mean``: (D,) of the language (``mean_frame``); ``speech``:
        (T,) bool by utterance id, false for silence."""
        self._frames = frames
        self._mean = mean
        self._speech = speech

    def __getitem__(self, utt: str) -> Array:
        """(T, D) float32, rows of unit length or zero."""
        raw = self.raw(utt)
        frames = np.empty(raw.shape, np.float32)
        self.compare(utt, raw, frames)
        return frames

    def raw(self, utt: str, room: Array | None = None) -> Array:
        """(T, D) float32 as the encoder gives them; from an archive in ``room``, flat float32 memory, if they fit there."""
        if room is not None and isinstance(self._frames, ArchiveReader):
            return self._frames.read_into(utt, room).astype(np.float32, copy=False)
        return self._frames[utt].astype(np.float32, copy=False)

    def compare(self, utt: str, raw: Array, out: Array) -> None:
        """Make ``raw`` frames of a caption ready for comparison and put them into ``out``, which may be ``raw`` itself."""
        np.subtract(raw, self._mean, out=out)
        norms = np.sqrt(np.einsum("td,td->t", out, out))
        out /= np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
        if self._speech is not None:
            out[~self._speech[utt]] = 0.0

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)


def mean_frame(frames: Mapping[str, Array], seed: int) -> Array:
    """(D,) float32 mean over all frames of at most ``MEAN_CAPTIONS`` captions, chosen by id and seed.

    Raises:
        DataError: no frame at all.
    """
    total: Array | None = None
    count = 0
    for utt in shuffled(frames, seed)[:MEAN_CAPTIONS]:
        matrix = frames[utt]
        summed = matrix.sum(0, dtype=np.float64)
        total = summed if total is None else total + summed
        count += len(matrix)
    if total is None or not count:
        raise DataError("no frame embeddings", hint="run stage 5 (embed) first")
    return (total / count).astype(np.float32)


def windowed(frames: Array, at: Array | None = None, bounds: tuple[Array, Array] | None = None) -> Array:
    """(N, D) mean of frames and their two neighbours, of unit length; the first and last frame count twice there.

    Args:
        frames: (T, D).
        at: (N,) frames that are wanted; all by default.
        bounds: (N,) first and last frame of the caption of each, where several captions follow each other.
    """
    at = np.arange(len(frames)) if at is None else at
    first, last = (0, len(frames) - 1) if bounds is None else bounds
    summed = frames[at] + frames[np.maximum(at - 1, first)]
    summed += frames[np.minimum(at + 1, last)]
    norms = np.sqrt(np.einsum("td,td->t", summed, summed))
    summed /= np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
    return summed
