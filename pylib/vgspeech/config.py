"""Experiment settings: dataclasses are the schema, YAML files fill them, ``--set a.b=c`` overrides single values.

An unknown key is an error that names the nearest known one; a value of the wrong type is an error that says what is
expected. Nothing is guessed: YAML 1.1 reads ``no`` as false and ``1e-3`` as text, so numbers in text form are converted
where a number is expected and a false where text is expected is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from vgspeech.errors import ConfigError
from vgspeech.files import atomic_write
from vgspeech.yaml_text import read_yaml

Schema = TypeVar("Schema")


@dataclass(frozen=True)
class FrontEndConfig:
    """From waveform to feature frames (``conf/fbank.yaml``)."""

    name: str = "fbank"
    """Names the folder entry ``feats/<name>.scp``; a model refuses features of another front end."""
    type: Literal["fbank", "davenet", "wave"] = "fbank"
    """``fbank``: Kaldi log-mel energies. ``davenet``: the log-mel of the released checkpoints (dB below the maximum).
    ``wave``: the samples themselves, for a ``speech_model``; a frame is a row of 10 ms."""
    sample_rate: int = 16000
    num_mel_bins: int = 40
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    # The keys below concern fbank only; the davenet front end is fixed by the released code.
    window_type: Literal["hamming", "hanning", "povey", "rectangular", "blackman"] = "hamming"
    dither: float = 0.0
    snip_edges: bool = False
    low_freq: float = 20.0
    high_freq: float = 0.0
    preemphasis: float = 0.97

    @property
    def width(self) -> int:
        """Numbers in a frame: mel bands, or samples."""
        return round(self.sample_rate * self.frame_shift_ms / 1000) if self.type == "wave" else self.num_mel_bins


@dataclass(frozen=True)
class SpeechModelSizes:
    """The parts of a wav2vec 2.0, HuBERT or WavLM network in which networks of these families differ (``speech_model.name:
    custom``); names and meaning are those of ``torchaudio.models.wav2vec2_model``. Published ones need none of it."""

    family: Literal["wav2vec2", "wavlm"] = "wav2vec2"
    extractor_mode: Literal["group_norm", "layer_norm"] = "group_norm"
    extractor_conv_bias: bool = False
    extractor_width: int = 512
    """Channels of all seven convolutions; their kernels and strides are the same in all published networks."""
    encoder_embed_dim: int = 768
    encoder_num_layers: int = 12
    encoder_num_heads: int = 12
    encoder_ff_interm_features: int = 3072
    encoder_layer_norm_first: bool = False
    encoder_pos_conv_kernel: int = 128
    encoder_pos_conv_groups: int = 16
    dropout: float = 0.1
    """Of projection, attention and outputs, where the network is tuned."""
    normalize_waveform: bool = False
    """Samples of a caption are brought to mean 0 and variance 1 first."""


@dataclass(frozen=True)
class SpeechModelConfig:
    """A self-supervised speech model below the audio encoders, one for all languages; it reads a ``wave`` front end."""

    name: str = "none"
    """``none``; a network of torchaudio's (WAV2VEC2_BASE, HUBERT_BASE, WAVLM_BASE_PLUS, WAV2VEC2_XLSR53 ...); or ``custom``."""
    weights: str = "none"
    """Its file, in torchaudio's layout: a path, or a name in the folder of weights (``$VGS_WEIGHTS``, else ``weights/``)."""
    layer: int = 0
    """The transformer layer whose output the audio encoders read, from 1; layers above it are not built. 0: the last."""
    tune: Literal["nothing", "transformer", "all"] = "nothing"
    """What of it learns: nothing (frozen, without dropout); all but the convolutions; all."""
    rate_factor: float = 0.1
    """Its learning rate as a part of ``training.learning_rate``, where it learns."""
    sizes: SpeechModelSizes = field(default_factory=SpeechModelSizes)
    """Of ``custom`` only."""


