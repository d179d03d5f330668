"""A released checkpoint pair as one of our model directories.

The released code saves two state dicts, of the audio net and of the image net, and no settings. Everything that decides
the shape of a network can be read off the tensors; what cannot is an argument of :func:`import_released`.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vgspeech.config import (
    AudioEncoderConfig,
    ExperimentConfig,
    FrontEndConfig,
    ImageEncoderConfig,
    LossConfig,
    SimilarityConfig,
    TrainingConfig,
    save_config,
)
from vgspeech.errors import DataError, UsageError
from vgspeech.files import atomic_folder
from vgspeech.models.grounding import GroundingModel, build_model
from vgspeech.models.released import Layout, load_released_state
from vgspeech.models.stored import save_weights

FRONT_END = FrontEndConfig(name="logmel", type="davenet")
"""What all released checkpoints were trained on."""
WANTED = "give AUDIO.pth (the audio net's state dict) first, then IMAGE.pth (the image net's), as the released code saves them"
_RESNETS = {(False, 2): "resnet18", (False, 6): "resnet34", (True, 6): "resnet50"}
"""(bottleneck blocks, blocks of the third stage) -> which ResNet."""

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Choices:
    """What the tensors do not say.

    Attributes:
        language: of the captions.
        similarity: None takes the released default: MISA for DAVEnet, SISA (the pooled dot product) for ResDAVEnet.
        last_pool: whether DAVEnet was trained with its fourth pooling.
        quantizers: positions in use; None takes those that the file holds.
        compat: compute as the released code does, padding and all.
    """

    language: str = "en"
    similarity: str | None = None
    last_pool: bool = True
    quantizers: tuple[int, ...] | None = None
    compat: bool = True


def import_released(
    audio_file: Path, image_file: Path, out: Path, choices: Choices
) -> tuple[GroundingModel, list[str]]:
    """Write ``config.yaml`` and ``best.pt`` of a released checkpoint pair to a new model directory.

    Returns:
        The model, and the keys of the files that have no use here (audio first).

    Raises:
        DataError: a file is missing, damaged, no state dict, or not of the kind expected.
        UsageError: ``out`` exists.
    """
    if out.exists():
        raise UsageError("the model directory exists already", where=str(out), hint="name another, or move it away")
    audio, image = read_state(audio_file), read_state(image_file)
    config = released_config(audio, image, choices, audio_file, image_file)
    model = build_model(config)
    layout: Layout = "davenet" if config.audio.type == "davenet" else "resdavenet"
    skipped = load_released_state(model.audio_encoder(choices.language), audio, layout)
    skipped += load_released_state(model.image, image, "vgg16" if config.image.type == "vgg16" else "resnet")
    with atomic_folder(out) as folder:
        save_config(config, folder / "config.yaml")
        save_weights(model, folder / "best.pt")
    return model.eval(), skipped


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict by its released names (the ``module.`` of data-parallel saves taken off).

    Only tensors are read: a file that would run code is refused.

    Raises:
        DataError: no such file, unreadable, or something else than tensors by name.
    """
    if not path.is_file():
        raise DataError("no such file", where=str(path), hint=WANTED)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot be read as a file of weights: {first}", where=str(path), hint=WANTED) from error
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise DataError("holds no tensors by name", where=str(path), hint=WANTED)
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def released_config(
    audio: State, image: State, choices: Choices, audio_file: Path, image_file: Path
) -> ExperimentConfig:
    """The configuration that two state dicts fit; the files' names serve the messages."""
    audio_config, bands, dim = _audio_config(audio, choices, audio_file)
    image_config, image_dim = _image_config(image, image_file)
    if dim != image_dim:
        what = f"embeds into {image_dim} dimensions, {audio_file} into {dim}"
        raise DataError(what, where=str(image_file), hint="the two files of a pair come from one training")
    davenet = audio_config.type == "davenet"
    config = ExperimentConfig(
        languages=(choices.language,),
        front_end=FRONT_END.name,
        normalisation="none",
        embedding_dim=dim,
        audio=audio_config,
        image=image_config,
        similarity=SimilarityConfig("MISA" if davenet else "SISA"),
        loss=LossConfig("triplet", ("sampled",) if davenet else ("sampled", "semihard")),
        training=TrainingConfig(max_frames=2048),
        compat=choices.compat,
        front_end_settings=replace(FRONT_END, num_mel_bins=bands),
    )
    if choices.similarity is not None:
        config = replace(config, similarity=SimilarityConfig(choices.similarity))  # type: ignore[arg-type]
    return config


def _audio_config(state: State, choices: Choices, path: Path) -> tuple[AudioEncoderConfig, int, int]:
    """Settings, mel bands and embedding size of an audio net."""
    stem = state.get("conv1.weight")
    if stem is None or stem.dim() != 4 or stem.shape[1] != 1 or stem.shape[3] != 1:
        raise DataError("is not the audio net of DAVEnet or ResDAVEnet-VQ", where=str(path), hint=WANTED)
    bands = stem.shape[2]
    if "conv5.weight" in state:
        config = AudioEncoderConfig(type="davenet", last_pool=choices.last_pool, jitter=0.0)
        return config, bands, state["conv5.weight"].shape[0]
    blocks = _stages(state)
    if not blocks or 0 in blocks:
        raise DataError("has neither conv5 (DAVEnet) nor layer1 (ResDAVEnet)", where=str(path), hint=WANTED)
    first = [state[f"layer{stage}.0.conv1.weight"] for stage in range(1, len(blocks) + 1)]
    held = tuple(n for n in range(1, len(blocks) + 2) if f"quant{n}._embedding.weight" in state)
    used = held if choices.quantizers is None else choices.quantizers
    if not set(used) <= set(held):
        there = ", ".join(map(str, held)) or "none"
        raise DataError(f"lacks a quantiser at a position of {list(used)}: it has {there}", where=str(path))
    config = AudioEncoderConfig(
        type="resdavenet",
        stem_width=stem.shape[0],
        widths=tuple(weight.shape[0] for weight in first),
        blocks=blocks,
        kernel=first[0].shape[3],
        quantizers=used,
    )
    if used:
        config = replace(config, codebook_size=state[f"quant{used[0]}._embedding.weight"].shape[0])
    return config, bands, config.widths[-1]


def _image_config(state: State, path: Path) -> tuple[ImageEncoderConfig, int]:
    """Settings and embedding size of an image net."""
    if "image_model.30.weight" in state:
        return ImageEncoderConfig(type="vgg16"), state["image_model.30.weight"].shape[0]
    stages = _stages(state)
    name = _RESNETS.get(("layer1.0.conv3.weight" in state, stages[2])) if len(stages) == 4 else None
    if name is None or "embedder.weight" not in state:
        raise DataError("is no image net that was released (VGG16, ResNet18, 34 or 50)", where=str(path), hint=WANTED)
    return ImageEncoderConfig(type=name), state["embedder.weight"].shape[0]  # type: ignore[arg-type]


def _stages(state: State) -> tuple[int, ...]:
    """How many residual blocks each of the stages ``layer1``, ``layer2``, ... has."""
    found = {match.groups() for key in state if (match := re.match(r"layer(\d+)\.(\d+)\.conv1\.weight\Z", key))}
    last = max((int(stage) for stage, _ in found), default=0)
    return tuple(sum(int(stage) == number for stage, _ in found) for number in range(1, last + 1))
