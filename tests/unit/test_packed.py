"""A model in one file: the same embeddings, nothing of the machine it comes from, and no harm from forged or damaged files."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import vgspeech
from micro_corpus import micro_config
from vgspeech.config import ExperimentConfig, ImageEncoderConfig, TrainingConfig, load_config, save_config
from vgspeech.errors import DataError, UsageError
from vgspeech.files import write_json
from vgspeech.models import build_model, load_model, save_weights
from vgspeech.models.packed import KEY
from vgspeech.models.stored import describe_packed, pack_directory, unpack_directory

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A model directory with everything that is packed, and a path of the machine in its configuration."""
    folder, config = tmp_path / "exp/m", micro_config(init_from="/home/somebody/secret/first")
    torch.manual_seed(2)
    save_weights(build_model(config), folder / "best.pt")
    save_config(config, folder / "config.yaml")
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "loss": 2.5}\n')
    write_json(folder / "eval/c/test/retrieval/results.json", {"mean": {"r10": 0.75}, "directions": {"en>image": {}}})
    return folder


@pytest.fixture
def packed(model_dir: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    pack_directory(model_dir, path, "CC0", "9.9")
    return path


def embeddings(source: Path) -> list[np.ndarray[Any, Any]]:
    model = vgspeech.load(source)
    generator = np.random.default_rng(0)
    sound = generator.normal(size=16000).astype(np.float32) / 10
    image = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    return [model.embed_speech(sound, "en").frames, model.embed_speech(sound, "hi").frames, model.embed_image(image).cells]


def test_packed_and_unpacked_embed_the_same_bits(model_dir: Path, packed: Path, tmp_path: Path) -> None:
    unpack_directory(packed, tmp_path / "again")
    wanted = embeddings(model_dir)
    for source in (packed, tmp_path / "again"):
        assert all(np.array_equal(a, b) for a, b in zip(embeddings(source), wanted, strict=True))
    first, again = (torch.load(folder / "best.pt", weights_only=True) for folder in (model_dir, tmp_path / "again"))
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    assert (tmp_path / "again/metrics.jsonl").read_text() == (model_dir / "metrics.jsonl").read_text()
    told = json.loads((tmp_path / "again/packed.json").read_text())
    results = json.loads((model_dir / "eval/c/test/retrieval/results.json").read_text())
    assert told == {"version": "9.9", "licence": "CC0", "results": {"c/test": results}}
    pack_directory(tmp_path / "again", tmp_path / "b.safetensors", "CC0", "9.9")
    unpack_directory(tmp_path / "b.safetensors", tmp_path / "third")
    assert (tmp_path / "third/config.yaml").read_bytes() == (tmp_path / "again/config.yaml").read_bytes()


def test_the_same_model_gives_the_same_bytes(model_dir: Path, packed: Path, tmp_path: Path) -> None:
    pack_directory(model_dir, tmp_path / "b.safetensors", "CC0", "9.9")
    assert (tmp_path / "b.safetensors").read_bytes() == packed.read_bytes()


def test_nothing_of_the_machine_goes_along(packed: Path, tmp_path: Path) -> None:
    assert b"somebody" not in packed.read_bytes() and str(tmp_path).encode() not in packed.read_bytes()
    unpack_directory(packed, tmp_path / "again")
    config = load_config(ExperimentConfig, tmp_path / "again/config.yaml")
    assert config.training.init_from == "first" and config.front_end_settings == micro_config().front_end_settings


def test_the_front_end_is_written_down_even_where_it_was_not(model_dir: Path, tmp_path: Path) -> None:
    bare = dataclasses.replace(micro_config(), front_end_settings=None)
    save_config(bare, model_dir / "config.yaml")
    save_weights(build_model(bare), model_dir / "best.pt")
    pack_directory(model_dir, tmp_path / "m.safetensors", "CC0", "1")
    settings = load_model(tmp_path / "m.safetensors").config.front_end_settings
    assert settings is not None and settings.num_mel_bins == 40


def test_every_damaged_byte_is_noticed(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    generator, broken = np.random.default_rng(1), tmp_path / "broken.safetensors"
    places = [0, 7, 8, 20, len(whole) - 1, *generator.integers(0, len(whole), 60).tolist()]
    for place in places:
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        with pytest.raises(DataError):
            load_model(broken)
    for size in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        broken.write_bytes(whole[:size])
        with pytest.raises(DataError, match="no packed model that can be read"):
            load_model(broken)
    broken.write_bytes(whole + b"more")
    with pytest.raises(DataError):
        load_model(broken)


def forged(packed: Path, out: Path, change: Any) -> Path:
    """A packed file with a header that somebody changed on purpose."""
    with safetensors.safe_open(packed, framework="pt") as file:
        header, state = json.loads(file.metadata()[KEY]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, state)
    out.write_bytes(safetensors.torch.save(state, {KEY: json.dumps(header)}))
    return out


def config_entry(path: str, value: object) -> Any:
    """A change of one entry of the configuration."""

    def change(header: dict[str, Any], _: object) -> None:
        *sections, last = path.split(".")
        place = header["config"]
        for section in sections:
            place = place[section]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (config_entry("embedding_dim", 10**12), "not those of its configuration"),
        (config_entry("embedding_dim", 10**30), "describes no network|not those"),
        (config_entry("audio.blocks", [10**9, 1]), "more layers than the file has tensors"),
        (config_entry("image.widths", [8] * 10**5), "more layers than the file has tensors"),
        (config_entry("audio.kernel", -3), "describes no network"),
        (config_entry("languages", ["../../etc/passwd"]), "describes no network"),
        (config_entry("audio.type", "os.system"), "configuration cannot be used"),
        (config_entry("__class__", "x"), "configuration cannot be used"),
        (lambda header, _: header.update(format="vgspeech model 2", version="7"), "reads 'vgspeech model 1'"),
        (lambda header, _: header.pop("licence"), "lacks a part"),
        (lambda header, _: header.update(metrics="x"), "lacks a part"),
        (lambda header, _: header.update(results={"../../x": {}}), "is damaged"),
        (lambda _, state: state.pop("log_scale"), "not those of its configuration"),
        (lambda _, state: state.update(more=torch.zeros(1)), "not those of its configuration"),
        (lambda _, state: state.update(log_scale=torch.zeros(1000)), "not those of its configuration"),
    ],
)
def test_a_forged_file_is_refused(packed: Path, tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_model(forged(packed, tmp_path / "forged.safetensors", change))
    with pytest.raises(DataError, match=message):
        unpack_directory(tmp_path / "forged.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_files_are_told_apart(packed: Path, model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no model at all\n" * 10)
    for other in (tmp_path / "text", model_dir / "best.pt"):
        with pytest.raises(DataError, match="no packed model that can be read"):
            load_model(other)
    (tmp_path / "deep.safetensors").write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, {KEY: "[" * 100000}))
    with pytest.raises(DataError, match="not JSON"):
        load_model(tmp_path / "deep.safetensors")
    (tmp_path / "a.safetensors").write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))
    with pytest.raises(DataError, match="holds tensors, but is no packed model"):
        load_model(tmp_path / "a.safetensors")


