"""Trained models on disk: a model directory (``config.yaml``, ``best.pt``) or one packed file (``models/packed.py``), and from
one to the other."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgspeech.config import ExperimentConfig, load_config, save_config
from vgspeech.errors import ConfigError, DataError, UsageError
from vgspeech.files import atomic_folder, atomic_write, read_json, write_json
from vgspeech.model_check import check_model_config
from vgspeech.models.grounding import GroundingModel, build_model, front_end_of
from vgspeech.models.packed import About, Packed, Shapes, open_packed, write_packed


def save_weights(model: GroundingModel, path: str | Path) -> None:
    """Write the model's state dict, whole or not at all."""
    save_state(model.state_dict(), path)


def save_state(state: Mapping[str, Tensor], path: str | Path) -> None:
    """Write tensors by name as ``best.pt`` holds them, whole or not at all."""
    plain = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    with atomic_write(path, "wb") as stream:
        torch.save(plain, stream)


def load_model(source: str | Path, device: str | torch.device = "cpu") -> GroundingModel:
    """The trained model of a model directory or of a packed file, in evaluation mode.

    Raises:
        DataError: a file is missing, damaged, or not of this configuration.
    """
    source = Path(source)
    config, state, where = read_packed_model(source) if source.is_file() else _read_directory(source)
    # Trained weights replace those of the files that training began with, which need not exist any more.
    model = build_model(without_pretrained_files(config))
    model.config = config
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"weights cannot be loaded: {str(error).splitlines()[0]}", where=where) from error
    return model.to(device).eval()


def _read_directory(folder: Path) -> tuple[ExperimentConfig, Mapping[str, Tensor], str]:
    """Configuration and weights of a model directory, and what to call the latter in messages."""
    for name in ("config.yaml", "best.pt"):
        if not (folder / name).is_file():
            raise DataError("no trained model here", where=str(folder / name), hint="run the recipe's stage 4 first")
    config, path = load_config(ExperimentConfig, folder / "config.yaml"), folder / "best.pt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"weights cannot be loaded: {first}", where=str(path)) from error
    return config, state, str(path)


def read_packed_model(path: Path) -> tuple[ExperimentConfig, dict[str, Tensor], str]:
    """Configuration and weights of a packed file, and its name.

    What the configuration asks for is compared with the tensors that the file has before any memory is taken for either.

    Raises:
        DataError: damaged, or no packed model.
    """
    with open_packed(path) as packed:
        wanted = _wanted_shapes(packed)
        if wanted != packed.shapes:
            first = min(wanted.items() ^ packed.shapes.items())[0]
            raise DataError(f"its tensors are not those of its configuration, for example {first}", where=str(path))
        return packed.config, packed.read_state(), str(path)


def _wanted_shapes(packed: Packed) -> Shapes:
    """Shapes of the tensors that a packed file's configuration asks for.

    Raises:
        DataError: no network can be built from it.
    """
    bare = without_pretrained_files(packed.config)
    audio, where = bare.audio, str(packed.path)
    layers = sum(audio.blocks) + len(audio.widths) + len(bare.image.widths) + len(bare.languages)
    if bare.speech_model.name == "custom":
        layers += bare.speech_model.layer or bare.speech_model.sizes.encoder_num_layers
    if layers > len(packed.shapes):
        raise DataError(f"its configuration has more layers than the file has tensors: {layers}", where=where)
    try:
        check_model_config(bare)
        with torch.device("meta"):  # shapes without memory
            state = GroundingModel(bare).state_dict()
    except (ConfigError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"its configuration describes no network: {error}", where=where) from error
    return {key: tuple(value.shape) for key, value in state.items()}


def pack_directory(folder: Path, out: Path, licence: str, version: str) -> About:
    """Write a model directory as a packed file; what went into it beside weights and configuration.

    Args:
        folder: the model directory; its metrics.jsonl and retrieval scores go along where there are some.
        licence: of the weights.
        version: of vgspeech.

    Raises:
        DataError: there is no trained model, or it is damaged.
    """
    model = load_model(folder)  # also a check that weights and configuration belong together
    about = About(version, licence, _metrics(folder), _results(folder))
    write_packed(out, model.config, model.state_dict(), about)
    return about


def _metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise DataError(f"line {len(lines)} or one before it is not JSON", where=str(path)) from error


def _results(folder: Path) -> dict[str, Any]:
    paths = sorted(folder.glob("eval/*/*/retrieval/results.json"))
    return {"/".join(path.parts[-4:-2]): read_json(path) for path in paths}


def unpack_directory(path: Path, out: Path) -> None:
    """Make a model directory of a packed file: config.yaml, best.pt, metrics.jsonl, and packed.json with the rest.

    Raises:
        DataError: the file is damaged, or no packed model.
        UsageError: ``out`` exists.
    """
    if out.exists():
        raise UsageError("the model directory exists already", where=str(out), hint="name another, or move it away")
    config, state, _ = read_packed_model(path)
    with open_packed(path) as packed:
        about = packed.about
    with atomic_folder(out) as folder:
        save_config(config, folder / "config.yaml")
        save_state(state, folder / "best.pt")
        with atomic_write(folder / "metrics.jsonl") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in about.metrics)
        write_json(folder / "packed.json", {"version": about.version, "licence": about.licence, "results": about.results})


def describe_packed(path: Path) -> str:
    """What a packed file holds, in a few lines for people. Only its header is read.

    Raises:
        DataError: it is no packed model.
    """
    with open_packed(path) as packed:
        config, about = packed.config, packed.about
        numbers = sum(math.prod(shape) for shape in packed.shapes.values())
        lines = [
            f"{path}: a model of vgspeech {about.version}, licence {about.licence}",
            f"  languages {', '.join(config.languages)}; {config.audio.type} and {config.image.type}, {numbers:,} numbers",
            f"  front end {config.front_end}, {front_end_of(config).sample_rate} Hz; {len(about.metrics)} epochs",
        ]
        lines += [f"  {name}: R@10 {100 * recall:.1f}" for name, recall in _mean_recalls(about.results)]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def _mean_recalls(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """R@10 of each scored set, where the file has it in its place."""
    for name, scores in results.items():
        mean = scores.get("mean") if isinstance(scores, dict) else None
        recall = mean.get("r10") if isinstance(mean, dict) else None
        if isinstance(recall, float):
            yield name, recall


def without_pretrained_files(config: ExperimentConfig) -> ExperimentConfig:
    """The same model for one who has its weights: nothing is read from the files that training began with."""
    image, speech = replace(config.image, weights="none"), replace(config.speech_model, weights="none")
    return replace(config, image=image, speech_model=speech)
