"""Clips in the model: what pooling over video frames promises, and training, embedding and scoring with clips among stills."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vgspeech
from clip_files import write_video
from embedded_micro import embed_all, write_model
from micro_corpus import make_corpus, micro_config
from training_processes import ALONE
from vgspeech import embedding
from vgspeech.config import AugmentConfig, ExperimentConfig, SimilarityConfig
from vgspeech.errors import ConfigError, UsageError
from vgspeech.images import PackedImages
from vgspeech.imagesets import ImageSet, SceneObject, groups_of_pictures, write_image_set
from vgspeech.localize.boxes import visible_part
from vgspeech.localize.inputs import boxes_in_view, visible_parts
from vgspeech.models import GroundingModel, build_model, load_model
from vgspeech.models.image import pool_clips
from vgspeech.retrieval import evaluate
from vgspeech.similarity import matchmap
from vgspeech.training import loop
from vgspeech.training.data import EpochBatches
from vgspeech.training.step import backward, make_scaler
from vgspeech.training.training_set import load_training_set
from vgspeech.videos import read_header, read_moments, spread_moments


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"train": 13, "dev": 6, "test": 41}
    return make_corpus(tmp_path_factory.mktemp("clips"), sizes, captions=2, skip_hindi=5, clip_frames=3)


@pytest.fixture(scope="module")
def models() -> dict[str, GroundingModel]:
    made = {}
    for pooling in ("mean", "max"):
        torch.manual_seed(1)
        made[pooling] = build_model(pooled_by(pooling)).eval()
    return made


def pooled_by(pooling: str, **training: object) -> ExperimentConfig:
    config = micro_config(**training)
    return dataclasses.replace(config, image=dataclasses.replace(config.image, clip_pooling=pooling))  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["mean", "max"])
def test_stills_are_passed_on_bit_for_bit(models: dict[str, GroundingModel], how: str) -> None:
    features = torch.randn(6, 4, 2, 2)
    pooled = pool_clips(features, [1, 4, 1], how)  # type: ignore[arg-type]
    assert torch.equal(pooled[0], features[0]) and torch.equal(pooled[2], features[5])
    images = torch.randn(5, 3, 16, 16)
    assert torch.equal(models[how].encode_images(images, [1] * 5), models[how].encode_images(images))


@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_clip_in_which_nothing_moves_equals_the_still_and_order_has_no_influence(
    models: dict[str, GroundingModel], how: str
) -> None:
    images = torch.randn(4, 3, 16, 16)
    still = models[how].encode_images(images[:1])
    standing = models[how].encode_images(images[:1].repeat(4, 1, 1, 1), [4])
    torch.testing.assert_close(standing, still, rtol=0, atol=1e-6)
    forwards, backwards = models[how].encode_images(images, [4]), models[how].encode_images(images.flip(0), [4])
    torch.testing.assert_close(forwards, backwards, rtol=0, atol=1e-6)
    assert (forwards - still).abs().max() > 1e-3


def test_the_matchmap_of_a_clip_is_the_mean_of_its_video_frames_matchmaps(models: dict[str, GroundingModel]) -> None:
    images, frames = torch.randn(5, 3, 16, 16), torch.randn(7, 16)
    single = models["mean"].encode_images(images)
    clips = models["mean"].encode_images(images, [2, 3])
    expected = torch.stack([matchmap(grid, frames) for grid in single[2:]]).mean(0)
    torch.testing.assert_close(matchmap(clips[1], frames), expected, rtol=0, atol=1e-5)
    highest = models["max"].encode_images(images, [2, 3])
    assert (matchmap(highest[1], frames) - expected).abs().max() > 1e-3


def test_an_unknown_pooling_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("languages: [en]\nimage: {clip_pooling: median}\n")
    with pytest.raises(ConfigError, match="clip_pooling"):
        vgspeech.config.load_config(ExperimentConfig, tmp_path / "x.yaml")


def test_batches_have_no_influence_on_clips(corpus: Path, models: dict[str, GroundingModel]) -> None:
    images = PackedImages(corpus / "images/test/packed.scp")
    assert len(images) == 41 and [len(images[picture]) for picture in images.ids[:4]] == [1, 3, 1, 3]
    together = dict(embedding.embed_images(models["mean"], images, [images.ids]))
    for picture, alone in embedding.embed_images(models["mean"], images, [[one] for one in images.ids]):
        torch.testing.assert_close(alone, together[picture], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["SISA", "MISA", "SIMA"])
def test_clips_are_embedded_and_scored(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """On disk, by any number of jobs, as in memory."""
    config = dataclasses.replace(micro_config(), similarity=SimilarityConfig(type=kind, normalise=True))  # type: ignore[arg-type]
    folder = write_model(tmp_path / "model", config)
    one = embed_all(monkeypatch, folder, corpus, tmp_path / "one", 1)
    three = embed_all(monkeypatch, folder, corpus, tmp_path / "three", 3)
    assert len(one["images"]) == 41 and all(np.array_equal(one["images"][key], three["images"][key]) for key in one["images"])
    images, captions, left_out = embedding.load_embedded(tmp_path / "three", corpus, "test", kind == "SISA")
    assert left_out == {"en": 0, "hi": 0}
    stored = evaluate(images, captions, config.similarity, draws=0)
    model = load_model(folder)
    in_memory = evaluate(*embedding.embed_split(model, corpus, "test", ["en", "hi"]), config.similarity, draws=0)
    assert stored.as_dict() == in_memory.as_dict()


def changed(**augment: object) -> ExperimentConfig:
    return dataclasses.replace(micro_config(), augment=AugmentConfig(**augment))  # type: ignore[arg-type]


@pytest.mark.parametrize("augment", [{"image_shift": 3, "image_flip": True}, {"image_crop_scale": 0.3, "image_flip": True}])
def test_all_video_frames_of_a_clip_change_alike(tmp_path: Path, augment: dict[str, object]) -> None:
    data = make_corpus(tmp_path / "data", {"train": 10}, clip_frames=4, still=True)
    config = changed(**augment)
    batches = EpochBatches(load_training_set(config, data, "train"), config, 1, 0, 1)
    moved = 0
    for batch in (batches[step] for step in range(len(batches))):
        assert sorted(set(batch.image_counts)) == [1, 4] and len(batch.images) == sum(batch.image_counts)
        for images in batch.images.split(batch.image_counts.tolist()):
            assert all(torch.equal(image, images[0]) for image in images)
        moved += len(batch.images)
    plain = EpochBatches(load_training_set(changed(), data, "train"), changed(), 1, 0, 1)
    assert moved == 25 and not torch.equal(plain[0].images, batches[0].images)


def test_processes_share_a_batch_with_clips(corpus: Path) -> None:
    config = micro_config()
    data = load_training_set(config, corpus, "train")
    whole = EpochBatches(data, config, 1, 0, 1)[0]
    parts = [EpochBatches(data, config, 1, rank, 2)[0] for rank in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert np.array_equal(np.concatenate([part.image_counts for part in parts]), whole.image_counts)


def test_clips_of_many_video_frames_are_embedded_a_few_at_a_time(
    corpus: Path, models: dict[str, GroundingModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = PackedImages(corpus / "images/test/packed.scp")
    whole = dict(embedding.embed_images(models["max"], images, [images.ids]))
    seen: list[int] = []
    encode = GroundingModel.encode_images
    monkeypatch.setattr(embedding, "BLOCK", 4)
    monkeypatch.setattr(GroundingModel, "encode_images", lambda self, *given: seen.append(len(given[0])) or encode(self, *given))
    for picture, grid in embedding.embed_images(models["max"], images, [images.ids]):
        torch.testing.assert_close(grid, whole[picture], rtol=0, atol=1e-5)
    assert max(seen) == 4 and sum(seen) == 21 + 3 * 20


def test_groups_of_pictures() -> None:
    groups = list(groups_of_pictures([1, 3, 1, 9, 2, 2], 4))
    assert groups == [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 6)]
    assert list(groups_of_pictures([], 4)) == []


def test_gradients_in_parts_are_those_of_the_whole_batch(corpus: Path) -> None:
    """As in test_gradient_cache.py, with clips: parts hold whole clips."""
    found = []
    torch.manual_seed(0)
    model = build_model(micro_config()).double().eval()
    for rows in (0, 2, 3):
        config = micro_config(batch_size=13, gradient_cache=rows)
        batch = EpochBatches(load_training_set(config, corpus, "train"), config, 1, 0, 1)[0]
        model.config = config
        model.zero_grad()
        losses = backward(model, make_scaler(config, ALONE), batch, ALONE, 1, 0)
        found.append((losses, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}))
    for losses, gradients in found[1:]:
        assert losses == pytest.approx(found[0][0], abs=1e-12)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, found[0][1][name], rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_model_learns_from_clips(corpus: Path, tmp_path: Path, how: str) -> None:
    config = dataclasses.replace(pooled_by(how, epochs=24, validate_every=24), augment=AugmentConfig())
    loop.train(config, corpus, tmp_path / "exp", ALONE, train_split="train", dev_split="train")
    last = json.loads((tmp_path / "exp/metrics.jsonl").read_text().splitlines()[-1])
    assert last["dev"]["r1"] > 0.4  # chance: 0.08 and a little more


def test_what_is_seen_of_a_clip_is_its_middle_video_frame(tmp_path: Path) -> None:
    frames = ("c@00", "c@01", "c@02")
    images = ImageSet(
        tmp_path, {name: f"{name}.png" for name in ("a", *frames)}, {"a": (40, 30), **dict.fromkeys(frames, (64, 48))},
        ["a", *frames], {"c": frames},
    )  # fmt: skip
    settings = micro_config()
    assert images.shown("c") == "c@01" and images.shown("a") == "a"
    assert visible_parts(images, settings) == {
        "a": visible_part(40, 30, settings.image), "c": visible_part(64, 48, settings.image)
    }  # fmt: skip


def test_boxes_of_a_clip_are_those_of_its_middle_video_frame(tmp_path: Path) -> None:
    frames, sizes = ("c@00", "c@01", "c@02"), dict.fromkeys(("c@00", "c@01", "c@02", "s"), (16, 16))
    boxes = {name: [SceneObject("cat", "red", (2, 4, 8, 8))] for name in ("c@01", "s")}
    boxes["c@00"] = [SceneObject("dog", "red", (0, 0, 4, 4))]
    write_image_set(tmp_path, paths={name: f"{name}.png" for name in sizes}, sizes=sizes, clips={"c": frames}, objects=boxes)
    images = ImageSet.load(tmp_path)
    found = boxes_in_view(images, micro_config())
    assert found["c"] == found["s"] == [("cat", pytest.approx((2 / 16, 4 / 16, 8 / 16, 8 / 16)))] and len(found) == 2
    assert images.objects_shown() == {"c": boxes["c@01"], "s": boxes["s"]}


def test_a_video_is_embedded_in_a_few_lines_of_python(tmp_path: Path) -> None:
    model = vgspeech.load(write_model(tmp_path / "model", micro_config()))
    path = write_video(tmp_path / "a.mp4", 9)
    pixels = np.stack(list(read_moments(str(path), spread_moments(read_header(str(path)), 3))))
    clip, same = model.embed_image(path), model.embed_image(pixels)
    assert np.array_equal(clip.cells, same.cells) and clip.view == same.view
    assert not np.allclose(clip.cells, model.embed_image(pixels[0]).cells)
    np.testing.assert_array_equal(model.embed_image(pixels[:1]).cells, model.embed_image(pixels[0]).cells)
    assert not np.allclose(clip.cells, model.embed_image(path, frames=1).cells)
    with pytest.raises(UsageError, match="give 1 to 64"):
        model.embed_image(path, frames=65)