@dataclass(frozen=True)
class AudioEncoderConfig:
    """One audio encoder; every language gets its own with these settings."""

    type: Literal["resdavenet", "davenet"] = "resdavenet"
    stem_width: int = 128
    stem_kernel: int = 1
    """Width in frames of the stem convolution, which spans all mel bands (released: 1)."""
    stem_stride: int = 1
    widths: tuple[int, ...] = (256, 256, 512, 1024)
    """Channels of the residual stages (ResDAVEnet); each stage halves the frame rate."""
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Residual blocks in each stage."""
    kernel: int = 9
    """Width in frames of the convolutions inside residual blocks."""
    quantizers: tuple[int, ...] = ()
    """Positions 1 to 5 of vector quantisers: 1 after the stem, n + 1 after stage n."""
    codebook_size: int = 1024
    codebook_decay: float = 0.99
    commitment_weight: float = 1.0
    jitter: float = 0.12
    """Chance that a frame is replaced by its left, and by its right, neighbour after positions 1 and 2 in training."""
    projection: bool = False
    """Add a 1x1 convolution to ``embedding_dim`` after the last stage (else its width must be ``embedding_dim``)."""
    last_pool: bool = True
    """DAVEnet only: the fourth pooling, 16 input frames an output frame instead of 8."""


@dataclass(frozen=True)
class ImageEncoderConfig:
    """The image encoder: a grid of cells, each a vector of ``embedding_dim``."""

    type: Literal["resnet18", "resnet34", "resnet50", "vgg16", "small"] = "resnet50"
    weights: str = "none"
    """``none`` (from scratch), a name that ``local/fetch_weights.sh --list`` shows, or a file in torchvision's layout."""
    image_size: int = 224
    """Side in pixels of the square that the network sees."""
    resize: int = 256
    """Evaluation: the shorter side is resized to this before the centre crop."""
    stem_width: int = 16
    widths: tuple[int, ...] = (32, 64, 128)
    """``small`` only: channels of its residual stages of one block; stem and each stage halve the resolution."""
    clip_pooling: Literal["mean", "max"] = "mean"
    """How the video frames of a clip become one grid: ``vgspeech/models/image.py``. Stills have nothing to pool."""


SimilarityType = Literal["SISA", "MISA", "SIMA"]


@dataclass(frozen=True)
class SimilarityConfig:
    """How an image grid and a caption's frames become one number."""

    type: SimilarityType = "SISA"
    normalise: bool = False
    """L2-normalise the two pooled vectors (SISA), or every cell and frame (MISA, SIMA)."""


