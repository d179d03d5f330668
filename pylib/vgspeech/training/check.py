"""Is a training configuration possible? Every refusal names key, value and remedy."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from vgspeech.config import ExperimentConfig
from vgspeech.errors import ConfigError
from vgspeech.speech_networks import speech_weights_remedy

_AT_LEAST = {
    "training.epochs": 1,
    "training.batch_size": 2,
    "training.max_frames": 1,
    "training.length_pool": 0,
    "training.accumulate": 1,
    "training.step_epochs": 1,
    "training.warmup_epochs": 0,
    "training.clip_norm": 0,
    "training.weight_decay": 0,
    "training.loader_workers": 0,
    "training.freeze_image_epochs": -1,
    "training.validate_every": 1,
    "training.patience": 0,
    "training.keep_best": 1,
    "training.checkpoint_minutes": 0,
    "loss.margin": 0,
    "loss.image_language_weight": 0,
    "loss.language_language_weight": 0,
    "audio.commitment_weight": 0,
    "augment.image_shift": 0,
    "augment.mel_shift": 0,
    "augment.frequency_mask": 0,
    "augment.time_mask": 0,
    "augment.masks": 1,
}
_BELOW_ONE = (
    "training.weight_average",
    "training.warmup",
    "augment.tempo",
    "augment.mel_warp",
    "loss.margin_factor",
)


def check_training_config(config: ExperimentConfig, dev_split: str | None = "dev") -> None:
    """Refuse settings that no training can follow.

    Args:
        config: the experiment.
        dev_split: what best.pt is chosen on; None when there is no development set.

    Raises:
        ConfigError: the first impossible setting.
    """
    for key, least in _AT_LEAST.items():
        if _value(config, key) < least:
            raise ConfigError(f"{key} is {_value(config, key)}", hint=f"give a number of at least {least}")
    for key in _BELOW_ONE:
        if not 0 <= _value(config, key) < 1:
            raise ConfigError(f"{key} is {_value(config, key)}", hint="give a number from 0 to below 1")
    _check_training(config, dev_split)
    _check_loss(config)
    if config.speech_model.name != "none":
        _check_samples(config)
    if not 0 < config.augment.image_crop_scale <= 1:
        raise ConfigError(
            f"augment.image_crop_scale is {config.augment.image_crop_scale}",
            hint="give an area fraction above 0, at most 1 (no crops)",
        )
    if config.augment.image_shift >= config.image.image_size:
        raise ConfigError(
            f"augment.image_shift is {config.augment.image_shift} but image.image_size is {config.image.image_size}",
            hint="shift by fewer pixels than an image has",
        )
    for speed in config.augment.speed:
        if not 0.5 <= speed <= 2:
            raise ConfigError(f"augment.speed holds {speed}", hint="give factors from 0.5 to 2: [0.9, 1.0, 1.1]")


def _check_loss(config: ExperimentConfig) -> None:
    loss, several = config.loss, len(config.languages) > 1
    if loss.type == "triplet" and not loss.mining:
        raise ConfigError("loss.mining is empty", hint="name at least one: [sampled, semihard]")
    if loss.image_language_weight == 0 and (loss.language_language_weight == 0 or not several):
        raise ConfigError(
            "loss.image_language_weight is 0 and no pair of languages has a weight: nothing could be learned",
            hint="give loss.image_language_weight a number above 0" + " (or loss.language_language_weight)" * several,
        )


def _check_samples(config: ExperimentConfig) -> None:
    """What changes mel bins, or interpolates between frames, makes noise of samples."""
    augment, still = config.augment, {"tempo": 0.0, "speed": (), "mel_warp": 0.0, "mel_shift": 0.0, "frequency_mask": 0}
    for key, value in still.items():
        if getattr(augment, key) != value:
            found = getattr(augment, key)
            raise ConfigError(
                f"augment.{key} is {list(found) if isinstance(found, tuple) else found}, but a speech model reads samples",
                hint=f"leave augment.{key} out; time_mask (silence), random_crop and changes of images may stay",
            )
    if config.speech_model.weights == "none" and config.speech_model.tune != "all":
        raise ConfigError(
            f"speech_model.weights is none, but only part of {config.speech_model.name} is to learn "
            f"(speech_model.tune: {config.speech_model.tune})",
            hint=f"{speech_weights_remedy(config.speech_model)}; or train all of it from scratch: speech_model.tune: all",
        )


def _check_training(config: ExperimentConfig, dev_split: str | None) -> None:
    settings = config.training
    if config.seed < 0:
        raise ConfigError(f"seed is {config.seed}", hint="give a whole number of at least 0")
    for key in ("learning_rate", "step_factor"):
        if getattr(settings, key) <= 0:
            raise ConfigError(f"training.{key} is {getattr(settings, key)}", hint="give a number above 0")
    if settings.gradient_cache < 0 or settings.gradient_cache == 1:
        raise ConfigError(
            f"training.gradient_cache is {settings.gradient_cache}",
            hint="give 0 (off) or at least 2 rows: batch statistics need more than one",
        )
    if settings.patience and dev_split is None:
        raise ConfigError(
            f"training.patience is {settings.patience} but there is no development set to lose patience on",
            hint="set training.patience: 0, or give a development split",
        )
    if settings.revive_codes and not config.audio.quantizers:
        raise ConfigError(
            "training.revive_codes is true but audio.quantizers is empty",
            hint="leave revive_codes out, or name positions of quantizers",
        )
    if settings.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "training.tensorboard is true but TensorBoard is not installed",
            hint="pip install tensorboard, or leave it out: metrics.jsonl holds the same numbers",
        )
    _check_cached_grids(config)
    if settings.init_audio != "none" and settings.init_from == "none":
        raise ConfigError(
            f"training.init_audio is {settings.init_audio} but training.init_from is none",
            hint="name the model that has this language in init_from, or leave init_audio out",
        )
    if settings.init_from != "none" and not Path(settings.init_from).exists():
        raise ConfigError(
            f"training.init_from: no such file or model directory: {settings.init_from}",
            hint="train that model first, or set training.init_from: none",
        )


def _check_cached_grids(config: ExperimentConfig) -> None:
    settings, augment = config.training, config.augment
    if not settings.cache_grids:
        return
    if settings.freeze_image_epochs != -1:
        raise ConfigError(
            f"training.cache_grids is true but training.freeze_image_epochs is {settings.freeze_image_epochs}",
            hint="an image encoder that learns sees other images every epoch: set freeze_image_epochs: -1, or cache_grids: false",
        )
    if augment.image_shift or augment.image_crop_scale < 1:
        raise ConfigError(
            "training.cache_grids is true but images are shifted or cropped at random",
            hint="set augment.image_shift: 0 and augment.image_crop_scale: 1 (flips may stay), or cache_grids: false",
        )


def _value(config: ExperimentConfig, key: str) -> float:
    section, name = key.split(".")
    value: float = getattr(getattr(config, section), name)
    return value
