"""Embedding: the same bytes for any number of jobs, nothing from padding, front ends checked, an untrained baseline."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from embedded_micro import embed_all, run, write_model
from micro_corpus import FRONT_END, make_corpus, micro_config
from vgspeech import embedding
from vgspeech.archive import ArchiveReader
from vgspeech.config import SimilarityConfig, save_config
from vgspeech.datadir import present_languages
from vgspeech.errors import DataError, DriftError, UsageError
from vgspeech.images import PackedImages
from vgspeech.models import build_model, load_model
from vgspeech.retrieval import evaluate
from vgspeech.stats.rank_files import read_ranks


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"test": 41}, captions=2, skip_hindi=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("exp") / "micro", micro_config())


def same_bytes(a: dict[str, dict[str, np.ndarray]], b: dict[str, dict[str, np.ndarray]]) -> bool:
    return all(
        list(a[what]) == list(b[what]) and all(np.array_equal(a[what][key], b[what][key]) for key in a[what])
        for what in a
    )


def test_blocks_of_all_jobs_are_those_of_one() -> None:
    ids = [f"u{n:03}" for n in range(100)]
    whole = embedding.blocks_of_job(ids[::-1], 1, 1)
    assert [len(block) for block in whole] == [16] * 6 + [4] and [u for block in whole for u in block] == ids
    for jobs in (2, 3, 9):
        parts = [embedding.blocks_of_job(ids, job, jobs) for job in range(1, jobs + 1)]
        assert [block for part in parts for block in part] == whole


def test_any_number_of_jobs_gives_the_same_values(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embed_all(monkeypatch, model, corpus, tmp_path / "one", 1)
    five = embed_all(monkeypatch, model, corpus, tmp_path / "five", 5)
    assert same_bytes(one, five)
    assert (len(one["en"]), len(one["hi"]), len(one["images"])) == (82, 72, 41)
    for name in ("grid_shape", "embed.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "five" / name).read_bytes()
    about = json.loads((tmp_path / "one/embed.json").read_text())
    assert about["frame_shift_s"] == {"en": pytest.approx(0.08), "hi": pytest.approx(0.08)}
    assert about["similarity"]["type"] == "SISA"
    height, width = map(int, (tmp_path / "one/grid_shape").read_text().split()[1:3])
    assert next(iter(one["images"].values())).shape == (height * width, 16)


def test_several_splits_in_one_go_are_those_of_one_at_a_time(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Untrained too: each split has an untrained model of its own, calibrated on it."""
    make_corpus(tmp_path / "data", {"test": 20, "dev": 3})
    common = ["--model", model, "--data", tmp_path / "data", "--num-jobs", 2]
    for kind in ([], ["--untrained"]):
        places = {split: tmp_path / f"{split}{len(kind)}" for split in ("test", "dev")}
        alone = {split: tmp_path / f"alone_{split}{len(kind)}" for split in places}
        calls = [places, *({split: folder} for split, folder in alone.items())]
        for call in calls:
            splits = [word for split, folder in call.items() for word in ("--split", split, "--out", folder)]
            for step in (["--job", 1], ["--job", 2], ["--merge"]):
                run(monkeypatch, *common, *kind, *splits, *step)
        for split in places:
            names = sorted(path.name for path in places[split].glob("*.ark"))
            assert names == sorted(f"{what}.{job}.ark" for what in ("en", "hi", "images") for job in (1, 2))
            for name in (*names, "grid_shape", "embed.json"):
                assert (places[split] / name).read_bytes() == (alone[split] / name).read_bytes()
    with pytest.raises(UsageError, match="each split needs a folder"):
        run(monkeypatch, *common, "--split", "test", "--split", "dev", "--out", tmp_path / "x")