@dataclass(frozen=True)
class LossConfig:
    """The objective; one term for every pair of image and languages, both directions of it."""

    type: Literal["infonce", "masked_margin", "adaptive_margin", "triplet"] = "triplet"
    """Formulas and sources: ``vgspeech/losses.py``. Every one goes with every similarity."""
    mining: tuple[Literal["sampled", "semihard", "hard"], ...] = ("sampled", "semihard")
    """Triplet: which impostors; their hinge terms are summed."""
    margin: float = 1.0
    """triplet: of the hinge. masked_margin: taken off a match's similarity (published: 0.001 to 1, scale 1)."""
    margin_factor: float = 0.5
    """adaptive_margin: the margin as a part of what a match scores above the mean of its impostors."""
    scale: float = 14.0
    """All but triplet: factor on the similarities (inverse temperature); the initial value when ``learn_scale``."""
    learn_scale: bool = True
    image_language_weight: float = 1.0
    language_language_weight: float = 1.0
    """0 leaves the image as the only bridge between the languages."""


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training inputs; all off by default."""

    image_crop_scale: float = 1.0
    """Smallest area fraction of a random resized crop; 1 turns it off (released models: 0.08)."""
    image_shift: int = 0
    """Largest shift in pixels, by padding and cropping."""
    image_flip: bool = False
    tempo: float = 0.0
    """Feature frames are resampled in time by a factor in 1 +- tempo."""
    speed: tuple[float, ...] = ()
    """Each caption is played at one of these speeds, drawn evenly, pitch and formants included: [0.9, 1.0, 1.1]."""
    mel_warp: float = 0.0
    """Mel axis is stretched by a factor in 1 +- mel_warp."""
    mel_shift: float = 0.0
    """Mel axis is shifted by up to this many bins."""
    frequency_mask: int = 0
    """Widest frequency mask in bins (SpecAugment)."""
    time_mask: int = 0
    """Widest time mask in frames (SpecAugment)."""
    masks: int = 1
    """Masks of each kind in a caption."""
    random_crop: bool = False
    """Captions longer than ``training.max_frames`` keep a random stretch of it, another each epoch, not their start."""


@dataclass(frozen=True)
class TrainingConfig:
    """The training loop."""

    epochs: int = 60
    batch_size: int = 64
    """Images in a batch over all processes, each with one caption of every language that it has."""
    max_frames: int = 2048
    """Longer captions are cut at the end (training only; see ``augment.random_crop``)."""
    length_pool: int = 0
    """Batches hold captions of similar length: images are sorted by it within this many batches; 0 leaves chance."""
    accumulate: int = 1
    """Batches whose gradients are averaged for one update; impostors come from the own batch (else raise batch_size
    and set gradient_cache)."""
    gradient_cache: int = 0
    """Rows (at least 2) that a process encodes at once, so that a batch may exceed memory; 0: all. The loss is still
    that of the whole batch, batch statistics are those of a part: see ``vgspeech/training/gradient_cache.py``."""
    init_from: str = "none"
    """Model directory, or file of weights, to start from; parameters that it lacks stay as initialised."""
    init_audio: str = "none"
    """The language of that model whose audio encoder those languages start from that it lacks."""
    codebook_start: Literal["kmeans", "random"] = "kmeans"
    """Codebooks that ``init_from`` lacks: k-means of their layer's frames under its weights, or N(0, 1) (released)."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    """Not applied to biases, normalisation layers and the similarity scale."""
    schedule: Literal["onecycle", "cosine", "step", "constant"] = "onecycle"
    """How the rate moves: ``vgspeech/training/schedule.py``."""
    warmup: float = 0.2
    """onecycle: fraction of all steps that the rate rises."""
    warmup_epochs: float = 0.0
    """cosine, step and constant: the rate rises linearly for so many epochs first."""
    step_epochs: int = 3
    """step: the rate is multiplied by ``step_factor`` every so many epochs."""
    step_factor: float = 0.95
    clip_norm: float = 5.0
    """Largest gradient norm; 0 turns clipping off."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the encoders (autocast); scores, losses and weights are float32. float16 scales the loss (for GPUs without
    bfloat16). auto: float32 or bfloat16, the faster by a short timing at the first start, then written down and kept."""
    recompute: bool = False
    """Keep only the inputs of residual blocks and compute the rest again when gradients are taken: about half the memory,
    a quarter more time, the same numbers (ResDAVEnet, and all image encoders)."""
    compile: bool = False
    """Compile the image encoder with torch.compile: a slow first step, then faster ones on a GPU. Needs a C++ compiler."""
    freeze_image_epochs: int = 0
    """The image encoder, its batch statistics too, stays as it is for so many epochs; -1: for ever."""
    freeze_image: Literal["encoder", "backbone"] = "encoder"
    """What of it stays: all, or all but its last convolution, which has to be learned where ``image.weights`` are those of
    another task."""
    cache_grids: bool = False
    """The frozen backbone sees every image once, before the first epoch; epochs read what it gave from memory, within
    ``image_cache_gb``. For freeze_image_epochs: -1, and images that are at most flipped (both sides are kept)."""
    weight_average: float = 0.0
    """Decay of a moving average of the weights, which is then validated and kept instead of them; 0: none, often 0.999."""
    revive_codes: bool = False
    """Codes that no frame chose in an epoch restart beside a code in use (``vgspeech/training/codebooks.py``)."""
    loader_workers: int = 0
    image_cache_gb: float = 2.0
    """Decoded images stay in memory up to this size."""
    feature_cache_gb: float = 1.0
    """Features stay in memory when those of all languages fit into this."""
    checkpoint_minutes: float = 10.0
    """Checkpoints are written at every epoch's end and, within an epoch, this often."""
    validate_every: int = 5
    """Epochs between retrieval scores on the development set."""
    patience: int = 0
    """Training ends after so many validations in a row without a better one; 0: after ``epochs``."""
    keep_best: int = 1
    """Weights of so many epochs are kept, the best on the development set: best.pt, beyond 1 also
    checkpoints/best-epoch-N.pt."""
    tensorboard: bool = False
    """Also write the numbers of metrics.jsonl for TensorBoard, to ``tensorboard/`` in the model directory."""
    shuffle_captions: bool = False
    """A control that must not learn: captions dealt out to the images at random, in each language on its own."""


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a model and its training (``conf/mini.yaml``, ``conf/resdavenet.yaml``, ...)."""

    languages: tuple[str, ...] = ("en",)
    """BCP-47 or ISO 639-3 tags; the order is that of all tables."""
    front_end: str = "fbank"
    """Name of the features that the model reads."""
    normalisation: Literal["none", "utterance"] = "utterance"
    """Of the features, when they are loaded: per utterance and bin to mean 0 and variance 1, or not at all."""
    embedding_dim: int = 1024
    speech_model: SpeechModelConfig = field(default_factory=SpeechModelConfig)
    audio: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    similarity: SimilarityConfig = field(default_factory=SimilarityConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    compat: bool = False
    """Reproduce the released code's quirks that change numbers (see docs/design.md)."""
    seed: int = 1
    front_end_settings: FrontEndConfig | None = None
    """Filled in when the model directory is made: the features' own settings, checked at embedding."""


