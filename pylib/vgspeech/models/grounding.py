"""The grounding model: one image encoder, one audio encoder for each language, one embedding space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgspeech.audio import frame_timing
from vgspeech.config import ExperimentConfig, FrontEndConfig
from vgspeech.errors import DataError
from vgspeech.model_check import check_model_config
from vgspeech.models.davenet import Davenet
from vgspeech.models.encoder import AudioEncoder
from vgspeech.models.image import build_image_encoder
from vgspeech.models.masked import Frames
from vgspeech.models.quantizer import VectorQuantizer
from vgspeech.models.resdavenet import ResDavenet
from vgspeech.models.speech import build_speech_model

_LARGEST_SCALE = 100.0


class AudioInfo(NamedTuple):
    """Time of the output frames: frame t is centred at ``frame_offset_s + t * frame_shift_s`` seconds."""

    frame_shift_s: float
    frame_offset_s: float


class GroundingModel(nn.Module):
    """Encoders of images and of speech in ``config.languages``, built by :func:`build_model`."""

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__()
        self.config = config
        self.speech_model = build_speech_model(config.speech_model)
        bins = self.speech_model.width if self.speech_model else front_end_of(config).width
        encoder = Davenet if config.audio.type == "davenet" else ResDavenet
        self.audio = nn.ModuleDict(
            {lang: encoder(config.audio, bins, config.embedding_dim, config.compat) for lang in config.languages}
        )
        self.image = build_image_encoder(config.image, config.embedding_dim)
        for module in self.modules():
            if hasattr(module, "recompute"):
                setattr(module, "recompute", config.training.recompute)  # noqa: B010  # a Module's attributes have no type
        learned = config.loss.type != "triplet" and config.loss.learn_scale
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.loss.scale)), requires_grad=learned)

    def encode_audio(self, lang: str, feats: Tensor, lengths: Tensor) -> Frames:
        """Captions of one language to frames of the embedding space.

        Args:
            lang: one of ``config.languages``.
            feats: (B, T, F) normalised features, or samples for a speech model; what lies beyond a caption's length has no
                influence.
            lengths: (B,) valid frames, at least 1; best kept on the CPU.

        Returns:
            Values (B, T', D), zero beyond the returned lengths: ceil(length / stride) frames.
        """
        encoder = self.audio_encoder(lang)
        if self.speech_model is not None:
            feats, lengths = self.speech_model(feats, lengths)
        frames: Frames = encoder(*self._as_released(feats, lengths))
        return frames

    def encode_images(self, images: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Pictures to grids (B, H', W', D).

        Args:
            images: (F, 3, H, W) ImageNet-normalised; those of one picture (the video frames of a clip) one after the other.
            counts: number of images of each of the B pictures; None when every image is a picture.
        """
        clips = _clips(images, counts)
        grids: Tensor = self.image(images) if clips is None else self.image(images, clips)
        return grids

    def image_features(self, images: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """The first part of :meth:`encode_images`: what the backbone gives, (B, C, H', W')."""
        return self.image.features(images, _clips(images, counts))

    def embed_features(self, features: Tensor) -> Tensor:
        """The rest of it: (B, C, H', W') to grids (B, H', W', D)."""
        return self.image.embed(features)

    def audio_layers(self, lang: str, feats: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """Intermediate outputs of an audio encoder by name, and its codes where quantised; below them, as ``speech_model``, the
        frames of one."""
        encoder, below = self.audio_encoder(lang), dict[str, Frames]()
        if self.speech_model is not None:
            below["speech_model"] = self.speech_model(feats, lengths)
            feats, lengths = below["speech_model"]
        return below | encoder.layers(*self._as_released(feats, lengths))

    def _as_released(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """With ``compat``, every caption is cut or padded with zeros to ``training.max_frames``, as the released loader does:
        its networks read padding, so that their output depends on how much of it there is."""
        if not self.config.compat:
            return feats, lengths
        width = self.config.training.max_frames
        inside = torch.arange(feats.shape[1], device=feats.device) < lengths.to(feats.device)[:, None]
        feats = torch.where(inside[..., None], feats, 0.0)
        return F.pad(feats, (0, 0, 0, width - feats.shape[1])), lengths.clamp_max(width)

    def audio_encoder(self, lang: str) -> AudioEncoder:
        """The encoder of a language.

        Raises:
            DataError: the model has none.
        """
        if lang not in self.audio:
            raise DataError(f"the model has no language '{lang}'", hint=f"it has: {', '.join(self.config.languages)}")
        return cast(AudioEncoder, self.audio[lang])

    def audio_info(self, lang: str) -> AudioInfo:
        """Shift and centre of a language's output frames in seconds.

        Every layer is centred, so output frame t stands at the centre of feature frame t * stride (or, with a speech model, of
        its frame).
        """
        front_end = front_end_of(self.config)
        offset = self.speech_model.first_centre_s if self.speech_model else frame_timing(front_end)[1]
        return AudioInfo(self.audio_stride(lang) * front_end.frame_shift_ms / 1000, offset)

    def audio_stride(self, lang: str) -> int:
        """Feature frames for each output frame of a language."""
        return self.audio_encoder(lang).stride * (self.speech_model.stride if self.speech_model else 1)

    def scale(self) -> Tensor:
        """Factor on the similarities in all losses but the triplet: a scalar with gradient when learned, at most 100."""
        return self.log_scale.exp().clamp_max(_LARGEST_SCALE)

    def quantizers(self) -> dict[str, VectorQuantizer]:
        """All codebooks as ``<lang>/quant<position>``."""
        return {
            f"{lang}/quant{position}": quantizer
            for lang in self.config.languages
            for position, quantizer in self.audio_encoder(lang).quantizers.items()
        }

    def take_commitment_loss(self) -> Tensor | None:
        """Sum of the commitment losses since the last call, to be added to the objective; None without quantisers."""
        losses = []
        for encoder in map(self.audio_encoder, self.config.languages):
            if encoder.commitment_loss is not None:
                losses.append(encoder.commitment_loss)
                encoder.commitment_loss = None
        return torch.stack(losses).sum() if losses else None

    def update_codebooks(self) -> None:
        """Move all codebooks once; call after each optimiser step."""
        for quantizer in self.quantizers().values():
            quantizer.update()


def _clips(images: Tensor, counts: Sequence[int] | None) -> list[int] | None:
    """Number of images of each picture, where one has several."""
    return list(counts) if counts is not None and len(counts) != len(images) else None


def front_end_of(config: ExperimentConfig) -> FrontEndConfig:
    """Settings of the features that the model reads: those of the data once known, else the defaults of that name."""
    if config.front_end_settings is not None:
        return config.front_end_settings
    if config.speech_model.name != "none":
        return FrontEndConfig(name=config.front_end, type="wave")
    return FrontEndConfig(name=config.front_end, type="davenet" if config.front_end == "davenet" else "fbank")


def build_model(config: ExperimentConfig) -> GroundingModel:
    """A model with fresh weights, in channels-last memory.

    Raises:
        ConfigError: impossible settings, or a missing file of backbone weights.
    """
    check_model_config(config)
    model = GroundingModel(config)
    return model.to(memory_format=torch.channels_last)
