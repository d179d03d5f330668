"""A frozen image encoder whose grids are computed once trains as one that computes them in every step."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from micro_corpus import make_corpus, micro_config
from training_processes import ALONE
from vgspeech.config import AugmentConfig, ExperimentConfig
from vgspeech.errors import ConfigError, Interrupted
from vgspeech.models import GroundingModel, build_model
from vgspeech.models.image import ImageEncoder
from vgspeech.training import loop
from vgspeech.training.cached_grids import cached_grids
from vgspeech.training.check import check_training_config
from vgspeech.training.data import EpochBatches
from vgspeech.training.inputs import Indices, Pictures
from vgspeech.training.objective import encode_images
from vgspeech.training.step import choose_precision
from vgspeech.training.training_set import load_training_set

FLIPS = AugmentConfig(image_flip=True, tempo=0.1)
IMAGES = 13


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": IMAGES, "dev": 6}, captions=2)


def frozen(augment: AugmentConfig = FLIPS, **training: object) -> ExperimentConfig:
    return dataclasses.replace(micro_config(**{"freeze_image_epochs": -1, **training}), augment=augment)


def train(config: ExperimentConfig, corpus: Path, out: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The lines of metrics.jsonl and the last weights."""
    loop.train(config, corpus, out, ALONE, train_split="train", dev_split="dev")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    (newest,) = sorted((out / "checkpoints").glob("*.pt"))[-1:]
    return lines, torch.load(newest, weights_only=True)["model"]


@pytest.mark.parametrize("part", ["encoder", "backbone"])
@pytest.mark.parametrize("augment", [FLIPS, AugmentConfig()], ids=["flips", "plain"])
def test_losses_and_weights_are_those_without_the_cache(
    corpus: Path, tmp_path: Path, part: str, augment: AugmentConfig
) -> None:
    plain, weights = train(frozen(augment, freeze_image=part), corpus, tmp_path / "plain")
    cached, cached_weights = train(frozen(augment, freeze_image=part, cache_grids=True), corpus, tmp_path / "cached")
    assert [line["loss"] for line in cached] == pytest.approx([line["loss"] for line in plain], rel=1e-5)
    assert plain[-1]["loss"] < plain[0]["loss"]
    start = build_model_as_training_does(frozen()).state_dict()
    for name, value in weights.items():
        torch.testing.assert_close(cached_weights[name], value, rtol=1e-3, atol=1e-5)
        if name.startswith("image.backbone."):
            assert torch.equal(value, start[name]), name
        elif name == "image.embedder.weight":
            assert torch.equal(value, start[name]) is (part == "encoder")


def build_model_as_training_does(config: ExperimentConfig) -> torch.nn.Module:
    torch.manual_seed(config.seed)
    return build_model(config)


def test_an_image_goes_through_the_backbone_once(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    features = ImageEncoder.features

    def counting(self: ImageEncoder, images: torch.Tensor, counts: list[int] | None = None) -> torch.Tensor:
        seen.append(len(images))
        return features(self, images, counts)

    monkeypatch.setattr(ImageEncoder, "features", counting)
    train(frozen(cache_grids=True, validate_every=3), corpus, tmp_path / "cached")
    assert sum(seen) == 2 * IMAGES + 6  # each and its mirror image, then the development set at the end


def test_the_choice_of_a_precision_times_what_will_be_done(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    features = ImageEncoder.features

    def counting(self: ImageEncoder, images: torch.Tensor, counts: list[int] | None = None) -> torch.Tensor:
        seen.append(len(images))
        return features(self, images, counts)

    monkeypatch.setattr(ImageEncoder, "features", counting)
    config = frozen(cache_grids=True, precision="auto", epochs=1)
    choose_precision(build_model(config), config, load_training_set(config, corpus, "train"), ALONE)
    assert seen == [5, 5]  # one batch for each of two precisions, before their steps


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("clips"), {"train": IMAGES, "dev": 6}, captions=2, clip_frames=3)


def pooled(config: ExperimentConfig, how: str) -> ExperimentConfig:
    return dataclasses.replace(config, image=dataclasses.replace(config.image, clip_pooling=how))  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["mean", "max"])
