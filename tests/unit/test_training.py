"""Training: batches, exact resume, drift, several processes, schedule, and that a micro model learns."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from micro_corpus import make_corpus, micro_config
from vgspeech.config import AugmentConfig, ExperimentConfig, LossConfig, load_config, save_config
from vgspeech.errors import DataError, DriftError, Interrupted
from vgspeech.models import build_model
from vgspeech.training import loop
from vgspeech.training.data import EpochBatches, counted_rows, plan_epoch, process_rows
from vgspeech.training.distributed import Processes
from vgspeech.training.objective import batch_loss
from vgspeech.training.schedule import make_optimizer, schedule, set_schedule
from vgspeech.training.training_set import load_training_set

ALONE = Processes(0, 1, torch.device("cpu"))
SPLITS = {"train_split": "train", "dev_split": "dev"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": 13, "dev": 6}, captions=2, skip_hindi=3)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def metrics(out: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_an_epoch_visits_every_image_once_with_one_caption_of_each_language(corpus: Path) -> None:
    data = load_training_set(micro_config(), corpus, "train")
    plans = plan_epoch(data, 5, seed=1, epoch=1)
    assert sorted(np.concatenate([p.images for p in plans])) == list(range(13))
    assert [len(p.images) for p in plans] == [5, 4, 4]
    assert sum(len(p.rows["hi"]) for p in plans) == 10  # three images have none
    for plan in plans:
        for language, rows in plan.rows.items():
            spoken = [data.captions[language].ids[i] for i in plan.captions[language]]
            assert [u[:-2] for u in spoken] == [data.image_ids[i] for i in plan.images[rows]]
    again, other = plan_epoch(data, 5, seed=1, epoch=1), plan_epoch(data, 5, seed=1, epoch=2)
    assert all(np.array_equal(a.images, b.images) for a, b in zip(plans, again, strict=True))
    assert not np.array_equal(plans[0].images, other[0].images)
    chosen = {tuple(np.sort(np.concatenate([p.captions["en"] for p in plan_epoch(data, 5, 1, e)]))) for e in range(5)}
    assert len(chosen) > 1


def test_processes_share_a_batch_that_does_not_depend_on_their_number(corpus: Path) -> None:
    config = micro_config()
    data = load_training_set(config, corpus, "train")
    whole = EpochBatches(data, config, 2, 0, 1)[1]
    parts = [EpochBatches(data, config, 2, rank, 3)[1] for rank in range(3)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    for language, (features, lengths) in whole.speech.items():
        assert counted_rows(len(lengths), 3) == [len(part.speech[language][1]) for part in parts]
        assert torch.equal(torch.cat([part.speech[language][1] for part in parts]), lengths)
        rows = [row for part in parts for row in part.speech[language][0]]
        for row, expected, length in zip(rows, features, lengths, strict=True):
            torch.testing.assert_close(row[:length], expected[:length], rtol=0, atol=1e-6)


def test_caches_and_workers_change_nothing(corpus: Path) -> None:
    config = micro_config()
    stored = load_training_set(config, corpus, "train")
    small = dataclasses.replace(config.training, image_cache_gb=1.5e-6, feature_cache_gb=0.0)
    read = load_training_set(dataclasses.replace(config, training=small), corpus, "train")
    assert stored.fingerprint == read.fingerprint
    for a, b in zip(
        EpochBatches(stored, config, 1, 0, 1).loader(0, 0, False),
        EpochBatches(read, config, 1, 0, 1).loader(0, 1, False),
        strict=True,
    ):
        assert torch.equal(a.images, b.images)
        assert all(torch.equal(a.speech[lang][0], b.speech[lang][0]) for lang in a.speech)


def test_shuffled_captions_are_a_fixed_permutation_for_each_language(corpus: Path) -> None:
    plain = micro_config(shuffle_captions=True)
    pairs = []
    for _ in range(2):
        data = load_training_set(plain, corpus, "train")
        pairs.append({lang: (list(c.ids), c.first.tolist()) for lang, c in data.captions.items()})
    assert pairs[0] == pairs[1]
    english, hindi = (pairs[0][language][0] for language in ("en", "hi"))
    assert sorted(english) != english and [u for u in english if u in hindi] != hindi


@pytest.mark.parametrize("loss", ["infonce", "triplet"])
def test_training_learns_and_is_written_down(corpus: Path, tmp_path: Path, loss: str) -> None:
    settings = micro_config(epochs=24, validate_every=10)
    triplet = LossConfig(type=loss, mining=("sampled",), margin=0.3)
    config = dataclasses.replace(settings, loss=triplet, augment=AugmentConfig())
    seen = {"train_split": "train", "dev_split": "train"}
    closing = loop.train(config, corpus, tmp_path, ALONE, **seen)
    lines = metrics(tmp_path)
    assert [line["epoch"] for line in lines] == list(range(1, 25))
    assert [line["epoch"] for line in lines if "dev" in line] == [10, 20, 24]
    assert lines[-1]["loss"] < lines[0]["loss"] and lines[-1]["dev"]["r1"] > 0.4  # chance: 0.08 and a little more
    assert set(lines[0]["losses"]) == {"image-en", "image-hi", "en-hi"}
    assert set(lines[9]["dev"]) >= {"r1", "r5", "r10", "directions"}
    resolved = load_config(ExperimentConfig, tmp_path / "config.yaml")
    assert resolved.front_end_settings is not None and resolved.front_end_settings.num_mel_bins == 8
    assert (
        (tmp_path / "best.pt").exists()
        and "24 epochs" in closing
        and len(list((tmp_path / "checkpoints").iterdir())) == 2
    )
    again = loop.train(config, corpus, tmp_path, ALONE, **seen)
    assert "finished before" in again and metrics(tmp_path) == lines
    (tmp_path / "best.pt").unlink()
    with pytest.raises(DataError, match="result is gone"):
        loop.train(config, corpus, tmp_path, ALONE, **seen)


def test_stopped_anywhere_and_resumed_gives_the_same_weights(corpus: Path, tmp_path: Path, monkeypatch: object) -> None:
    config = micro_config(checkpoint_minutes=0.0)  # a checkpoint after every step
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    loop.train(config, corpus, straight, ALONE, **SPLITS)

    real_step, calls = loop.backward, 0

    def step_and_die(*arguments: object) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls in (2, 6):
            raise MemoryError("killed")
        if calls == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return real_step(*arguments)

    monkeypatch.setattr(loop, "backward", step_and_die)
    for expected in (MemoryError, MemoryError, Interrupted):
        with pytest.raises(expected):
            loop.train(config, corpus, stopped, ALONE, **SPLITS)
    loop.train(config, corpus, stopped, ALONE, **SPLITS)
    assert equal(weights(straight / "best.pt"), weights(stopped / "best.pt"))
    assert metrics(straight) == metrics(stopped)
    final = [max((out / "checkpoints").iterdir()) for out in (straight, stopped)]
    states = [torch.load(path, weights_only=True) for path in final]
    assert equal(states[0]["model"], states[1]["model"])
    for a, b in zip(*(s["optimizer"]["state"].values() for s in states), strict=True):
        assert equal(a, b)


def test_a_killed_process_resumes_from_its_last_checkpoint(corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "micro.yaml"
    save_config(micro_config(checkpoint_minutes=0.0), config)
    command = [sys.executable, "-m", "vgspeech.bin.train", "--config", str(config), "--data", str(corpus)]
    command += ["--num-threads", "1", "--out"]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run([*command, str(straight)], check=True, capture_output=True)
    with subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL) as process:
        while not list((killed / "checkpoints").glob("epoch-*-step-*1.pt")) and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    resumed = subprocess.run([*command, str(killed)], check=True, capture_output=True, text=True)
    assert "going on at epoch" in resumed.stdout
    assert equal(weights(straight / "best.pt"), weights(killed / "best.pt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_stops_a_training_with_workers(corpus: Path, tmp_path: Path, number: int) -> None:
    """As Ctrl-C and schedulers send it: workers too get it, and must not die of it."""
    config = tmp_path / "micro.yaml"
    save_config(micro_config(epochs=4000, loader_workers=2, validate_every=4000), config)
    command = [sys.executable, "-m", "vgspeech.bin.train", "--config", str(config), "--data", str(corpus)]
    command += ["--num-threads", "1", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        log = tmp_path / "out/train.log"
        while process.poll() is None and not (log.exists() and "epoch 1:" in log.read_text()):
            time.sleep(0.01)
        os.killpg(process.pid, number)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 85 and "a checkpoint was written" in printed and "Traceback" not in printed
    assert (tmp_path / "out/checkpoints/interrupted").exists()
    assert list((tmp_path / "out/checkpoints").glob("epoch-*.pt"))


def test_changes_since_the_first_start_are_refused(corpus: Path, tmp_path: Path) -> None:
    config = micro_config(epochs=1)
    loop.train(config, corpus, tmp_path, ALONE, **SPLITS)
    with pytest.raises(DriftError, match=r"training\.epochs: 1 -> 2"):
        loop.train(micro_config(epochs=2), corpus, tmp_path, ALONE, **SPLITS)
    torch.set_num_threads(2)
    with pytest.raises(DriftError, match="threads: 1 -> 2"):
        loop.train(config, corpus, tmp_path, ALONE, **SPLITS)
    torch.set_num_threads(1)
    other = make_corpus(tmp_path / "other", {"train": 12, "dev": 6})
    with pytest.raises(DriftError, match="train_data"):
        loop.train(config, other, tmp_path, ALONE, **SPLITS)


def test_precision_auto_is_decided_once(corpus: Path, tmp_path: Path) -> None:
    loop.train(micro_config(epochs=1, precision="auto"), corpus, tmp_path, ALONE, **SPLITS)
    chosen = load_config(ExperimentConfig, tmp_path / "config.yaml").training.precision
    assert chosen in ("float32", "bfloat16")
    loop.train(micro_config(epochs=1, precision="auto"), corpus, tmp_path, ALONE, **SPLITS)
    assert load_config(ExperimentConfig, tmp_path / "config.yaml").training.precision == chosen


@pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="compiles for a minute: tests/run.sh --full")
def test_a_compiled_training_is_the_same_but_for_rounding(corpus: Path, tmp_path: Path) -> None:
    for name, wanted in (("plain", False), ("compiled", True)):
        loop.train(micro_config(epochs=1, compile=wanted), corpus, tmp_path / name, ALONE, **SPLITS)
    plain, compiled = (metrics(tmp_path / name)[0]["loss"] for name in ("plain", "compiled"))
    assert compiled == pytest.approx(plain, abs=1e-3)
    assert weights(tmp_path / "plain/best.pt").keys() == weights(tmp_path / "compiled/best.pt").keys()


def test_onecycle_is_that_of_torch() -> None:
    settings = micro_config().training
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=50, pct_start=0.2, div_factor=20, final_div_factor=100
    )
    for step in range(50):
        group = optimizer.param_groups[0]
        assert schedule(settings, step, 50, 10) == pytest.approx((group["lr"], group["betas"][0]))
        optimizer.step()
        if step < 49:
            reference.step()


def test_optimizer_decays_only_weight_matrices() -> None:
    model = build_model(micro_config())
    optimizer = make_optimizer(model, micro_config().training)
    set_schedule(optimizer, 0.5, 0.9)
    for group in optimizer.param_groups:
        assert group["lr"] == 0.5 and group["betas"][0] == 0.9
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    assert sum(p.numel() for g in optimizer.param_groups for p in g["params"]) == sum(
        p.numel() for p in model.parameters()
    )


def test_without_the_language_term_languages_meet_in_the_image_only(corpus: Path) -> None:
    config = dataclasses.replace(micro_config(), loss=LossConfig(type="infonce", language_language_weight=0.0))
    batch = EpochBatches(load_training_set(config, corpus, "train"), config, 1, 0, 1)[0]
    _, terms = batch_loss(build_model(config), batch, ALONE, torch.Generator())
    assert set(terms) == {"image-en", "image-hi"}


def test_process_rows_cover_everything_once() -> None:
    assert [process_rows(10, rank, 3) for rank in range(3)] == [(0, 3), (3, 6), (6, 10)]
    assert [process_rows(2, rank, 3) for rank in range(3)] == [(0, 2)] * 3  # each encodes both, one counts
    assert counted_rows(10, 3) == [3, 3, 4] and counted_rows(2, 3) == [2, 0, 0]
