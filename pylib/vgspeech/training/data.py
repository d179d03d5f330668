"""Training data: pairs of an image and its captions, put together into batches that depend on seed, epoch and step alone.

A sample is an image with one caption of every language that it has. Each epoch visits every image once, in a random order
cut into equal batches; where an image has several captions in a language, each epoch picks one. All of this is planned
before any file is read and before rows are dealt out to processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgspeech.archive import ArchiveReader
from vgspeech.audio import normalise
from vgspeech.config import ExperimentConfig, FrontEndConfig, load_config
from vgspeech.errors import DataError
from vgspeech.images import PackedImages, evaluation_view, to_tensor
from vgspeech.tables import read_table
from vgspeech.training.augment import (
    crop_and_resize,
    draw_image_changes,
    draw_speech_changes,
    shift_and_flip,
    warp_speech,
)

Indices = npt.NDArray[np.int64]

# Numbers that keep random streams of different purposes apart.
ORDER, CAPTION, CHANGES, SHUFFLE = range(4)
FINGERPRINT_ITEMS = 100


class Features:
    """Feature frames of captions, normalised and cut; kept in memory as one array when they fit."""

    def __init__(
        self,
        scp: Path,
        ids: Sequence[str],
        normalisation: Literal["none", "utterance"],
        max_frames: int,
        limit_bytes: float,
    ) -> None:
        self._reader, self._ids = ArchiveReader(scp), ids
        self._normalisation, self._max_frames = normalisation, max_frames
        sample = [self._reader[ids[i]].nbytes for i in np.linspace(0, len(ids) - 1, min(len(ids), 20)).astype(int)]
        self._cache: tuple[Tensor, Tensor, Tensor] | None = None
        if np.mean(sample) * len(ids) <= limit_bytes:
            self._cache = self._read(np.arange(len(ids)))

    def _read(self, indices: Indices) -> tuple[Tensor, Tensor, Tensor]:
        captions = [normalise(self._reader[self._ids[i]], self._normalisation)[: self._max_frames] for i in indices]
        lengths = torch.tensor([len(caption) for caption in captions])
        return torch.from_numpy(np.concatenate(captions)), lengths.cumsum(0) - lengths, lengths

    def take(self, indices: Indices) -> tuple[Tensor, Tensor, Tensor]:
        """Some captions as (frames (M, F), offsets (N,), lengths (N,)); ``frames`` may hold others as well."""
        if self._cache is None:
            return self._read(indices)
        frames, offsets, lengths = self._cache
        return frames, offsets[indices], lengths[indices]


class Pictures:
    """Decoded images; as many as fit stay in memory."""

    def __init__(self, scp: Path, ids: Sequence[str], config: ExperimentConfig) -> None:
        self._packed, self._ids, self._settings = PackedImages(scp), ids, config.image
        self._random_crop = config.augment.image_crop_scale < 1.0
        self._cache: list[Tensor] = []
        left = config.training.image_cache_gb * 2**30
        for image in ids:
            picture = self._read(image)
            left -= picture.nbytes
            if left < 0:
                break
            self._cache.append(picture)

    def _read(self, image: str) -> Tensor:
        """(H, W, 3) uint8: the whole image where random crops are taken, else what evaluation sees."""
        pixels = self._packed[image]
        if self._random_crop:
            return torch.from_numpy(pixels)
        return torch.from_numpy(evaluation_view(pixels, self._settings.resize, self._settings.image_size))

    def take(self, indices: Indices, crops: npt.NDArray[np.float64]) -> Tensor:
        """Some images as (N, S, S, 3) uint8, cropped by rows of ``ImageChanges.crop`` where random crops are on."""
        pictures = [self._cache[i] if i < len(self._cache) else self._read(self._ids[i]) for i in indices]
        if self._random_crop:
            size = self._settings.image_size
            pictures = [crop_and_resize(p, crop, size) for p, crop in zip(pictures, crops, strict=True)]
        return torch.stack(pictures)


@dataclass(frozen=True)
class Captions:
    """The captions of one language, ordered by image: those of image i are ``first[i]`` up to ``first[i + 1]``."""

    ids: list[str]
    first: Indices
    features: Features


@dataclass(frozen=True)
class TrainingSet:
    """Images with at least one caption, and their captions."""

    image_ids: list[str]
    pictures: Pictures
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


def caption_pairs(data: Path, split: str, language: str, front_end: str, images: set[str]) -> dict[str, str]:
    """Utterances with features whose image is there, and that image. What stages 1 and 2 rejected is not among them.

    Raises:
        DataError: none is left.
    """
    folder = data / "speech" / f"{split}_{language}"
    utt2image = read_table(folder / "utt2image")
    pairs = {u: utt2image[u] for u in ArchiveReader(folder / "feats" / f"{front_end}.scp") if utt2image[u] in images}
    if not pairs:
        raise DataError("no caption has both features and an image", where=str(folder))
    return pairs


def load_training_set(config: ExperimentConfig, data: Path, split: str) -> TrainingSet:
    """Read ids, and features and images as far as they fit into memory.

    Args:
        config: ``training.shuffle_captions`` deals the captions of each language out to the images at random, once.
        data: ``data/<corpus>``.
        split: for example ``train``.
    """
    packed = PackedImages(data / "images" / split / "packed.scp")
    pairs = {
        language: caption_pairs(data, split, language, config.front_end, set(packed.ids))
        for language in config.languages
    }
    if config.training.shuffle_captions:
        pairs = {
            lang: _shuffled(table, np.random.default_rng([config.seed, SHUFFLE, number]))
            for number, (lang, table) in enumerate(pairs.items())
        }
    image_ids = sorted({image for table in pairs.values() for image in table.values()})
    position = {image: i for i, image in enumerate(image_ids)}
    captions = {}
    for language, table in pairs.items():
        ids = sorted(table, key=lambda utterance, table=table: (position[table[utterance]], utterance))  # type: ignore[misc]
        counts = np.bincount([position[table[utterance]] for utterance in ids], minlength=len(image_ids))
        scp = data / "speech" / f"{split}_{language}" / "feats" / f"{config.front_end}.scp"
        limit = config.training.feature_cache_gb * 2**30 / len(pairs)
        features = Features(scp, ids, config.normalisation, config.training.max_frames, limit)
        captions[language] = Captions(ids, np.concatenate([[0], np.cumsum(counts)]), features)
    pictures = Pictures(data / "images" / split / "packed.scp", image_ids, config)
    return TrainingSet(image_ids, pictures, captions, _fingerprint(image_ids, pictures, captions))


def _shuffled(pairs: Mapping[str, str], generator: np.random.Generator) -> dict[str, str]:
    images = list(pairs.values())
    return dict(zip(pairs, (images[i] for i in generator.permutation(len(images))), strict=True))


def _fingerprint(image_ids: list[str], pictures: Pictures, captions: Mapping[str, Captions]) -> str:
    """SHA-256 of all ids and pairs, and of the contents of some images and captions spread over the set."""
    digest = hashlib.sha256("\n".join(image_ids).encode())
    for i in _spread(len(image_ids)):
        digest.update(pictures.take(np.array([i]), np.array([[1.0, 1.0, 0.5, 0.5]])).numpy().tobytes())
    for language, side in captions.items():
        digest.update(f"{language}\n{' '.join(side.ids)}\n".encode() + side.first.astype("<i8").tobytes())
        for i in _spread(len(side.ids)):
            frames, offsets, lengths = side.features.take(np.array([i]))
            digest.update(frames[offsets[0] : offsets[0] + lengths[0]].numpy().tobytes())
    return digest.hexdigest()


def _spread(total: int) -> Indices:
    return np.unique(np.linspace(0, total - 1, min(total, FINGERPRINT_ITEMS)).astype(np.int64))


class BatchPlan(NamedTuple):
    """What a batch holds, over all processes."""

    images: Indices
    """(B,) which images."""
    rows: dict[str, Indices]
    """Language -> (n,) rows of the batch whose image has a caption."""
    captions: dict[str, Indices]
    """Language -> (n,) the caption chosen for each of these rows."""


def plan_epoch(data: TrainingSet, batch_size: int, seed: int, epoch: int) -> list[BatchPlan]:
    """The batches of one epoch: every image once, sizes differ by one at most and none exceeds ``batch_size``."""
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(len(data.image_ids))
    chosen = {}
    for number, (language, captions) in enumerate(data.captions.items()):
        counts = np.diff(captions.first)
        draws = np.random.default_rng([seed, CAPTION, epoch, number]).random(len(counts))
        chosen[language] = np.where(counts > 0, captions.first[:-1] + (draws * counts).astype(np.int64), -1)
    plans = []
    for images in np.array_split(order, -(-len(order) // batch_size)):
        rows = {language: np.flatnonzero(captions[images] >= 0) for language, captions in chosen.items()}
        plans.append(BatchPlan(images, rows, {lang: chosen[lang][images[rows[lang]]] for lang in rows}))
    return plans


class Batch(NamedTuple):
    """One process's part of a batch, and the plan of the whole."""

    images: Tensor
    """(b, 3, S, S) float32, ImageNet-normalised, channels last in memory."""
    speech: dict[str, tuple[Tensor, Tensor]]
    """Language -> features (n, T, F), zero beyond each caption, and lengths (n,); without languages that are absent."""
    plan: BatchPlan


