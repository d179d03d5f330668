"""Is a model configuration possible? Every refusal names key, value and remedy."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from vgspeech.config import ExperimentConfig, ImageEncoderConfig
from vgspeech.errors import ConfigError
from vgspeech.pretrained import fetched_copy, read_weights_table
from vgspeech.speech_networks import check_speech_model

VGG16_PIXELS = 16
"""A side of one cell: four poolings without padding. The other networks pad."""
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z")


def check_model_config(config: ExperimentConfig) -> None:
    """Refuse settings that no network can be built from.

    Raises:
        ConfigError: the first impossible setting.
    """
    _check_languages(config.languages)
    _positive("embedding_dim", config.embedding_dim)
    _positive("image.image_size", config.image.image_size)
    check_speech_model(config)
    if config.loss.scale <= 0:
        raise ConfigError(f"loss.scale is {config.loss.scale}", hint="give a factor above 0, for example 14")
    if config.image.weights != "none":
        weights_path(config.image)
    if config.image.resize < config.image.image_size:
        raise ConfigError(
            f"image.resize is {config.image.resize}, smaller than image.image_size {config.image.image_size}",
            hint="the shorter side is resized to image.resize before a square of image_size is cut out: make it as large",
        )
    if config.image.type == "vgg16" and config.image.image_size < VGG16_PIXELS:
        raise ConfigError(
            f"image.image_size is {config.image.image_size}, less than a cell of vgg16",
            hint=f"give at least {VGG16_PIXELS} pixels",
        )
    if config.image.type == "small":
        _positive("image.stem_width", config.image.stem_width)
        _positive("image.widths", *config.image.widths)
        if not config.image.widths:
            raise ConfigError("image.widths is empty", hint="give the channels of each stage: [32, 64, 128]")
    if config.audio.type == "davenet":
        if config.audio.quantizers:
            raise ConfigError(
                f"audio.quantizers is {list(config.audio.quantizers)} but audio.type is davenet, which has none",
                hint="use audio.type: resdavenet, or leave quantizers out",
            )
        return
    _check_resdavenet(config)


def weights_path(config: ImageEncoderConfig) -> Path:
    """The file that ``image.weights`` means: a path, or the copy of a name that ``local/fetch_weights.sh`` knows.

    Raises:
        ConfigError: no such file, or it has not been fetched; says how to get it.
    """
    value, path = config.weights, Path(config.weights)
    if path.is_file():
        return path
    if "/" in value or path.suffix in (".pt", ".pth"):
        raise ConfigError(f"image.weights: no such file: {value}", hint=weights_remedy(config))
    copy = fetched_copy(value)
    if copy is not None:
        return copy
    known = {name: item for name, item in read_weights_table().items() if item.kind == "backbone"}
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {near[0]}?" if near else weights_remedy(config)
        raise ConfigError(f"image.weights: neither a file nor a name that is known: {value}", hint=hint)
    raise ConfigError(
        f"image.weights: {value} is not on this machine ({known[value].size}, {known[value].licence})",
        hint=f"fetch it once: local/fetch_weights.sh {value}",
    )


def weights_remedy(config: ImageEncoderConfig) -> str:
    """What to do when ``image.weights`` does not serve."""
    if config.type == "small":
        return "set image.weights: none, or an image.type that weights are published of: resnet18"
    named = [name for name in read_weights_table() if name.startswith(f"{config.type}-")]
    fetch = f"name {' or '.join(named)} (local/fetch_weights.sh fetches it), " if named else ""
    return f"{fetch}give a file of {config.type} weights as torchvision publishes them, or none to start from scratch"


def _check_languages(languages: tuple[str, ...]) -> None:
    if not languages:
        raise ConfigError("languages is empty", hint="name at least one, for example [en]")
    if len(set(languages)) < len(languages):
        raise ConfigError(f"languages names one twice: {list(languages)}", hint="name each language once")
    for tag in languages:
        if not _TAG.match(tag) or tag == "image":
            raise ConfigError(f"languages: '{tag}' is no language tag", hint="use BCP-47 or ISO 639-3: en, hi")


def _check_resdavenet(config: ExperimentConfig) -> None:
    audio = config.audio
    if not audio.widths:
        raise ConfigError("audio.widths is empty", hint="give the channels of each stage: [256, 256, 512, 1024]")
    if len(audio.widths) != len(audio.blocks):
        raise ConfigError(
            f"audio.widths has {len(audio.widths)} stages and audio.blocks {len(audio.blocks)}",
            hint="give both lists the same length",
        )
    _positive("audio.widths", *audio.widths)
    _positive("audio.blocks", *audio.blocks)
    _positive("audio.stem_width", audio.stem_width)
    _positive("audio.stem_stride", audio.stem_stride)
    _positive("audio.codebook_size", audio.codebook_size)
    for key in ("stem_kernel", "kernel"):
        value = getattr(audio, key)
        if value < 1 or value % 2 == 0:
            raise ConfigError(f"audio.{key} is {value}", hint="give an odd number, so that frames stay centred")
    if not audio.projection and audio.widths[-1] != config.embedding_dim:
        raise ConfigError(
            f"audio.widths ends in {audio.widths[-1]} but embedding_dim is {config.embedding_dim}",
            hint="make them equal or set audio.projection: true",
        )
    last = len(audio.widths) + 1
    if list(audio.quantizers) != sorted({q for q in audio.quantizers if 1 <= q <= last}):
        raise ConfigError(
            f"audio.quantizers is {list(audio.quantizers)}",
            hint=f"give ascending positions from 1 to {last}, each once",
        )
    if not 0 <= audio.jitter < 0.5:
        raise ConfigError(f"audio.jitter is {audio.jitter}", hint="give a chance from 0 to below 0.5")
    if not 0 <= audio.codebook_decay < 1:
        raise ConfigError(f"audio.codebook_decay is {audio.codebook_decay}", hint="give a number from 0 to below 1")


def _positive(key: str, *values: int) -> None:
    for value in values:
        if value < 1:
            raise ConfigError(f"{key} holds {value}", hint="give whole numbers of at least 1")