def test_batches_and_padding_have_no_influence(corpus: Path, model: Path) -> None:
    loaded = load_model(model)
    features = ArchiveReader(corpus / "speech/test_en/feats/fbank.scp")
    ids = list(features)[:20]
    together = dict(embedding.embed_speech(loaded, "en", features, [ids]))
    for utterance, alone in embedding.embed_speech(loaded, "en", features, [[u] for u in ids]):
        assert alone.shape == (-(-len(features[utterance]) // 8), 16)
        torch.testing.assert_close(alone, together[utterance], rtol=0, atol=1e-5)
    images = PackedImages(corpus / "images/test/packed.scp")
    grids = dict(embedding.embed_images(loaded, images, [images.ids]))
    for image, alone in embedding.embed_images(loaded, images, [[i] for i in images.ids]):
        torch.testing.assert_close(alone, grids[image], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["SISA", "MISA", "SIMA"])
def test_scores_from_disk_equal_those_in_memory(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    config = dataclasses.replace(micro_config(), similarity=SimilarityConfig(type=kind, normalise=True))
    folder = write_model(tmp_path / "model", config)
    embed_all(monkeypatch, folder, corpus, tmp_path / "embed", 2)
    images, captions, left_out = embedding.load_embedded(tmp_path / "embed", corpus, "test", kind == "SISA")
    assert left_out == {"en": 0, "hi": 0} and len(images.image_ids) == 41
    stored = evaluate(images, captions, config.similarity, draws=0)
    in_memory = evaluate(
        *embedding.embed_split(load_model(folder), corpus, "test", ["en", "hi"]), config.similarity, draws=0
    )
    assert stored == in_memory


def test_untrained_baseline_is_random_but_on_scale(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = embedding.untrained_model(micro_config(), corpus, "test")
    torch.manual_seed(micro_config().seed)
    initial = build_model(micro_config())
    for (name, a), (_, b) in zip(fresh.named_parameters(), initial.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    frames = torch.cat([f for _, f in embedding.embed_speech(fresh, "en", ArchiveReader(
        corpus / "speech/test_en/feats/fbank.scp"), [["test-000-0", "test-001-1"]])])  # fmt: skip
    assert not fresh.training and 0.05 < frames.std() < 20
    one = embed_all(monkeypatch, model, corpus, tmp_path / "one", 1, "--untrained")
    three = embed_all(monkeypatch, model, corpus, tmp_path / "three", 3, "--untrained")
    assert same_bytes(one, three)


def test_other_features_than_the_model_was_trained_on_are_refused(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = micro_config()
    other = tmp_path / "fbank.yaml"
    save_config(dataclasses.replace(FRONT_END, frame_shift_ms=20.0, dither=1.0), other)
    with pytest.raises(DriftError, match=r"frame_shift_ms: model 10.0, features 20.0; dither: model 0.0, features 1.0"):
        embedding.check_front_end(other, config)
    with pytest.raises(DataError, match="there are none"):
        embedding.check_front_end(tmp_path / "davenet.yaml", config)
    with pytest.raises(DataError, match="no captions of 'dev'"):
        present_languages(config, corpus, "dev")


def test_a_job_that_is_missing_is_noticed(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ["--model", model, "--data", corpus, "--split", "test", "--out", tmp_path, "--num-jobs", 2]
    run(monkeypatch, *common, "--job", 1)
    with pytest.raises(DataError):
        run(monkeypatch, *common, "--merge")
    assert not (tmp_path / "embed.json").exists()


def test_scores_on_the_command_line(corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed_all(monkeypatch, model, corpus, tmp_path / "embed", 1)
    outputs = []
    for name in ("a", "b"):
        command = [sys.executable, "-m", "vgspeech.bin.score_retrieval", "--draws", "50", model, tmp_path / "embed"]
        done = subprocess.run(
            [*map(str, command), str(corpus), "test", str(tmp_path / name)], capture_output=True, text=True, check=True
        )
        outputs.append((tmp_path / name).read_bytes())
    results = json.loads(outputs[0])
    assert outputs[0] == outputs[1]
    assert list(results["directions"]) == ["en>image", "image>en", "hi>image", "image>hi", "en>hi", "hi>en"]
    english = results["directions"]["en>image"]
    assert (english["n_queries"], english["n_targets"]) == (82, 41) and "pessimistic" in results["ties"]
    assert results["directions"]["image>hi"]["n_queries"] == 36  # five images have no Hindi caption
    kept = read_ranks(tmp_path / "ranks.tsv")
    for direction, scores in results["directions"].items():
        ranks = [query.rank for query in kept[direction].values()]
        assert (len(ranks), np.median(ranks)) == (scores["n_queries"], scores["median"])
    assert "chance R@10" in done.stdout and "41 images, 82 captions in en, 72 captions in hi" in done.stdout