def load_config(
    schema: type[Schema],
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    where: str | None = None,
    option: str = "--set",
) -> Schema:
    """Read a YAML file into a dataclass.

    Args:
        schema: the dataclass, with dataclass fields for sections.
        path: the YAML file; None takes the defaults.
        overrides: ``a.b=c`` settings applied after the file, c in YAML syntax.
        where: how to call the file in messages; its path by default.
        option: how the user gives overrides, for messages.

    Raises:
        ConfigError: no such file, not YAML, unknown key (the message names the nearest), wrong type.
    """
    values: Any = {}
    where = where or str(path or "defaults")
    if path is not None:
        try:
            values = read_yaml(Path(path).read_text(encoding="utf-8")) or {}
        except FileNotFoundError as error:
            hint = "those that come with a recipe lie in its conf folder"
            raise ConfigError("no such configuration file", where=where, hint=hint) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"not YAML: {error}", where=where) from error
        if not isinstance(values, dict):
            raise ConfigError("expected 'key: value' lines at the top level", where=where)
    config = from_values(schema, values, where)
    for override in overrides:  # one by one, so that a message names the one that is wrong
        _apply_override(values, override, option)
        config = from_values(schema, values, where=f"{option} {override}")
    return config


def save_config(config: Any, path: str | Path) -> None:
    """Write a configuration dataclass as YAML, atomically; ``load_config`` reads it back equal."""
    with atomic_write(path) as stream:
        yaml.safe_dump(plain_values(config), stream, sort_keys=False, allow_unicode=True, width=120)


def plain_values(value: Any) -> Any:
    """A configuration dataclass as dictionaries and lists; ``from_values`` reads it back equal."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain_values(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain_values(item) for item in value]
    return value


def from_values(schema: type[Schema], values: Any, where: str) -> Schema:
    """A dataclass from dictionaries and lists, as `load_config` reads it from a file.

    Raises:
        ConfigError: unknown key, wrong type.
    """
    return typing.cast(Schema, _build(schema, values, prefix="", where=where))


def _apply_override(values: dict[str, Any], override: str, option: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"expected a.b=value, got '{override}'", where=option)
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"value of '{override}' is not YAML: {error}", where=option) from error
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"'{section}' in '{override}' is not a section", where=option)
    values[last] = value


def _build(schema: Any, values: Any, prefix: str, where: str) -> Any:
    """A dataclass from nested dictionaries."""
    hints = typing.get_type_hints(schema)
    fields = {f.name: f for f in dataclasses.fields(schema)}
    known = list(fields)
    if not isinstance(values, dict):
        hint = f"give one of its keys: {', '.join(f'{prefix}{name}' for name in known)}"
        raise ConfigError(f"'{prefix.rstrip('.')}' is a section of keys, not {values!r}", where=where, hint=hint)
    arguments = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{prefix}{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f"unknown key '{prefix}{key}'", where=where, hint=hint)
        arguments[key] = _convert(hints[key], value, f"{prefix}{key}", where, _default(fields[key], f"{prefix}{key}"))
    return schema(**arguments)


def _default(field: dataclasses.Field[Any], key: str) -> str | None:
    """A value that would do, in YAML, for those who gave one that does not."""
    if field.default is dataclasses.MISSING:
        return None
    return f"the default is {key}: {json.dumps(plain_values(field.default), ensure_ascii=False)}"


def _convert(hint: Any, value: Any, key: str, where: str, remedy: str | None) -> Any:
    """``value`` as type ``hint``, or a ConfigError with the remedy."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (hint,) = [arg for arg in args if arg is not type(None)]
        return _convert(hint, value, key, where, remedy)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{key}.", where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"'{key}' is a list, for example [a, b], not {value!r}", where=where, hint=remedy)
        return tuple(_convert(args[0], item, f"{key}[{i}]", where, remedy) for i, item in enumerate(value))
    if origin is Literal:
        if value in args and not isinstance(value, bool):
            return value
        near = difflib.get_close_matches(str(value), [str(a) for a in args], n=1)
        hint_text = f"did you mean '{near[0]}'?" if near else remedy
        choices = ", ".join(str(a) for a in args)
        raise ConfigError(f"'{key}' is one of {choices}, not {value!r}", where=where, hint=hint_text)
    if hint is float and isinstance(value, str):
        with contextlib.suppress(ValueError):  # YAML 1.1 reads 1e-3 as text
            value = float(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is hint and (hint is not float or math.isfinite(value)):
        return value
    expected = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}[hint]
    if hint is str:
        remedy = "put it in quotes: YAML reads a bare no, yes, on or off as true or false"
    raise ConfigError(f"'{key}' is {expected}, not {value!r}", where=where, hint=remedy)
