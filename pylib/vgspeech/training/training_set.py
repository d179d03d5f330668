"""Images and their captions as training sees them: ids, pairs, and where to read the contents.

A real corpus has 400,000 captions, and every worker process a copy of what is held here. So ids stay in a few arrays of bytes,
pairs are arrays of numbers, and no Python object stands for a caption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from vgspeech.archive import ArchiveReader
from vgspeech.config import ExperimentConfig, FrontEndConfig, load_config
from vgspeech.errors import DataError
from vgspeech.images import PackedImages
from vgspeech.tables import read_pairs
from vgspeech.training.augment import no_image_changes
from vgspeech.training.inputs import Features, Grids, Indices, Pictures

SHUFFLE = 3
"""Keeps the random stream apart from those of ``vgspeech/training/data.py``."""
FINGERPRINT_ITEMS = 100

Keys = npt.NDArray[np.bytes_]


class Ids(Sequence[str]):
    """Some of the ids in an array of UTF-8 strings, by their lines in it."""

    def __init__(self, keys: Keys, lines: Indices) -> None:
        self._keys, self.lines = keys, lines

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [key.decode() for key in self._keys[self.lines[index]]]
        return str(self._keys[self.lines[index]].decode())

    def __iter__(self) -> Iterator[str]:
        return (key.decode() for key in self._keys[self.lines])

    def joined(self, separator: bytes) -> bytes:
        """All of them as one byte string, with one byte between them."""
        chosen = self._keys[self.lines]
        letters = np.full((len(chosen), chosen.itemsize + 1), ord(separator), np.uint8)
        letters[:, :-1] = chosen.view(np.uint8).reshape(len(chosen), -1)
        return letters[letters != 0].tobytes()[:-1]  # zeros fill up an array's shorter strings


@dataclass(frozen=True)
class Captions:
    """The captions of one language, ordered by image: those of image i are ``first[i]`` up to ``first[i + 1]``."""

    ids: Ids
    first: Indices
    features: Features
    frames: Indices | None = None
    """(N,) length of each, where batches are made by length."""


@dataclass(frozen=True)
class TrainingSet:
    """Images with at least one caption, and their captions."""

    image_ids: Ids
    pictures: Pictures | Grids
    captions: dict[str, Captions]
    fingerprint: str
    """Hash of ids, pairs and a sample of the contents."""

    @property
    def summary(self) -> str:
        """For the log."""
        counts = ", ".join(f"{len(captions.ids)} captions in {lang}" for lang, captions in self.captions.items())
        return f"{len(self.image_ids)} images, {counts}"


def front_end_settings(data: Path, split: str, config: ExperimentConfig) -> FrontEndConfig:
    """How the features of a split were computed, the same for all languages.

    Raises:
        DataError: no such features, or languages differ.
    """
    found = []
    for language in config.languages:
        path = data / "speech" / f"{split}_{language}" / "feats" / f"{config.front_end}.yaml"
        if not path.is_file():
            raise DataError(f"no '{config.front_end}' features", where=str(path), hint="run stage 1 (features)")
        found.append(load_config(FrontEndConfig, path))
        if found[-1] != found[0]:
            raise DataError(
                f"features of {language} and {config.languages[0]} were computed differently", where=str(path)
            )
    return found[0]


def load_training_set(config: ExperimentConfig, data: Path, split: str) -> TrainingSet:
    """Read ids, and features and images as far as they fit into memory.

    Args:
        config: ``training.shuffle_captions`` deals the captions of each language out to the images at random, once.
        data: ``data/<corpus>``.
        split: for example ``train``.

    Raises:
        DataError: a language has no caption with features and an image, or an utterance no image.
    """
    packed = PackedImages(data / "images" / split / "packed.scp")
    readers, pairs = {}, {}
    for number, language in enumerate(config.languages):
        folder = data / "speech" / f"{split}_{language}"
        readers[language] = ArchiveReader(folder / "feats" / f"{config.front_end}.scp")
        lines, images = _pairs(readers[language], packed, folder)
        if config.training.shuffle_captions:
            generator = np.random.default_rng([config.seed, SHUFFLE, number])
            images = images[generator.permutation(len(images))]
        pairs[language] = lines, images
    used = np.flatnonzero(sum(np.bincount(images, minlength=len(packed)) for _, images in pairs.values()))
    captions = {}
    for language, (lines, images) in pairs.items():
        order = np.lexsort((_rank(readers[language].keys_array)[lines], images))
        lines, images = lines[order], np.searchsorted(used, images[order])
        first = np.concatenate([[0], np.cumsum(np.bincount(images, minlength=len(used)))])
        limit = config.training.feature_cache_gb * 2**30 / len(pairs)
        longest = None if config.augment.random_crop else config.training.max_frames
        features = Features(readers[language], lines, config.normalisation, longest, limit)
        ids = Ids(readers[language].keys_array, lines)
        frames = _lengths(data / "speech" / f"{split}_{language}", ids, config) if config.training.length_pool else None
        captions[language] = Captions(ids, first, features, frames)
    image_ids = Ids(packed.keys_array, used)
    pictures = Pictures(packed, used, config)
    return TrainingSet(image_ids, pictures, captions, _fingerprint(image_ids, pictures, captions))


def _pairs(reader: ArchiveReader, packed: PackedImages, folder: Path) -> tuple[Indices, Indices]:
    """Lines of the captions that have features and an image, and of these images. Stages 1 and 2 list what they rejected.

    Raises:
        DataError: an utterance is not in utt2image, or none is left.
    """
    utterances, named = read_pairs(folder / "utt2image")
    place, known = _look_up(reader.keys_array, utterances)
    if not known.all():
        missing = reader.keys_array[int(np.argmin(known))].decode()
        hint = "prepare the data again, or give it an image"
        raise DataError(f"'{missing}' has features but no image", where=str(folder / "utt2image"), hint=hint)
    images = packed.lines_of(named[place])
    there = images >= 0
    if not there.any():
        raise DataError("no caption has both features and an image", where=str(folder))
    return np.flatnonzero(there), images[there]


def _look_up(wanted: Keys, keys: Keys) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Place of each wanted key among ``keys``, which are in C order, and whether it is there at all."""
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return place, keys[place] == wanted if len(keys) else np.zeros(len(wanted), dtype=bool)