class EpochBatches(Dataset[Batch]):
    """The batches of one epoch by their number in it, for one of ``world_size`` processes."""

    def __init__(self, data: TrainingSet, config: ExperimentConfig, epoch: int, rank: int, world_size: int) -> None:
        self.plans = plan_epoch(data, config.training.batch_size, config.seed, epoch)
        self._data, self._config, self._epoch = data, config, epoch
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        return len(self.plans)

    def __getitem__(self, step: int) -> Batch:
        plan, augment = self.plans[step], self._config.augment
        generator = np.random.default_rng([self._config.seed, CHANGES, self._epoch, step])
        mine = np.arange(*process_rows(len(plan.images), self._rank, self._world_size))
        changes = draw_image_changes(len(plan.images), augment, generator).rows(mine)
        pictures = shift_and_flip(self._data.pictures.take(plan.images[mine], changes.crop), changes)
        speech = {}
        for language, captions in plan.captions.items():
            if not len(captions):
                continue
            here = np.arange(*process_rows(len(captions), self._rank, self._world_size))
            drawn = draw_speech_changes(len(captions), augment, generator).rows(here)
            frames, offsets, lengths = self._data.captions[language].features.take(captions[here])
            speech[language] = warp_speech(frames, offsets, lengths, drawn)
        return Batch(to_tensor(pictures), speech, plan)

    def loader(self, first: int, workers: int, pin_memory: bool) -> DataLoader[Batch]:
        """Batches from number ``first`` on, prepared by worker processes when ``workers`` > 0."""
        steps = range(first, len(self))
        return DataLoader(
            self, batch_size=None, sampler=steps, num_workers=workers, pin_memory=pin_memory, collate_fn=_as_it_is
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def process_rows(total: int, rank: int, world_size: int) -> tuple[int, int]:
    """First row and end of what one process encodes: contiguous, sizes differ by one at most.

    When there are fewer rows than processes, all encode all of them: networks cannot run on nothing, and statistics and
    gradients summed over equal copies stay the same.
    """
    if total < world_size:
        return 0, total
    return total * rank // world_size, total * (rank + 1) // world_size


def counted_rows(total: int, world_size: int) -> list[int]:
    """How many of its encoded rows every process contributes to the whole batch."""
    if total < world_size:
        return [total] + [0] * (world_size - 1)
    spans = (process_rows(total, rank, world_size) for rank in range(world_size))
    return [end - start for start, end in spans]
