"""The parts of the training loop one by one: schedules, averages, selection, codebooks, start weights, checks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from micro_corpus import make_corpus, micro_config
from training_processes import ALONE
from vgspeech.config import ExperimentConfig, LossConfig, SimilarityConfig
from vgspeech.errors import ConfigError, VgspeechError
from vgspeech.losses import same_image
from vgspeech.models import Frames, build_model, save_weights
from vgspeech.models.quantizer import VectorQuantizer
from vgspeech.similarity import pair_scores
from vgspeech.training.average import WeightAverage
from vgspeech.training.check import check_training_config
from vgspeech.training.codebooks import codebook_usage, revive_codes, start_counting
from vgspeech.training.data import EpochBatches
from vgspeech.training.initial import load_initial
from vgspeech.training.objective import pair_loss
from vgspeech.training.schedule import freeze_image, make_optimizer, schedule
from vgspeech.training.selection import keep_weights, out_of_patience, ranked
from vgspeech.training.step import backward, make_scaler
from vgspeech.training.training_set import load_training_set


def with_training(**settings: object) -> ExperimentConfig:
    return micro_config(**settings)


def test_cosine_and_warm_up() -> None:
    settings = micro_config(schedule="cosine", warmup_epochs=1.0, learning_rate=1.0).training
    rates = [schedule(settings, step, 50, 10)[0] for step in range(50)]
    assert rates[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11]) and rates[10] == 1.0
    assert rates[30] == pytest.approx(0.5) and rates == sorted(rates[:11]) + sorted(rates[11:], reverse=True)
    assert 0 < rates[-1] < 0.01
    steps = micro_config(schedule="step", warmup_epochs=0.5, step_epochs=1, step_factor=0.5, learning_rate=1.0).training
    assert [schedule(steps, step, 50, 10)[0] for step in (0, 5, 10, 25)] == pytest.approx([1 / 6, 1.0, 0.5, 0.25])


def test_image_encoder_is_held_and_let_go() -> None:
    model = build_model(micro_config())
    optimizer = make_optimizer(model, micro_config().training)
    before = {name: value.clone() for name, value in model.image.state_dict().items()}
    for epoch, held in ((1, True), (2, True), (3, False)):
        model.train()
        assert freeze_image(model, micro_config(freeze_image_epochs=2).training, epoch) is held
        loss = model.encode_images(torch.randn(2, 3, 16, 16)).square().mean() + model.log_scale
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        after = model.image.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items()) is held
    assert freeze_image(model, micro_config(freeze_image_epochs=-1).training, 999)


def test_average_follows_the_weights_and_copies_statistics() -> None:
    torch.manual_seed(0)
    model = build_model(micro_config())
    average = WeightAverage(model, 0.9)
    by_hand = model.log_scale.detach().clone()
    for number in range(1, 60):
        with torch.no_grad():
            model.log_scale.fill_(number)
            model.image.backbone.bn1.running_mean.fill_(number)
        average.update(model, number)
        by_hand += (number - by_hand) * (1 - min(0.9, (1 + number) / (10 + number)))
    torch.testing.assert_close(average.model.log_scale, by_hand)
    assert 40 < float(by_hand) < 59 and bool((average.model.image.backbone.bn1.running_mean == 59).all())


def test_best_epochs_are_kept_and_patience_ends(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    model, best, history = build_model(micro_config()), [], []
    for epoch, (r10, r1) in enumerate([(0.2, 0.1), (0.5, 0.1), (0.5, 0.1), (0.4, 0.4), (0.3, 0.9)], start=1):
        with torch.no_grad():
            model.log_scale.fill_(epoch)
        best = ranked(best, r10, r1, epoch, 2)
        keep_weights(model, tmp_path, best, epoch, 2)
        history.append({"epoch": epoch, "dev": {}})
        assert out_of_patience(history, best, 2) is (epoch == 5) and not out_of_patience(history, best, 0)
    assert [entry[2] for entry in best] == [3, 2]  # equal scores: the later one first
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["best-epoch-00002.pt", "best-epoch-00003.pt"]
    assert float(torch.load(tmp_path / "best.pt", weights_only=True)["log_scale"]) == 3.0


def quantised(size: int) -> ExperimentConfig:
    config = micro_config()
    return dataclasses.replace(config, audio=dataclasses.replace(config.audio, quantizers=(2,), codebook_size=size))


def test_usage_is_counted_and_dead_codes_restart_beside_living_ones() -> None:
    torch.manual_seed(0)
    model = build_model(quantised(6)).train()
    quantizer: VectorQuantizer = model.quantizers()["en/quant2"]
    quantizer.codebook[3:] += 100.0  # out of reach
    quantizer.sums.copy_(quantizer.codebook)
    model.encode_audio("en", torch.randn(4, 40, 8), torch.full((4,), 40))
    model.update_codebooks()
    usage = codebook_usage(model)["en/quant2"]
    assert usage["dead"] >= 3 and 1 <= usage["perplexity"] <= 3
    mass, living = quantizer.mass.sum().clone(), quantizer.usage > 0
    before = quantizer.codebook[living].clone()
    dead_mass = quantizer.mass[~living].clone()
    revived = revive_codes(model, 1, 1)
    assert revived == min(int(living.sum()), int((~living).sum()))
    assert torch.equal(quantizer.codebook[living], before)
    reborn = quantizer.codebook[(quantizer.codebook < 50).all(1) & ~living]
    assert len(reborn) == revived and float(torch.cdist(reborn, before).min(1)[0].max()) < 1.0
    assert float(quantizer.mass.sum()) <= float(mass) and len(dead_mass)
    torch.testing.assert_close(quantizer.sums / quantizer.mass[:, None], quantizer.codebook, rtol=1e-4, atol=1e-4)
    start_counting(model)
    assert codebook_usage(model)["en/quant2"] == {"perplexity": 0.0, "dead": 6}


def test_start_from_another_model(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = build_model(micro_config())
    save_weights(first, tmp_path / "best.pt")
    torch.manual_seed(2)
    second = build_model(quantised(6))
    said, new = load_initial(second, tmp_path)
    assert new == ["en/quant2", "hi/quant2"]
    save_weights(second, tmp_path / "second.pt")
    assert load_initial(build_model(quantised(6)), tmp_path / "second.pt").new_codebooks == []
    assert torch.equal(second.image.backbone.conv1.weight, first.image.backbone.conv1.weight)
    assert "as initialised: audio.en.quant2, audio.hi.quant2; not used: none" in said
    french = build_model(dataclasses.replace(micro_config(), languages=("fr", "hi")))
    load_initial(french, tmp_path, "en")
    for language, source in (("fr", "en"), ("hi", "hi")):
        encoder, wanted = french.audio_encoder(language).state_dict(), first.audio_encoder(source).state_dict()
        assert all(torch.equal(value, wanted[key]) for key, value in encoder.items())
    with pytest.raises(ConfigError, match=r"has no language 'de'\n  it has: en, hi"):
        load_initial(french, tmp_path, "de")
    wide = dataclasses.replace(micro_config(), embedding_dim=20)
    with pytest.raises(ConfigError, match=r"audio\.en\.embedder\.weight has shape \[16, 12, 1, 1\]"):
        load_initial(build_model(wide), tmp_path / "best.pt")
    with pytest.raises(ConfigError, match="no such file"):
        load_initial(second, tmp_path / "nowhere.pt")
    (tmp_path / "broken.pt").write_bytes(b"x" * 100)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_initial(second, tmp_path / "broken.pt")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match="no weights of this model"):
        load_initial(second, tmp_path / "other.pt")


@pytest.mark.parametrize("loss", ["infonce", "masked_margin", "adaptive_margin", "triplet"])
@pytest.mark.parametrize("similarity", ["SISA", "MISA", "SIMA"])
def test_any_similarity_goes_with_any_loss(loss: str, similarity: str) -> None:
    torch.manual_seed(0)
    grids, frames = torch.randn(5, 2, 2, 8, requires_grad=True), torch.randn(4, 6, 8, requires_grad=True)
    views = {"image": grids, "en": Frames(frames, torch.tensor([6, 3, 1, 5]))}
    scores = pair_scores(views, ("image", "en"), SimilarityConfig(type=similarity))  # type: ignore[arg-type]
    same = same_image([0, 1, 2, 2, 3], [2, 0, 3, 9])
    settings = LossConfig(type=loss, scale=2.0)  # type: ignore[arg-type]
    value = pair_loss(scores, same, settings, torch.tensor(2.0), torch.Generator().manual_seed(0))
    value.backward()
    assert value > 0 and all(x.grad is not None and x.grad.isfinite().all() and x.grad.any() for x in (grids, frames))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, r"training\.epochs is 0\n  give a number of at least 1"),
        ({"gradient_cache": 1}, r"training\.gradient_cache is 1"),
        ({"weight_average": 1.0}, r"training\.weight_average is 1\.0\n  give a number from 0 to below 1"),
        ({"revive_codes": True}, r"training\.revive_codes is true but audio\.quantizers is empty"),
        ({"init_from": "exp/nowhere"}, r"training\.init_from: no such file or model directory: exp/nowhere"),
        ({"learning_rate": 0.0}, r"training\.learning_rate is 0\.0"),
    ],
)
def test_impossible_settings_are_named_with_a_remedy(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_training_config(with_training(**settings))
    assert caught.value.hint


def test_patience_needs_a_development_set() -> None:
    check_training_config(with_training(patience=2))
    with pytest.raises(ConfigError, match="no development set"):
        check_training_config(with_training(patience=2), None)


def test_a_loss_that_is_no_number_ends_training(tmp_path: Path) -> None:
    config = micro_config()
    batch = EpochBatches(load_training_set(config, make_corpus(tmp_path, {"train": 5}), "train"), config, 1, 0, 1)[0]
    model = build_model(config)
    with torch.no_grad():
        model.image.embedder.bias.fill_(torch.nan)
    with pytest.raises(VgspeechError, match="the loss is nan in step 1 of epoch 1"):
        backward(model, make_scaler(config, ALONE), batch, ALONE, 1, 0)
