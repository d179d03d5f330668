"""Options of training, each looked at where it acts: a training in which it did nothing would fail here."""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from micro_corpus import make_corpus, micro_config
from training_processes import ALONE
from vgspeech.bin.train import experiment
from vgspeech.config import ExperimentConfig, save_config
from vgspeech.models import GroundingModel, build_model, image
from vgspeech.training import loop
from vgspeech.training.data import Batch, EpochBatches
from vgspeech.training.schedule import make_optimizer, schedule, set_schedule
from vgspeech.training.step import backward, make_scaler, update
from vgspeech.training.training_set import load_training_set

BATCHES = 3
"""Of an epoch."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": 13, "dev": 6})


@pytest.fixture(scope="module")
def batches(corpus: Path) -> EpochBatches:
    config = micro_config()
    return EpochBatches(load_training_set(config, corpus, "train"), config, 1, 0, 1)


def train(config: ExperimentConfig, corpus: Path, out: Path) -> list[dict[str, Any]]:
    """A whole training; the lines of metrics.jsonl."""
    loop.train(config, corpus, out, ALONE, train_split="train", dev_split="dev")
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def checkpoint(out: Path, epoch: int) -> dict[str, Any]:
    """As it was when this epoch began."""
    found: dict[str, Any] = torch.load(out / f"checkpoints/epoch-{epoch:05d}-step-0000000.pt", weights_only=True)
    return found


def fresh(config: ExperimentConfig) -> GroundingModel:
    torch.manual_seed(config.seed)
    return build_model(config).train()


def same(a: dict[str, Tensor], b: dict[str, Tensor], prefix: str = "") -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items() if name.startswith(prefix))


@contextmanager
def watched(model: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Collects the outputs of all convolutions, with their names."""
    seen: list[tuple[str, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: seen.append((name, output.detach())))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def gradients(model: GroundingModel, batch: Batch, group: int = 1) -> dict[str, Tensor]:
    backward(model, make_scaler(model.config, ALONE), batch, ALONE, 1, 0, group)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_channels_last_memory_gives_the_same_gradients(batches: EpochBatches, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fresh(micro_config()).double()
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    with watched(model) as seen:
        found = gradients(model, batches[0])
    assert {name.split(".")[0] for name, _ in seen} == {"image", "audio"}
    for name, output in seen:
        assert output.is_contiguous(memory_format=torch.channels_last), name
    assert model.image.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(image, "_channels_last", lambda x: x)
    with watched(plain) as seen:
        expected = gradients(plain, batches[0])
    assert not all(output.is_contiguous(memory_format=torch.channels_last) for _, output in seen)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


def test_clipping_bounds_the_step_and_tells_the_norm(batches: EpochBatches) -> None:
    """By SGD at rate 1, whose first step is the gradient."""
    moved = {}
    for limit in (0.01, 1e6, 0.0):
        model = fresh(micro_config(optimizer="sgd", clip_norm=limit, weight_decay=0.0))
        optimizer, scaler = make_optimizer(model, model.config.training), make_scaler(model.config, ALONE)
        set_schedule(optimizer, 1.0, 0.9)
        size = torch.stack([g.square().sum() for g in gradients(model, batches[0]).values()]).sum().sqrt()
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        norm = update(model, optimizer, scaler, ALONE)
        if limit:
            torch.testing.assert_close(norm, size)
        else:
            assert norm is None
        changes = [(p.detach() - before[name]).square().sum() for name, p in model.named_parameters()]
        moved[limit] = float(torch.stack(changes).sum().sqrt()), float(size)
    assert moved[0.01][1] > 0.1 and moved[0.01][0] == pytest.approx(0.01, rel=1e-3)
    assert moved[1e6][0] == pytest.approx(moved[1e6][1], rel=1e-3) and moved[0.0] == pytest.approx(moved[1e6], rel=1e-6)


def test_the_norm_of_gradients_is_written_down(corpus: Path, tmp_path: Path) -> None:
    lines = train(micro_config(epochs=2, clip_norm=1e-3), corpus, tmp_path / "clipped")
    assert all(line["gradient_norm"] > 1e-3 for line in lines)  # what it was before it was clipped
    assert (tmp_path / "clipped/train.log").read_text().count("; gradient norm ") == 2
    assert "gradient_norm" not in train(micro_config(epochs=1, clip_norm=0.0), corpus, tmp_path / "free")[0]


def test_accumulated_gradients_are_the_mean_over_batches(batches: EpochBatches) -> None:
    model = fresh(micro_config()).double().eval()  # running statistics stay, so that batches do not touch each other
    apart = []
    for number in range(2):
        model.zero_grad()
        apart.append(gradients(model, batches[number]))
    model.zero_grad()
    gradients(model, batches[0], group=2)
    together = gradients(model, batches[1], group=2)
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, (apart[0][name] + apart[1][name]) / 2, msg=name)


def test_a_group_of_batches_makes_one_update(corpus: Path, tmp_path: Path) -> None:
    for accumulate, updates in ((1, BATCHES), (2, 2), (BATCHES, 1)):
        out = tmp_path / str(accumulate)
        train(micro_config(epochs=1, accumulate=accumulate), corpus, out)
        (steps,) = {float(state["step"]) for state in checkpoint(out, 2)["optimizer"]["state"].values()}
        assert steps == updates


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "onecycle"},
        {"schedule": "cosine", "warmup_epochs": 0.7},
        {"schedule": "step", "step_epochs": 1, "step_factor": 0.5},
        {"schedule": "constant", "warmup_epochs": 2.0},
    ],
    ids=lambda settings: str(settings["schedule"]),
)
def test_the_rate_of_an_epoch_is_its_schedules(corpus: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    config = micro_config(epochs=3, **settings)
    rates = [line["learning_rate"] for line in train(config, corpus, tmp_path)]
    last_updates = [epoch * BATCHES - 1 for epoch in (1, 2, 3)]
    assert rates == [schedule(config.training, update, 3 * BATCHES, BATCHES)[0] for update in last_updates]
    assert len(set(rates)) > 1
    stored = checkpoint(tmp_path, 4)["optimizer"]["param_groups"]
    assert all(group["lr"] == rates[-1] for group in stored)


def test_the_average_is_kept_and_leaves_training_as_it_is(corpus: Path, tmp_path: Path) -> None:
    for name, decay in (("plain", 0.0), ("averaged", 0.9)):
        train(micro_config(epochs=2, validate_every=2, weight_average=decay), corpus, tmp_path / name)
    plain, averaged = checkpoint(tmp_path / "plain", 3), checkpoint(tmp_path / "averaged", 3)
    assert plain["average"] is None and same(plain["model"], averaged["model"])
    assert not same(averaged["average"], averaged["model"])
    assert same(torch.load(tmp_path / "averaged/best.pt", weights_only=True), averaged["average"])
    assert same(torch.load(tmp_path / "plain/best.pt", weights_only=True), plain["model"])


def test_the_image_encoder_begins_to_learn_in_its_epoch(corpus: Path, tmp_path: Path) -> None:
    config = micro_config(epochs=2, freeze_image_epochs=1)
    train(config, corpus, tmp_path)
    start, first, second = fresh(config).state_dict(), checkpoint(tmp_path, 2)["model"], checkpoint(tmp_path, 3)["model"]
    assert same(start, first, "image.") and not same(start, first, "audio.")
    for part in ("image.backbone.", "image.embedder."):
        assert not same(first, second, part)


def test_a_training_starts_from_other_weights(corpus: Path, tmp_path: Path) -> None:
    train(micro_config(epochs=1), corpus, tmp_path / "first")
    save_config(micro_config(epochs=1, learning_rate=1e-12, weight_decay=0.0), tmp_path / "next.yaml")
    arguments = {"config": tmp_path / "next.yaml", "set": ["seed=8"], "seed": 9, "init_from": str(tmp_path / "first")}
    config = experiment(Namespace(**arguments))
    assert config.seed == 9 and config.training.init_from == str(tmp_path / "first")
    train(config, corpus, tmp_path / "next")
    start, after = torch.load(tmp_path / "first/best.pt", weights_only=True), checkpoint(tmp_path / "next", 2)["model"]
    for name, value in build_model(config).named_parameters():
        torch.testing.assert_close(after[name], start[name], rtol=0, atol=1e-8, msg=name)
        assert value.shape == after[name].shape
    assert "started from" in (tmp_path / "next/train.log").read_text()


def test_the_best_epochs_are_kept_and_no_more_are_trained(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By scores that someone else gives: the third epoch is the best one, and two are worse after it."""
    scores = iter((0.3, 0.2, 0.5, 0.4, 0.1, 0.9))
    weights = []

    def validate(model: GroundingModel, data: Path, split: str) -> SimpleNamespace:
        weights.append(copy.deepcopy(model.state_dict()))
        return SimpleNamespace(mean={"r10": next(scores), "r1": 0.0}, directions={})

    monkeypatch.setattr(loop, "validate", validate)
    lines = train(micro_config(epochs=6, patience=2, keep_best=2), corpus, tmp_path)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    kept = {path.name: torch.load(path, weights_only=True) for path in (tmp_path / "checkpoints").glob("best-*")}
    assert sorted(kept) == ["best-epoch-00003.pt", "best-epoch-00004.pt"]
    assert same(kept["best-epoch-00003.pt"], weights[2]) and same(kept["best-epoch-00004.pt"], weights[3])
    assert same(torch.load(tmp_path / "best.pt", weights_only=True), weights[2])


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_encoders_run_in_the_precision_that_is_asked_for(batches: EpochBatches, precision: str) -> None:
    losses = {}
    for name in ("float32", precision):
        model = fresh(micro_config(precision=name))
        with watched(model) as seen:
            losses[name] = backward(model, make_scaler(model.config, ALONE), batches[0], ALONE, 1, 0)["loss"]
        assert {output.dtype for _, output in seen} == {getattr(torch, name)}
        assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters() if p.grad is not None)
    assert losses[precision] == pytest.approx(losses["float32"], rel=0.05)


def test_float16_scales_the_loss_and_skips_what_overflows(batches: EpochBatches) -> None:
    config = micro_config(precision="float16")
    assert make_scaler(config, ALONE).is_enabled() and not make_scaler(micro_config(), ALONE).is_enabled()
    model = fresh(config)
    optimizer = make_optimizer(model, config.training)
    for size, moves in ((2.0**120, False), (2.0**8, True)):
        scaler = torch.amp.GradScaler("cpu", init_scale=size)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        backward(model, scaler, batches[0], ALONE, 1, 0)
        norm = update(model, optimizer, scaler, ALONE)
        assert norm is not None and bool(norm.isfinite()) is moves
        assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters()) is moves
        assert scaler.get_scale() == (size if moves else size / 2)


@pytest.mark.parametrize("wanted", [True, False])
def test_compile_is_asked_of_the_image_encoder(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    """That a compiled training gives the same is seen in test_training.py, with a compiler."""
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    train(micro_config(epochs=1, compile=wanted), corpus, tmp_path)
    assert [type(module) for module in compiled] == ([image.ImageEncoder] if wanted else [])
