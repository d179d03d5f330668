"""Several processes: the same training as one process, and exact resume from any step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from micro_corpus import make_corpus
from training_processes import ALONE, comparable, refuse_everywhere, save_updates, start, stop_everywhere, updates
from vgspeech.training.data import plan_epoch
from vgspeech.training.training_set import load_training_set

FULL = os.environ.get("VGS_FULL") == "1"
EVERY_STEP = tuple(range(1, 7))  # of two epochs of three batches
slow = pytest.mark.skipif(not FULL, reason="tests/run.sh --full")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": 13, "dev": 9}, captions=2, skip_hindi=6)


def test_two_processes_compute_what_one_does(corpus: Path, tmp_path: Path) -> None:
    """20 updates with AdamW and clipping; some batches have one Hindi caption for two processes, some none."""
    torch.set_num_threads(1)
    plans = plan_epoch(load_training_set(comparable("SISA"), corpus, "train"), 3, comparable("SISA").seed, 1)
    start(save_updates, 2, str(corpus), str(tmp_path))
    hindi = [len(plan.rows["hi"]) for epoch in range(1, 5) for plan in _plans(corpus, epoch)]
    assert {0, 1} <= set(hindi) and plans
    for similarity in ("SISA", "MISA"):
        for name, dtype, count, tolerance in (("float64", torch.float64, 20, 1e-9), ("float32", torch.float32, 1, 1e-5)):
            found = torch.load(tmp_path / f"{similarity}.{name}.pt", weights_only=True)
            alone = updates(comparable(similarity), corpus, ALONE, count, dtype)
            torch.testing.assert_close(found["losses"], alone["losses"], rtol=0, atol=tolerance, msg=f"{similarity} {name}")
            if name == "float64":
                _same_weights(found, alone)


def test_two_processes_compute_what_one_does_with_clips(tmp_path: Path) -> None:
    """Each process has as many pictures but not as many images, over which batch statistics are taken."""
    torch.set_num_threads(1)
    corpus = make_corpus(tmp_path / "clips", {"train": 9}, clip_frames=3)
    start(save_updates, 2, str(corpus), str(tmp_path))
    for similarity in ("SISA", "MISA"):
        found = torch.load(tmp_path / f"{similarity}.float64.pt", weights_only=True)
        alone = updates(comparable(similarity), corpus, ALONE, 20, torch.float64)
        torch.testing.assert_close(found["losses"], alone["losses"], rtol=0, atol=1e-9, msg=similarity)
        _same_weights(found, alone)


def _plans(corpus: Path, epoch: int) -> list[Any]:
    config = comparable("SISA")
    return plan_epoch(load_training_set(config, corpus, "train"), 3, config.seed, epoch)


def _same_weights(found: dict[str, torch.Tensor], alone: dict[str, torch.Tensor]) -> None:
    for key, value in alone.items():
        if not key.endswith("running_var"):  # unbiased over the copies of few captions
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-7, msg=key)


@pytest.mark.parametrize(
    ("count", "steps"),
    [(2, (2, 3)), pytest.param(2, EVERY_STEP, marks=slow), pytest.param(3, EVERY_STEP, marks=slow)],
)
def test_stopped_and_continued_is_bit_for_bit_the_same(
    corpus: Path, tmp_path: Path, count: int, steps: tuple[int, ...]
) -> None:
    start(stop_everywhere, count, str(corpus), str(tmp_path), steps)
    _same_results(tmp_path)


@pytest.mark.parametrize(
    "training",
    [
        {"accumulate": 2, "weight_average": 0.9, "freeze_image_epochs": 1, "schedule": "cosine", "warmup_epochs": 0.5},
        pytest.param({"precision": "bfloat16", "length_pool": 2, "gradient_cache": 2, "optimizer": "sgd"}, marks=slow),
        pytest.param({"precision": "float16", "loader_workers": 1, "keep_best": 2, "patience": 5}, marks=slow),
    ],
    ids=lambda training: "-".join(training),
)
def test_every_option_resumes_bit_for_bit(corpus: Path, tmp_path: Path, training: dict[str, object]) -> None:
    torch.set_num_threads(1)
    steps = (2, 4) if training.get("accumulate", 1) == 2 else EVERY_STEP
    stop_everywhere(ALONE, str(corpus), str(tmp_path), steps, **training)
    _same_results(tmp_path)


def _same_results(folder: Path) -> None:
    straight, stopped = folder / "straight", folder / "stopped"
    assert not (stopped / "checkpoints/interrupted").exists()
    lines = [
        [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in path.open()]
        for path in (straight / "metrics.jsonl", stopped / "metrics.jsonl")
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 2
    for name in ("best.pt", f"checkpoints/{max(p.name for p in (straight / 'checkpoints').glob('epoch-*'))}"):
        _equal(*(torch.load(path / name, weights_only=True) for path in (straight, stopped)), name)


def _equal(a: Any, b: Any, where: str) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            if key != "seconds":
                _equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        for number, (left, right) in enumerate(zip(a, b, strict=True)):
            _equal(left, right, f"{where}[{number}]")
    else:
        assert a == b, where


def test_when_the_first_process_refuses_to_go_on_none_waits_for_it(corpus: Path, tmp_path: Path) -> None:
    start(refuse_everywhere, 2, str(corpus), str(tmp_path))
