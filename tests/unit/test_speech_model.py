"""Self-supervised speech models: torchaudio's frames whatever the padding, at the right times, frozen or tuned, from a file."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vgspeech
from embedded_micro import embed_all, write_model
from micro_corpus import micro_config
from tiny_speech_model import LAYERS, WAVE, make_wave_corpus, tiny_sizes, torchaudio_model, wave_config, write_weights
from vgspeech.config import ExperimentConfig, FrontEndConfig, SpeechModelConfig, load_config, save_config
from vgspeech.errors import ConfigError, Interrupted
from vgspeech.model_check import check_model_config
from vgspeech.models import build_model, load_model, save_weights
from vgspeech.models.speech import SpeechModel, build_speech_model
from vgspeech.models.stored import pack_directory, unpack_directory
from vgspeech.speech_networks import torchaudio_network
from vgspeech.training import loop
from vgspeech.training.check import check_training_config
from vgspeech.training.distributed import Processes
from vgspeech.training.schedule import make_optimizer, set_schedule
from vgspeech.units.layers import LayerOutputs, layer_names

ROOT = Path(__file__).resolve().parents[2]
ALONE = Processes(0, 1, torch.device("cpu"))
SPLITS = {"train_split": "train", "dev_split": "dev"}
KINDS = [(family, mode) for family in ("wav2vec2", "wavlm") for mode in ("group_norm", "layer_norm")]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.pth")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wave_corpus(tmp_path_factory.mktemp("corpus"), {"train": 8, "dev": 4})


def speech_model(weights: Path, layer: int = 0, family: str = "wav2vec2", mode: str = "group_norm") -> SpeechModel:
    model = build_speech_model(SpeechModelConfig("custom", str(weights), layer, sizes=tiny_sizes(family, mode)))
    assert model is not None
    return model.eval()


@pytest.mark.parametrize(("family", "mode"), KINDS)
def test_a_caption_has_the_frames_that_torchaudio_gives_it_alone(family: str, mode: str, tmp_path: Path) -> None:
    theirs = torchaudio_model(family, mode).double()
    for layer in (2, LAYERS):
        model = speech_model(write_weights(tmp_path / "w.pth", family, mode), layer, family, mode).double()
        lengths = torch.tensor([61, 60, 9, 3, 1])
        rows = torch.randn(5, 61, 160, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        frames, counts = model(rows, lengths)
        for row, length, found, count in zip(rows, lengths.tolist(), frames, counts.tolist(), strict=True):
            samples = torch.nn.functional.pad(row[:length].flatten()[None], (0, max(0, 400 - 160 * length)))
            if mode == "layer_norm":  # as torchaudio's pipelines do for such networks
                samples = torch.nn.functional.layer_norm(samples, samples.shape)
            wanted = theirs.extract_features(samples)[0][layer - 1][0]
            assert len(wanted) == count
            torch.testing.assert_close(found[:count], wanted, rtol=0, atol=1e-9)
            assert not found[count:].any()


def test_an_embedding_does_not_depend_on_the_batch(weights: Path) -> None:
    torch.manual_seed(3)
    model = build_model(wave_config(weights)).eval()
    lengths = [44, 7, 2, 30]
    rows = torch.randn(4, 50, 160)
    with torch.inference_mode():
        frames, counts = model.encode_audio("en", rows, torch.tensor(lengths))
        for number, length in enumerate(lengths):
            alone, (count,) = model.encode_audio("en", rows[number : number + 1, :length], torch.tensor([length]))
            assert counts[number] == count == alone.shape[1]
            torch.testing.assert_close(frames[number, :count], alone[0], rtol=0, atol=1e-5)


def test_frames_are_where_they_say(tmp_path: Path) -> None:
    """A click is heard by the frames whose windows of 25 ms it lies in, and by the others (attention) much less."""
    model = speech_model(write_weights(tmp_path / "w.pth", mode="layer_norm"), mode="layer_norm")
    shift, offset = build_model(wave_config("none")).audio_info("en")
    assert (shift, offset) == (0.02 * 4, 0.0125)  # two stages on top
    quiet = 0.1 * torch.randn(1, 100, 160, generator=torch.Generator().manual_seed(2))
    for sample in (1000, 5555, 12345):
        clicked = quiet.clone()
        clicked.view(-1)[sample] += 3
        with torch.inference_mode():
            (before, _), (after, counts) = (model(rows, torch.tensor([100])) for rows in (quiet, clicked))
        change = (after - before)[0, : counts[0]].norm(dim=1)
        assert abs(int(change.argmax()) * 0.02 + offset - sample / 16000) <= 0.0125


def test_layers_can_be_looked_at_with_their_times(weights: Path) -> None:
    model = build_model(wave_config(weights)).eval()
    features = {"a": np.random.default_rng(0).normal(size=(60, 160)).astype(np.float32)}
    assert layer_names(model, "en", features)[0] == "speech_model"
    below, output = (LayerOutputs(model, "en", features, name) for name in ("speech_model", "output"))
    assert (below.stride, output.stride) == (2, 8)
    assert below.clock == (0.02, 0.0125) and output.clock == (pytest.approx(0.08), 0.0125)
    assert below["a"].shape == (29, 16) and output["a"].shape == (8, 16)


def test_embeddings_do_not_depend_on_the_number_of_jobs(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_wave_corpus(tmp_path / "c", {"test": 20})
    model = write_model(tmp_path / "m", wave_config(weights))
    one, two = (embed_all(monkeypatch, model, corpus, tmp_path / str(jobs), jobs) for jobs in (1, 2))
    about = json.loads((tmp_path / "2/embed.json").read_text())
    assert about["frame_shift_s"]["hi"] == pytest.approx(0.08) and about["frame_offset_s"]["hi"] == 0.0125
    for what, items in one.items():
        assert items.keys() == two[what].keys() and all(np.array_equal(items[key], two[what][key]) for key in items)


def train(config: ExperimentConfig, corpus: Path, out: Path) -> dict[str, torch.Tensor]:
    loop.train(config, corpus, out, ALONE, **SPLITS)
    return torch.load(out / "best.pt", weights_only=True)


@pytest.mark.parametrize("tune", ["nothing", "transformer", "all"])
def test_only_what_is_tuned_learns(tune: str, weights: Path, corpus: Path, tmp_path: Path) -> None:
    trained = train(wave_config(weights, tune, epochs=1), corpus, tmp_path)
    prefix, changed = "speech_model.network.", set()
    for name, value in torch.load(weights, weights_only=True).items():
        if not torch.equal(trained[prefix + name], value):
            changed.add(name.partition(".")[0])
    parts = {"nothing": set(), "transformer": {"encoder"}, "all": {"encoder", "feature_extractor"}}
    assert changed == parts[tune]


def test_a_frozen_model_has_no_dropout_and_no_gradients(weights: Path) -> None:
    rows, lengths = torch.randn(2, 20, 160), torch.tensor([20, 11])
    frozen = build_model(wave_config(weights)).train().speech_model
    assert frozen is not None
    first, second = (frozen(rows, lengths).values for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    tuned = build_model(wave_config(weights, "transformer")).train().speech_model
    assert tuned is not None
    first, second = (tuned(rows, lengths).values for _ in range(2))
    assert not torch.equal(first, second) and first.requires_grad


def test_a_tuned_model_has_a_rate_of_its_own(weights: Path) -> None:
    model = build_model(wave_config(weights, "transformer"))
    optimizer = make_optimizer(model, model.config.training)
    set_schedule(optimizer, 0.5, 0.9)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    speech = {name: p for name, p in model.named_parameters() if name.startswith("speech_model.")}
    assert {rates[id(p)] for p in speech.values() if p.requires_grad} == {0.5 * 0.1}
    assert {rates[id(p)] for name, p in model.named_parameters() if name not in speech} == {0.5}
    assert not any(id(p) in rates for name, p in speech.items() if "feature_extractor" in name)


def test_stopped_and_resumed_gives_the_same_weights(
    weights: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = wave_config(weights, "transformer", epochs=2, checkpoint_minutes=0.0, weight_average=0.5)
    straight = train(config, corpus, tmp_path / "straight")
    real_step, calls = loop.backward, 0

    def step_and_die(*arguments: object) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Interrupted("killed")
        return real_step(*arguments)

    monkeypatch.setattr(loop, "backward", step_and_die)
    with pytest.raises(Interrupted):
        train(config, corpus, tmp_path / "stopped")
    stopped = train(config, corpus, tmp_path / "stopped")
    assert straight.keys() == stopped.keys() and all(torch.equal(straight[key], stopped[key]) for key in straight)


def test_the_file_of_a_recogniser_or_of_more_layers_serves(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "asr.pth", aux_num_out=7)
    state = torch.load(path, weights_only=True)
    conv = "encoder.transformer.pos_conv_embed.conv."
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):  # as torchaudio's published files say it
        state[conv + old] = state.pop(f"{conv}parametrizations.weight.{new}")
    torch.save(state, path)
    model = speech_model(path, layer=1)
    assert len(model.network.encoder.transformer.layers) == 1
    rows = torch.randn(1, 30, 160)
    wanted = torchaudio_model(aux_num_out=7).extract_features(rows.flatten(1))[0][0]
    torch.testing.assert_close(model(rows, torch.tensor([30])).values, wanted, rtol=0, atol=1e-5)


def test_a_file_of_another_network_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not of custom: .*layer_norm"):
        speech_model(weights, mode="layer_norm")
    with pytest.raises(ConfigError, match=r"is not of WAV2VEC2_BASE: .*\n.*fetch it once: curl"):
        build_speech_model(SpeechModelConfig("WAV2VEC2_BASE", str(weights), 1))


def test_missing_weights_are_told_the_command_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    monkeypatch.setenv("VGS_WEIGHTS", str(tmp_path / "all"))
    config = tmp_path / "hubert.yaml"
    config.write_text("front_end: wave\nnormalisation: none\nspeech_model: {name: HUBERT_BASE, weights: w/hubert.pth}\n")
    verb = [sys.executable, "-m", "vgspeech.bin.check_config", config]
    done = subprocess.run(verb, capture_output=True, text=True)
    assert done.returncode == 2 and "speech_model.weights: no such file: w/hubert.pth" in done.stderr
    name = "hubert_fairseq_base_ls960.pth"
    assert f"curl -L --create-dirs -o {tmp_path}/all/{name} https://download.pytorch.org/torchaudio/models/{name};" in done.stderr
    assert f"then set speech_model.weights: {name}" in done.stderr
    fbank = ["--front-end", ROOT / "egs/own/conf/fbank.yaml", "--set", "speech_model.weights=none"]
    done = subprocess.run([*verb, *fbank], capture_output=True, text=True)
    assert done.returncode == 2 and "gives log-mel features, not samples" in done.stderr
    (tmp_path / "all").mkdir()
    (tmp_path / "all/tiny.pth").write_bytes(weights.read_bytes())
    assert speech_model(Path("tiny.pth")).width == 16  # a name in the folder of weights


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (["speech_model.name=HUBERT_BAES"], "no network 'HUBERT_BAES'\n.*did you mean HUBERT_BASE?"),
        (["speech_model.layer=4"], "custom has 3 layers"),
        (["speech_model.name=WAVLM_LARGE", "speech_model.layer=25"], "WAVLM_LARGE has 24 layers"),
        (["speech_model.rate_factor=0"], "rate_factor is 0"),
        (["speech_model.sizes.encoder_num_heads=3"], "encoder_num_heads is 3"),
        (["speech_model.sizes.dropout=1"], "dropout is 1"),
        (["normalisation=utterance"], "normalisation is utterance"),
        (["compat=true"], "the released code has no speech model"),
        (["speech_model.name=none"], "'wave' gives samples, but speech_model.name is none"),
        (["front_end_settings.type=fbank"], "gives log-mel features, not samples"),
        (["augment.tempo=0.1"], "augment.tempo is 0.1"),
        (["augment.speed=[0.9, 1.1]"], r"augment.speed is \[0.9, 1.1\]"),
        (["augment.mel_warp=0.1"], "augment.mel_warp"),
        (["augment.mel_shift=1"], "augment.mel_shift"),
        (["augment.frequency_mask=2"], "augment.frequency_mask"),
        (["speech_model.weights=none"], "only part of custom is to learn"),
    ],
)
def test_impossible_settings_are_refused(setting: list[str], told: str, weights: Path, tmp_path: Path) -> None:
    save_config(wave_config(weights), tmp_path / "c.yaml")
    check_model_config(load_config(ExperimentConfig, tmp_path / "c.yaml"))
    config = load_config(ExperimentConfig, tmp_path / "c.yaml", setting)
    with pytest.raises(ConfigError, match=told):
        check_model_config(config)
        check_training_config(config)


def test_all_of_it_may_learn_from_scratch() -> None:
    config = wave_config("none", "all")
    check_model_config(config)
    check_training_config(config)
    check_model_config(replace(micro_config(), front_end_settings=FrontEndConfig()))


def test_every_network_of_torchaudio_is_known() -> None:
    names = ("WAV2VEC2_BASE", "HUBERT_LARGE", "WAVLM_BASE_PLUS", "WAV2VEC2_XLSR53", "WAV2VEC2_ASR_BASE_960H")
    found = {name: torchaudio_network(name) for name in names}
    assert {network.family for network in found.values()} == {"wav2vec2", "wavlm"}
    assert all(network.url.endswith(".pth") for network in found.values())
    widths = {}
    for name, network in found.items():
        with torch.device("meta"):  # shapes without memory
            model = build_speech_model(SpeechModelConfig(name, layer=1))
        assert model is not None and model.stride == 2 and model.window == 400
        widths[name] = model.width, model.normalise, network.normalise
    assert widths["HUBERT_LARGE"] == (1024, True, True) and widths["WAVLM_BASE_PLUS"] == (768, False, False)


def test_a_packed_model_needs_no_file_and_hears_a_recording(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "w.pth"
    own.write_bytes(weights.read_bytes())
    folder = tmp_path / "exp/m"
    torch.manual_seed(2)
    config = wave_config(own, layer=2)
    save_weights(build_model(config), folder / "best.pt")
    save_config(config, folder / "config.yaml")
    own.unlink()
    pack_directory(folder, tmp_path / "m.safetensors", "CC0", "1")
    unpack_directory(tmp_path / "m.safetensors", tmp_path / "again")
    assert load_config(ExperimentConfig, tmp_path / "again/config.yaml").speech_model.weights == "w.pth"
    generator = np.random.default_rng(0)
    wave = generator.normal(size=32000).astype(np.float32) * np.repeat([0.0001, 0.2], 16000).astype(np.float32)
    captions = [vgspeech.load(source).embed_speech(wave, "en") for source in (folder, tmp_path / "m.safetensors")]
    assert np.array_equal(captions[0].frames, captions[1].frames)
    assert captions[0].frames.shape == (25, 16)  # 99 frames of the speech model, every fourth
    spoken, seconds = captions[0].spoken, 0.0125 + 0.08 * np.arange(25)
    assert spoken is not None and not spoken[seconds < 0.9].any() and spoken[seconds > 1.1].all()
    assert load_model(tmp_path / "again").audio_info("en") == (pytest.approx(0.08), 0.0125)


def test_settings_of_samples_survive_being_written(weights: Path, tmp_path: Path) -> None:
    config = wave_config(weights, "transformer", layer=2)
    save_config(config, tmp_path / "c.yaml")
    assert load_config(ExperimentConfig, tmp_path / "c.yaml") == config and WAVE.width == 160
