"""One file that holds a trained model: weights, configuration with the front end's settings, scores, licence, version.

The file is safetensors (a length, a JSON header with names, types, shapes and offsets, then the bare numbers), written and
read by the library of that name: nothing in it can be executed, no path leads out of it, nothing is compressed that could
unpack to more than it is, and the library refuses offsets that overlap or leave the file. What is not a tensor stands in the
header's ``__metadata__`` under ``vgspeech``, as JSON::

    format    "vgspeech model 1"
    version   of vgspeech that packed it
    licence   of the weights, in the words of whoever packed it
    config    that of config.yaml; local paths in it are cut to their last part
    metrics   the lines of metrics.jsonl
    results   "<corpus>/<split>" -> retrieval/results.json
    sha256    of all the above and of every tensor's name, type, shape and bytes: tells damage, not forgery
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vgspeech.config import ExperimentConfig, from_values, plain_values
from vgspeech.errors import ConfigError, DataError
from vgspeech.files import atomic_write
from vgspeech.models.grounding import front_end_of

FORMAT = "vgspeech model 1"
KEY = "vgspeech"
HINT = "get the file again from where it came, or pack the model again: utils/pack_model.sh"
LONGEST_TEXT = 1 << 24
"""Characters of everything that is not a tensor."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class About:
    """What a packed file says of its model beside the configuration."""

    version: str
    licence: str
    metrics: list[dict[str, Any]]
    results: dict[str, Any]


@dataclass(frozen=True)
class Packed:
    """A packed file whose header has been read.

    Attributes:
        shapes: of the tensors, by name.
    """

    path: Path
    about: About
    config: ExperimentConfig
    shapes: Shapes
    _file: Any
    _header: dict[str, Any]

    def read_state(self) -> dict[str, Tensor]:
        """All tensors.

        Raises:
            DataError: they are not what was packed.
        """
        state = {name: self._file.get_tensor(name) for name in self.shapes}
        header = {key: value for key, value in self._header.items() if key != "sha256"}
        if _digest(header, state) != self._header.get("sha256"):
            raise DataError("is damaged: its SHA-256 is not what it says", where=str(self.path), hint=HINT)
        return state


def write_packed(path: Path, config: ExperimentConfig, state: Mapping[str, Tensor], about: About) -> None:
    """Write a packed file, whole or not at all; the same model gives the same bytes."""
    header = {
        "format": FORMAT,
        "version": about.version,
        "licence": about.licence,
        "config": plain_values(_portable(config)),
        "metrics": about.metrics,
        "results": about.results,
    }
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    header["sha256"] = _digest(header, plain)
    with atomic_write(path, "wb") as stream:
        stream.write(safetensors.torch.save(plain, {KEY: json.dumps(header, ensure_ascii=False)}))


@contextmanager
def open_packed(path: Path) -> Iterator[Packed]:
    """Read a packed file's header; tensors follow when they are asked for.

    Raises:
        DataError: it is damaged, cut off, or no packed model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = _read_header(path, file.metadata() or {})
            config = _read_config(path, header)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping
            about = About(*(header[key] for key in ("version", "licence", "metrics", "results")))
            yield Packed(path, about, config, shapes, file, header)
    except (SafetensorError, OSError) as error:
        raise DataError(f"is no packed model that can be read: {error}", where=str(path), hint=HINT) from error


def _read_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    text = metadata.get(KEY, "")
    if not text:
        hint = "a packed model is made by utils/pack_model.sh; a model directory is named as a folder"
        raise DataError("holds tensors, but is no packed model", where=str(path), hint=hint)
    if len(text) > LONGEST_TEXT:
        raise DataError(f"has a header of {len(text):,} characters", where=str(path), hint=HINT)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("has a header that is not JSON", where=str(path), hint=HINT) from error
    kinds = {"format": str, "version": str, "licence": str, "config": dict, "metrics": list, "results": dict, "sha256": str}
    if not isinstance(header, dict) or any(not isinstance(header.get(key), kind) for key, kind in kinds.items()):
        raise DataError("has a header that lacks a part", where=str(path), hint=HINT)
    if header["format"] != FORMAT:
        what = f"is a '{header['format']}', this version reads '{FORMAT}'"
        raise DataError(what, where=str(path), hint=f"it was packed by vgspeech {header['version']}: use that or a later one")
    return header


def _read_config(path: Path, header: Mapping[str, Any]) -> ExperimentConfig:
    try:
        return from_values(ExperimentConfig, header["config"], where=str(path))
    except (ConfigError, RecursionError) as error:
        raise DataError(f"its configuration cannot be used: {error}", where=str(path), hint=HINT) from error


def _portable(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with the front end's settings in it, and without paths of the machine that it comes from."""
    image, training, speech = config.image, config.training, config.speech_model
    return replace(
        config,
        front_end_settings=front_end_of(config),
        image=replace(image, weights=Path(image.weights).name),
        speech_model=replace(speech, weights=Path(speech.weights).name),
        training=replace(training, init_from=Path(training.init_from).name),
    )


def _digest(header: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(state):
        value = state[name]
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
