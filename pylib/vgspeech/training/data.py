"""Batches that depend on seed, epoch and step alone.

A sample is an image with one caption of every language that it has. Each epoch visits every image once, in a random order
cut into equal batches; where an image has several captions in a language, each epoch picks one. All of this is planned
before any file is read and before rows are dealt out to processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgspeech.audio import bins_at_speed
from vgspeech.config import ExperimentConfig
from vgspeech.training.augment import (
    crop_speech,
    draw_image_changes,
    draw_speech_changes,
    warp_speech,
)
from vgspeech.training.inputs import Indices
from vgspeech.training.signals import ignore_stop_signals, signals_held_back
from vgspeech.training.training_set import TrainingSet

# Numbers that keep random streams of different purposes apart (3: see vgspeech/training/training_set.py).
ORDER, CAPTION, CHANGES, POOLS = 0, 1, 2, 4


class BatchPlan(NamedTuple):
    """What a batch holds, over all processes."""

    images: Indices
    """(B,) which images."""
    rows: dict[str, Indices]
    """Language -> (n,) rows of the batch whose image has a caption."""
    captions: dict[str, Indices]
    """Language -> (n,) the caption chosen for each of these rows."""


class EpochPlan:
    """The batches of one epoch, each made when it is asked for. Few arrays, because every worker process shares them: of
    thousands of objects it would copy the memory by counting its references to them.

    Args:
        order: (images,) all images.
        edges: (batches, 2) where each batch begins and ends in ``order``.
        chosen: language -> (images,) the caption of each image; -1 where it has none.
    """

    def __init__(self, order: Indices, edges: Indices, chosen: Mapping[str, Indices]) -> None:
        self._order, self._edges, self._chosen = order, edges, chosen

    def __len__(self) -> int:
        return len(self._edges)

    def __getitem__(self, step: int) -> BatchPlan:
        start, end = self._edges[step]
        images = self._order[start:end]
        rows = {language: np.flatnonzero(captions[images] >= 0) for language, captions in self._chosen.items()}
        return BatchPlan(images, rows, {lang: self._chosen[lang][images[rows[lang]]] for lang in rows})

    def __iter__(self) -> Iterator[BatchPlan]:
        return map(self.__getitem__, range(len(self)))


def plan_epoch(data: TrainingSet, batch_size: int, seed: int, epoch: int, length_pool: int = 0) -> EpochPlan:
    """The batches of one epoch: every image once, sizes differ by one at most and none exceeds ``batch_size``.

    Args:
        length_pool: within this many batches images are sorted by the length of their captions, and the batches then
            come in random order; 0 does not sort.
    """
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(len(data.image_ids))
    chosen = {}
    for number, (language, captions) in enumerate(data.captions.items()):
        counts = np.diff(captions.first)
        draws = np.random.default_rng([seed, CAPTION, epoch, number]).random(len(counts))
        chosen[language] = np.where(counts > 0, captions.first[:-1] + (draws * counts).astype(np.int64), -1)
    if length_pool:
        order = _sorted_in_pools(order, _frames_of_images(data, chosen), length_pool * batch_size)
    count = -(-len(order) // batch_size)
    ends = np.cumsum(len(order) // count + (np.arange(count) < len(order) % count))
    edges = np.column_stack([np.append(0, ends[:-1]), ends])
    if length_pool:
        edges = edges[np.random.default_rng([seed, POOLS, epoch]).permutation(count)]
    return EpochPlan(order, edges, chosen)


def _frames_of_images(data: TrainingSet, chosen: Mapping[str, Indices]) -> Indices:
    """(images,) frames of the longest of the captions chosen for each image."""
    longest = np.zeros(len(data.image_ids), dtype=np.int64)
    for language, captions in chosen.items():
        frames = data.captions[language].frames
        assert frames is not None
        longest = np.maximum(longest, np.where(captions >= 0, frames[captions], 0))
    return longest


def _sorted_in_pools(order: Indices, frames: Indices, pool: int) -> Indices:
    """Each stretch of ``pool`` images sorted by length."""
    stretches = [order[start : start + pool] for start in range(0, len(order), pool)]
    return np.concatenate([part[np.argsort(frames[part], kind="stable")] for part in stretches])


class Batch(NamedTuple):
    """One process's part of a batch, and the plan of the whole."""

    images: Tensor
    """(f, S, S, 3) uint8, all images of b pictures: a quarter of what the network's float32 takes on the way to the device.
    With ``training.cache_grids`` what the backbone makes of the pictures: (b, C, H, W), floating point."""
    image_counts: Indices
    """(b,) how many each picture has: 1 of a still, more of a clip."""
    speech: dict[str, tuple[Tensor, Tensor]]
    """Language -> features (n, T, F), zero beyond each caption, and lengths (n,); without languages that are absent."""
    plan: BatchPlan


class EpochBatches(Dataset[Batch]):
    """The batches of one epoch by their number in it, for one of ``world_size`` processes."""

    def __init__(self, data: TrainingSet, config: ExperimentConfig, epoch: int, rank: int, world_size: int) -> None:
        settings = config.training
        self.plans = plan_epoch(data, settings.batch_size, config.seed, epoch, settings.length_pool)
        self._data, self._config, self._epoch = data, config, epoch
        front_end = config.front_end_settings
        self._axes = {
            speed: torch.from_numpy(bins_at_speed(front_end, speed)).float()
            for speed in config.augment.speed
            if front_end is not None
        }
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        return len(self.plans)

    def __getitem__(self, step: int) -> Batch:
        plan, augment = self.plans[step], self._config.augment
        generator = np.random.default_rng([self._config.seed, CHANGES, self._epoch, step])
        mine = np.arange(*process_rows(len(plan.images), self._rank, self._world_size))
        changes = draw_image_changes(len(plan.images), augment, generator).rows(mine)
        counts = self._data.pictures.image_counts(plan.images[mine])
        pictures = self._data.pictures.take(plan.images[mine], changes)
        speech = {}
        for language, captions in plan.captions.items():
            if not len(captions):
                continue
            here = np.arange(*process_rows(len(captions), self._rank, self._world_size))
            drawn = draw_speech_changes(len(captions), augment, generator).rows(here)
            frames, offsets, lengths = self._data.captions[language].features.take(captions[here])
            if augment.random_crop:
                offsets, lengths = crop_speech(offsets, lengths, drawn.start, self._config.training.max_frames)
            speech[language] = warp_speech(frames, offsets, lengths, drawn, self._axes)
        return Batch(pictures, counts, speech, plan)

    def loader(self, first: int, workers: int, pin_memory: bool) -> Iterator[Batch]:
        """Batches from number ``first`` on, prepared by worker processes when ``workers`` > 0."""
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, len(self)),
            num_workers=workers,
            pin_memory=pin_memory,
            collate_fn=_as_it_is,
            worker_init_fn=ignore_stop_signals,
        )
        with signals_held_back():  # until the workers, which start here, ignore them
            batches = iter(loader)
        return batches


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
