"""Gradient caching: equal gradients where it promises them, and what it does to batch statistics."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from micro_corpus import make_corpus, micro_config
from training_processes import ALONE
from vgspeech.config import ExperimentConfig, SimilarityConfig
from vgspeech.models import GroundingModel, build_model
from vgspeech.training.data import Batch, EpochBatches
from vgspeech.training.step import backward, make_scaler
from vgspeech.training.training_set import load_training_set

Gradients = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": 13}, captions=2, skip_hindi=6)


def config_of(similarity: str, rows: int, **audio: object) -> ExperimentConfig:
    config = micro_config(batch_size=13, gradient_cache=rows)
    wanted = SimilarityConfig(type=similarity, normalise=True)  # type: ignore[arg-type]
    return dataclasses.replace(config, similarity=wanted, audio=dataclasses.replace(config.audio, **audio))


def gradients(model: GroundingModel, config: ExperimentConfig, batch: Batch) -> tuple[dict[str, float], Gradients]:
    model.config = config
    model.zero_grad()
    losses = backward(model, make_scaler(config, ALONE), batch, ALONE, 1, 0)
    return losses, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("similarity", ["SISA", "MISA", "SIMA"])
def test_without_batch_statistics_gradients_are_those_of_the_whole_batch(corpus: Path, similarity: str) -> None:
    """In float64, with batch normalisation held at its running statistics; parts of 2, 4 and all 13 rows."""
    whole = config_of(similarity, 0)
    batch = EpochBatches(load_training_set(whole, corpus, "train"), whole, 1, 0, 1)[0]
    torch.manual_seed(0)
    model = build_model(whole).double().eval()
    expected_losses, expected = gradients(model, whole, batch)
    for rows in (2, 4, 13):
        losses, found = gradients(model, config_of(similarity, rows), batch)
        assert losses == pytest.approx(expected_losses, abs=1e-12)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=f"{name}, {rows} rows")


def test_one_part_is_the_whole_batch_with_its_statistics_codebooks_and_draws(corpus: Path) -> None:
    whole = config_of("MISA", 0, quantizers=(2,), codebook_size=5)
    batch = EpochBatches(load_training_set(whole, corpus, "train"), whole, 1, 0, 1)[0]
    results, buffers = [], []
    for rows in (0, 13):
        torch.manual_seed(0)
        model = build_model(whole).double().train()
        results.append(gradients(model, config_of("MISA", rows, quantizers=(2,), codebook_size=5), batch))
        buffers.append(dict(model.named_buffers()))
    assert results[1][0] == pytest.approx(results[0][0], abs=1e-12) and "commitment" in results[0][0]
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], gradient, rtol=1e-9, atol=1e-12, msg=name)
    for name, buffer in buffers[0].items():
        torch.testing.assert_close(buffers[1][name], buffer, rtol=0, atol=1e-12, msg=name)


def test_parts_have_statistics_of_their_own_and_move_them_once_each(corpus: Path) -> None:
    """Jitter on: both passes draw alike, else the gradient would be that of another loss."""
    config = config_of("SISA", 5, jitter=0.2)
    batch = EpochBatches(load_training_set(config, corpus, "train"), config, 1, 0, 1)[0]
    torch.manual_seed(0)
    model = build_model(config).double().train()
    losses, found = gradients(model, config, batch)
    assert int(model.image.backbone.bn1.num_batches_tracked) == 3  # 13 rows in parts of at most 5
    # The directional derivative of the loss, by differences, along the gradient.
    length = sum(float(gradient.square().sum()) for gradient in found.values())
    shifted = []
    for step in (1e-7, -1e-7):
        torch.manual_seed(0)
        other = build_model(config).double().train()
        with torch.no_grad():
            for name, parameter in other.named_parameters():
                if name in found:
                    parameter.add_(found[name], alpha=step)
        shifted.append(gradients(other, config, batch)[0]["loss"])
    assert (shifted[0] - shifted[1]) / 2e-7 == pytest.approx(length, rel=1e-4)
    assert losses["loss"] != pytest.approx(gradients(model, config_of("SISA", 0, jitter=0.2), batch)[0]["loss"], abs=1e-6)
