"""Which self-supervised speech models there are: the networks whose weights torchaudio publishes, and is a configuration of one
possible? torchaudio itself is imported when a configuration names one: it takes seconds."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgspeech.config import ExperimentConfig, SpeechModelConfig
from vgspeech.errors import ConfigError
from vgspeech.pretrained import weights_folder

ADDRESS = "https://download.pytorch.org/torchaudio/models/"


@dataclass(frozen=True)
class PublishedNetwork:
    """A network of torchaudio's.

    Attributes:
        family: ``wav2vec2`` (HuBERT too) or ``wavlm``.
        arguments: of torchaudio's function that builds it.
        normalise: whether it was trained on samples of mean 0 and variance 1.
        url: where its weights are published.
    """

    family: str
    arguments: dict[str, Any]
    normalise: bool
    url: str


def torchaudio_network(name: str) -> PublishedNetwork:
    """A network by the name of its pipeline, ``torchaudio.pipelines.<name>``.

    Raises:
        ConfigError: torchaudio has none of that name; names the nearest.
    """
    from torchaudio import pipelines

    known = {key: value for key, value in vars(pipelines).items() if isinstance(value, pipelines.Wav2Vec2Bundle)}
    if name not in known:
        near = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: custom, {', '.join(sorted(known))}"
        raise ConfigError(f"speech_model.name: torchaudio has no network '{name}'", hint=hint)
    found = known[name]
    url = found._path if found._path.startswith("https://") else ADDRESS + found._path
    return PublishedNetwork(found._model_type.lower(), found._params, found._normalize_waveform, url)


def speech_weights_path(config: SpeechModelConfig) -> Path:
    """The file that ``speech_model.weights`` names: a path, or the name of a file in the folder of weights.

    Raises:
        ConfigError: there is none; says how to get it.
    """
    path = Path(config.weights)
    if not path.is_file() and path.name == config.weights:
        path = weights_folder() / path
    if not path.is_file():
        raise ConfigError(f"speech_model.weights: no such file: {config.weights}", hint=speech_weights_remedy(config))
    return path


def speech_weights_remedy(config: SpeechModelConfig) -> str:
    """What to do when ``speech_model.weights`` does not serve."""
    if config.name == "custom":
        return "give a file of weights in torchaudio's layout, of the network that speech_model.sizes describes"
    url = torchaudio_network(config.name).url
    name = url.rpartition("/")[2]
    return f"fetch it once: curl -L --create-dirs -o {weights_folder() / name} {url}; then set speech_model.weights: {name}"


def check_speech_model(config: ExperimentConfig) -> None:
    """Refuse a speech model that cannot be built, or that cannot read the features.

    Raises:
        ConfigError: the first impossible setting.
    """
    settings, front_end = config.speech_model, config.front_end_settings
    if settings.name == "none":
        if front_end is not None and front_end.type == "wave":
            what = f"the front end '{front_end.name}' gives samples, but speech_model.name is none"
            raise ConfigError(what, hint="name the speech model that reads them, or use front_end: fbank")
        return
    if front_end is not None and front_end.type != "wave":
        what = f"speech_model.name is {settings.name}, but the front end '{front_end.name}' gives log-mel features, not samples"
        raise ConfigError(what, hint="set front_end: wave")
    if config.normalisation != "none":
        what = f"normalisation is {config.normalisation}, which would treat every hundredth second's samples as mel bins"
        raise ConfigError(what, hint="set normalisation: none; the speech model brings samples to its own scale")
    if config.compat:
        raise ConfigError("compat is true, but the released code has no speech model", hint="set compat: false")
    _check_sizes(settings)
    if settings.weights != "none":
        speech_weights_path(settings)


def _check_sizes(settings: SpeechModelConfig) -> None:
    sizes = settings.sizes
    if settings.name == "custom":
        layers = sizes.encoder_num_layers
        for key in ("extractor_width", "encoder_embed_dim", "encoder_num_layers", "encoder_num_heads",
                    "encoder_ff_interm_features", "encoder_pos_conv_kernel", "encoder_pos_conv_groups"):  # fmt: skip
            if getattr(sizes, key) < 1:
                raise ConfigError(f"speech_model.sizes.{key} is {getattr(sizes, key)}", hint="give a number of at least 1")
        for key in ("encoder_num_heads", "encoder_pos_conv_groups"):
            if sizes.encoder_embed_dim % getattr(sizes, key):
                what = f"speech_model.sizes.{key} is {getattr(sizes, key)}, encoder_embed_dim {sizes.encoder_embed_dim}"
                raise ConfigError(what, hint="the one must divide the other")
        if not 0 <= sizes.dropout < 1:
            raise ConfigError(f"speech_model.sizes.dropout is {sizes.dropout}", hint="give a number from 0 to below 1")
    else:
        layers = torchaudio_network(settings.name).arguments["encoder_num_layers"]
    if not 0 <= settings.layer <= layers:
        what = f"speech_model.layer is {settings.layer}, {settings.name} has {layers} layers"
        raise ConfigError(what, hint=f"give a number from 1 to {layers}, or 0 for the last")
    if settings.rate_factor <= 0:
        what = f"speech_model.rate_factor is {settings.rate_factor}"
        raise ConfigError(what, hint="give a number above 0; tune: nothing keeps the model as it is")
