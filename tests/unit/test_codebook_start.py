"""Codebooks of a warm start: k-means of the frames that they will quantise, the same in every process and after a stop."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from micro_corpus import make_corpus, micro_config
from training_processes import ALONE, start, stop_everywhere
from vgspeech.config import ExperimentConfig
from vgspeech.models import GroundingModel, build_model, save_weights
from vgspeech.training import loop
from vgspeech.training.codebook_start import start_codebooks
from vgspeech.training.distributed import Processes
from vgspeech.training.training_set import load_training_set

CODES = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": 13, "dev": 9}, captions=2, skip_hindi=6)


def quantised(**training: object) -> ExperimentConfig:
    config = micro_config(epochs=1, **training)
    return dataclasses.replace(config, audio=dataclasses.replace(config.audio, quantizers=(2, 3), codebook_size=CODES))


def fresh(config: ExperimentConfig, seed: int = 0) -> GroundingModel:
    torch.manual_seed(seed)
    return build_model(config)


def commitment(model: GroundingModel, corpus: Path) -> float:
    """Mean squared distance of one batch's frames to their codes, of all English quantisers together."""
    captions = load_training_set(model.config, corpus, "train").captions["en"]
    frames, offsets, lengths = captions.features.take(torch.arange(6).numpy())
    model.train()
    model.encode_audio("en", torch.stack([frames[o : o + 20] for o in offsets.tolist()]), torch.full((6,), 20))
    loss = model.audio_encoder("en").commitment_loss
    assert loss is not None and len(lengths) == 6
    return float(loss.detach())


def save_started(processes: Processes, corpus: str, out: str) -> None:
    """Codebooks after a start in which the second process's weights differ by a rounding error."""
    model = fresh(quantised())
    if not processes.first:
        with torch.no_grad():
            model.audio_encoder("en").get_parameter("conv1.weight").mul_(1 + 1e-5)
    data = load_training_set(model.config, Path(corpus), "train")
    start_codebooks(model, data, list(model.quantizers()), processes)
    torch.save({name: q.state_dict() for name, q in model.quantizers().items()}, f"{out}/{processes.rank}.pt")


def test_new_codebooks_start_where_the_frames_are(corpus: Path) -> None:
    models = [fresh(quantised(), seed) for seed in (0, 0)]
    data = load_training_set(models[0].config, corpus, "train")
    before = commitment(fresh(quantised()), corpus)
    kept = models[0].quantizers()["hi/quant3"].codebook.clone()
    names = ["en/quant2", "en/quant3", "hi/quant2"]
    records = [start_codebooks(model, data, names, ALONE) for model in models]
    assert records[0] == records[1] and list(records[0]) == names
    assert torch.equal(models[0].quantizers()["hi/quant3"].codebook, kept)
    for name in names:
        quantizer = models[0].quantizers()[name]
        assert torch.equal(quantizer.codebook, models[1].quantizers()[name].codebook)
        torch.testing.assert_close(quantizer.sums / quantizer.mass[:, None], quantizer.codebook)
        assert not quantizer.batch_counts.any() and not quantizer.usage.any()
        assert records[0][name]["codes"] == CODES and records[0][name]["distortion"] > 0
    assert commitment(models[0], corpus) < before / 2


def test_masses_are_those_of_a_batch(corpus: Path) -> None:
    model = fresh(quantised())
    data = load_training_set(model.config, corpus, "train")
    start_codebooks(model, data, ["en/quant2"], ALONE)
    _, _, lengths = data.captions["en"].features.take(torch.arange(len(data.captions["en"].ids)).numpy())
    frames = (lengths.float() / 4).ceil().mean() * model.config.training.batch_size
    assert float(model.quantizers()["en/quant2"].mass.sum()) == pytest.approx(float(frames), rel=1e-4)


def test_more_codes_than_frames_leaves_the_rest_as_they_were(corpus: Path) -> None:
    config = quantised()
    config = dataclasses.replace(config, audio=dataclasses.replace(config.audio, codebook_size=2000))
    model = fresh(config)
    before = model.quantizers()["en/quant3"].codebook.clone()
    record = start_codebooks(model, load_training_set(config, corpus, "train"), ["en/quant3"], ALONE)["en/quant3"]
    assert record["codes"] <= record["frames"] < 2000
    rest = model.quantizers()["en/quant3"].codebook[int(record["codes"]) :]
    assert torch.equal(rest, before[int(record["codes"]) :])


def test_all_processes_have_the_first_ones_codebooks(corpus: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    start(save_started, 2, str(corpus), str(tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    (tmp_path / "alone").mkdir()
    save_started(ALONE, str(corpus), str(tmp_path / "alone"))
    alone = torch.load(tmp_path / "alone/0.pt", weights_only=True)
    for name, values in first.items():
        for key, value in values.items():
            assert torch.equal(value, second[name][key]) and torch.equal(value, alone[name][key]), (name, key)


@pytest.mark.parametrize("where", ["kmeans", "random"])
def test_the_metrics_tell_and_random_is_as_released(corpus: Path, tmp_path: Path, where: str) -> None:
    save_weights(fresh(micro_config()), tmp_path / "start.pt")
    config = quantised(init_from=str(tmp_path / "start.pt"), codebook_start=where)
    loop.train(config, corpus, tmp_path / "out", ALONE, train_split="train", dev_split=None)
    (line,) = map(json.loads, (tmp_path / "out/metrics.jsonl").open())
    if where == "random":
        assert "codebook_start" not in line
    else:
        assert set(line["codebook_start"]) == {"en/quant2", "en/quant3", "hi/quant2", "hi/quant3"}
        assert {about["codes"] for about in line["codebook_start"].values()} == {CODES}


def test_a_stopped_warm_start_ends_the_same(corpus: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    save_weights(fresh(micro_config()), tmp_path / "start.pt")
    options = {"quantizers": (2, 3), "init_from": str(tmp_path / "start.pt")}
    stop_everywhere(ALONE, str(corpus), str(tmp_path), (1, 3), **options)  # type: ignore[arg-type]
    lines = [
        [{**json.loads(line), "seconds": 0} for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("straight", "stopped")
    ]
    assert lines[0] == lines[1] and "codebook_start" in lines[0][0] and "codebook_start" not in lines[0][1]
    weights = [torch.load(tmp_path / name / "best.pt", weights_only=True) for name in ("straight", "stopped")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
