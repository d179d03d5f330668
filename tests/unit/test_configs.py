"""Every configuration that a recipe ships: complete, possible, and good for a training step."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.model_check import check_model_config
from vgspeech.models import Frames, build_model
from vgspeech.models.grounding import front_end_of
from vgspeech.retrieval import Embedded, evaluate
from vgspeech.training.check import check_training_config
from vgspeech.training.data import Batch, BatchPlan
from vgspeech.training.distributed import Processes
from vgspeech.training.schedule import make_optimizer
from vgspeech.training.step import backward, make_scaler, update

CONF = Path(__file__).parents[2] / "egs"
CONFIGS = [path for path in sorted(CONF.glob("*/conf/*.yaml")) if "languages:" in path.read_text(encoding="utf-8")]
NAMES = {"davenet", "resdavenet", "resdavenet_vq23", "hindi_english", "hindi_english_japanese"}
NOTHING_FETCHED = ["image.weights=none", "speech_model.weights=none", "speech_model.tune=all"]
every_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parts[-3]}/{p.name}")


def narrow(config: ExperimentConfig) -> ExperimentConfig:
    """The same architecture with an eighth of the channels, and one layer of a speech model, so that a step takes a moment."""
    audio = config.audio
    audio = replace(audio, stem_width=audio.stem_width // 8, widths=tuple(width // 8 for width in audio.widths))
    speech = replace(config.speech_model, layer=1 if config.speech_model.name != "none" else 0)
    return replace(config, embedding_dim=config.embedding_dim // 8, audio=audio, speech_model=speech)


def test_the_promised_configurations_are_there() -> None:
    assert {path.stem for path in CONFIGS} >= NAMES


@every_config
def test_every_config_builds_and_encodes_at_full_size(path: Path) -> None:
    config = load_config(ExperimentConfig, path, NOTHING_FETCHED)
    check_model_config(config)
    check_training_config(config)
    # One language shows as much as three and takes a third of the memory.
    model = build_model(replace(config, languages=config.languages[:1])).eval()
    with torch.no_grad():
        frames = model.encode_audio(config.languages[0], torch.randn(1, 33, front_end_of(config).width), torch.tensor([33]))
        grids = model.encode_images(torch.randn(1, 3, 64, 64))
    assert isinstance(frames, Frames)
    assert frames.values.shape[-1] == grids.shape[-1] == config.embedding_dim


@every_config
def test_every_config_does_a_training_step(path: Path) -> None:
    torch.manual_seed(0)
    config = narrow(load_config(ExperimentConfig, path, ["training.precision=float32", *NOTHING_FETCHED]))
    model = build_model(config).train()
    bins, rows = front_end_of(config).width, np.arange(2)
    speech = {lang: (torch.randn(2, 40, bins), torch.tensor([40, 25])) for lang in config.languages}
    plan = BatchPlan(rows, dict.fromkeys(config.languages, rows), dict.fromkeys(config.languages, rows))
    batch = Batch(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8), np.ones(2, int), speech, plan)
    processes, before = Processes(0, 1, torch.device("cpu")), [p.detach().clone() for p in model.parameters()]
    optimizer, scaler = make_optimizer(model, config.training), make_scaler(config, processes)
    losses = backward(model, scaler, batch, processes, 1, 0)
    update(model, optimizer, scaler, processes)
    views = ["image", *config.languages]
    assert set(losses) - {"loss", "commitment"} == {f"{a}-{b}" for a, b in combinations(views, 2)}
    assert ("commitment" in losses) == bool(config.audio.quantizers)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert any(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def test_three_languages_are_scored_in_twelve_directions() -> None:
    config = load_config(ExperimentConfig, CONF / "hindi_english/conf/hindi_english_japanese.yaml")
    ids = [f"i{number}" for number in range(12)]
    sides = {lang: Embedded(ids, torch.randn(12, 8)) for lang in config.languages}
    table = evaluate(Embedded(ids, torch.randn(12, 8)), sides, config.similarity, draws=0)
    expected = {f"{a}>{b}" for a, b in permutations(["image", *config.languages], 2)}
    assert set(table.directions) == expected and len(expected) == 12