def _rank(keys: Keys) -> Indices:
    """Place of each key in C order."""
    if np.all(keys[:-1] < keys[1:]):
        return np.arange(len(keys))
    rank = np.empty(len(keys), dtype=np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return rank


def _lengths(folder: Path, ids: Ids, config: ExperimentConfig) -> Indices:
    """Frames of each caption, as far as training reads it."""
    table = folder / "feats" / f"{config.front_end}.utt2num_frames"
    utterances, frames = read_pairs(table)
    place, known = _look_up(np.array(ids.joined(b" ").split(), dtype=np.bytes_), utterances)
    if not known.all():
        raise DataError(f"'{ids[int(np.argmin(known))]}' is missing", where=str(table), hint="run stage 1 (features)")
    return np.minimum(frames[place].astype(np.int64), config.training.max_frames)


def _fingerprint(image_ids: Ids, pictures: Pictures, captions: Mapping[str, Captions]) -> str:
    """SHA-256 of all ids and pairs, and of the contents of some images and captions spread over the set."""
    digest = hashlib.sha256(image_ids.joined(b"\n"))
    for i in _spread(len(image_ids)):
        digest.update(pictures.take(np.array([i]), no_image_changes(1)).numpy().tobytes())
    for language, side in captions.items():
        digest.update(f"{language}\n".encode() + side.ids.joined(b" ") + side.first.astype("<i8").tobytes())
        for i in _spread(len(side.ids)):
            frames, offsets, lengths = side.features.take(np.array([i]))
            digest.update(frames[offsets[0] : offsets[0] + lengths[0]].numpy().tobytes())
    return digest.hexdigest()


def _spread(total: int) -> Indices:
    return np.unique(np.linspace(0, total - 1, min(total, FINGERPRINT_ITEMS)).astype(np.int64))