def test_a_description_survives_any_header(packed: Path, tmp_path: Path) -> None:
    assert "c/test: R@10 75.0" in describe_packed(packed) and "licence CC0" in describe_packed(packed)

    def change(header: dict[str, Any], _: object) -> None:
        header.update(licence="\x1b[31mred\n", results={"a": 1, "b": {"mean": 3}, "c": {"mean": {"r10": "x"}}})

    told = describe_packed(forged(packed, tmp_path / "f.safetensors", change))
    assert "licence ?[31mred?" in told and "R@10" not in told


def run(tool: str, *arguments: str | Path, status: int = 0) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VGS_PYTHON": sys.executable}
    done = subprocess.run(
        [ROOT / tool, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == status and "Traceback" not in done.stdout, done.stdout
    return done.stdout


def test_by_the_command_line(model_dir: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "m.safetensors", tmp_path / "exp/n"
    assert "No licence is stated" in run("utils/pack_model.sh", model_dir, file)
    assert "languages en, hi" in run("utils/unpack_model.sh", file, out) and (out / "best.pt").is_file()
    assert "must end in .safetensors" in run("utils/pack_model.sh", model_dir, tmp_path / "m.zip", status=2)
    told = run("steps/embed.sh", file, tmp_path, "test", tmp_path / "e", status=4)
    assert f"utils/unpack_model.sh {file} exp/NAME" in told


def test_a_backbone_by_name_is_not_needed_again(model_dir: Path, tmp_path: Path) -> None:
    """The packed weights are the trained ones: whoever gets them does not need the backbone that training started from."""
    config = dataclasses.replace(
        micro_config(),
        image=ImageEncoderConfig(type="resnet18", weights="none", image_size=32, resize=32),
        training=TrainingConfig(freeze_image_epochs=-1, freeze_image="backbone"),
    )
    save_weights(build_model(config), model_dir / "best.pt")
    named = dataclasses.replace(config, image=dataclasses.replace(config.image, weights="/x/r.pth"))
    save_config(named, model_dir / "config.yaml")
    pack_directory(model_dir, tmp_path / "m.safetensors", "CC0", "1")
    assert load_model(tmp_path / "m.safetensors").config.image.weights == "r.pth"


def test_nothing_is_overwritten_and_nothing_is_packed_of_nothing(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        unpack_directory(packed, tmp_path / "here")
    with pytest.raises(DataError, match="no trained model here"):
        pack_directory(tmp_path / "here", tmp_path / "x.safetensors", "CC0", "1")