@pytest.mark.parametrize("parts", [0, 4])
def test_clips_are_cached_pooled_and_train_the_same(
    clips: Path, tmp_path: Path, how: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vgspeech.training.cached_grids.BLOCK", 4)  # a clip has 3 video frames: groups of many sizes
    settings = {"freeze_image": "backbone", "gradient_cache": parts}
    plain, weights = train(pooled(frozen(**settings), how), clips, tmp_path / "plain")
    cached, cached_weights = train(pooled(frozen(**settings, cache_grids=True), how), clips, tmp_path / "cached")
    assert [line["loss"] for line in cached] == pytest.approx([line["loss"] for line in plain], rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(cached_weights[name], value, rtol=1e-3, atol=1e-5)


def test_a_precision_is_chosen_with_clips_in_parts(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grids that are timed are of pictures already, so that parts of the batch hold the pictures that are theirs."""
    parts: list[tuple[int, int]] = []

    def noting(model: GroundingModel, images: torch.Tensor, counts: Indices, device: torch.device) -> torch.Tensor:
        parts.append((len(images), len(counts)))
        return encode_images(model, images, counts, device)

    monkeypatch.setattr("vgspeech.training.gradient_cache.encode_images", noting)
    config = frozen(cache_grids=True, precision="auto", gradient_cache=2)
    choose_precision(build_model(config), config, load_training_set(config, clips, "train"), ALONE)
    assert parts and all(images == pictures <= 2 for images, pictures in parts)


def test_the_loss_of_a_large_batch_in_parts_reads_grids_too(corpus: Path, tmp_path: Path) -> None:
    settings = {"freeze_image": "backbone", "cache_grids": True}
    whole, _ = train(frozen(**settings, gradient_cache=13), corpus, tmp_path / "whole")
    plain, _ = train(frozen(**settings), corpus, tmp_path / "plain")
    assert [line["loss"] for line in whole] == pytest.approx([line["loss"] for line in plain], rel=1e-5)


def test_a_stopped_training_goes_on_with_the_same_grids(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = frozen(cache_grids=True, freeze_image="backbone")
    straight, weights = train(config, corpus, tmp_path / "straight")
    pause, calls = loop.Trainer._pause, []

    def stop_once(self: loop.Trainer, due: bool) -> None:
        calls.append(due)
        if len(calls) == 5:
            self.stop.asked = True
        pause(self, due)

    monkeypatch.setattr(loop.Trainer, "_pause", stop_once)
    with pytest.raises(Interrupted):
        train(config, corpus, tmp_path / "stopped")
    again, resumed = train(config, corpus, tmp_path / "stopped")
    assert [line["loss"] for line in again] == [line["loss"] for line in straight]
    assert all(torch.equal(resumed[name], value) for name, value in weights.items())


def test_low_precision_is_kept_as_it_is(corpus: Path) -> None:
    config = frozen(cache_grids=True, precision="bfloat16")
    data = load_training_set(config, corpus, "train")
    assert isinstance(data.pictures, Pictures)
    grids = cached_grids(build_model(config), data.pictures, config, ALONE.device)
    assert grids.values.dtype == torch.bfloat16 and grids.values.shape == (2, IMAGES, 8, 2, 2)
    batch = EpochBatches(dataclasses.replace(data, pictures=grids), config, 1, 0, 1)[0]
    plan = batch.plan.images
    assert any(torch.equal(batch.images[0], grids.values[side, plan[0]]) for side in (0, 1))
    assert not np.array_equal(grids.values[0].float().numpy(), grids.values[1].float().numpy())


def test_grids_beyond_memory_are_refused_with_their_size(corpus: Path, tmp_path: Path) -> None:
    config = frozen(cache_grids=True, image_cache_gb=1e-6)
    with pytest.raises(ConfigError, match=r"takes 0\.0 GB of memory, training.image_cache_gb allows 1e-06"):
        train(config, corpus, tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (frozen(cache_grids=True, freeze_image_epochs=2), "freeze_image_epochs is 2"),
        (frozen(AugmentConfig(image_shift=2), cache_grids=True), "shifted or cropped"),
        (frozen(AugmentConfig(image_crop_scale=0.5), cache_grids=True), "shifted or cropped"),
    ],
)
def test_what_cannot_be_cached_is_refused(config: ExperimentConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_training_config(config)
