"""A speech model of torchaudio's with a few channels, its file of weights, and a corpus of samples for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio

from micro_corpus import make_corpus, micro_config
from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.config import (
    AugmentConfig,
    ExperimentConfig,
    FrontEndConfig,
    SpeechModelConfig,
    SpeechModelSizes,
    save_config,
)

WAVE = FrontEndConfig(name="wave", type="wave")
LAYERS = 3


def tiny_sizes(family: str = "wav2vec2", mode: str = "group_norm") -> SpeechModelSizes:
    large = mode == "layer_norm"  # the large published networks differ from the base ones in all three
    return SpeechModelSizes(
        family=family,  # type: ignore[arg-type]
        extractor_mode=mode,  # type: ignore[arg-type]
        extractor_width=8,
        encoder_embed_dim=16,
        encoder_num_layers=LAYERS,
        encoder_num_heads=2,
        encoder_ff_interm_features=24,
        encoder_layer_norm_first=large,
        encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=4,
        normalize_waveform=large,
    )


def torchaudio_model(family: str = "wav2vec2", mode: str = "group_norm", **more: Any) -> torch.nn.Module:
    """The same network by torchaudio's own function, whose arguments are written out here once more."""
    shapes = [(8, 10, 5), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 2, 2), (8, 2, 2)]
    arguments: dict[str, Any] = {
        "extractor_mode": mode, "extractor_conv_layer_config": shapes, "extractor_conv_bias": False, "encoder_embed_dim": 16,
        "encoder_projection_dropout": 0.1, "encoder_pos_conv_kernel": 8, "encoder_pos_conv_groups": 4,
        "encoder_num_layers": LAYERS, "encoder_num_heads": 2, "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_features": 24, "encoder_ff_interm_dropout": 0.1, "encoder_dropout": 0.1,
        "encoder_layer_norm_first": mode == "layer_norm", "encoder_layer_drop": 0.0, "aux_num_out": None,
    }  # fmt: skip
    if family == "wavlm":
        arguments |= {"encoder_num_buckets": 320, "encoder_max_distance": 800}
    torch.manual_seed(11)
    build = torchaudio.models.wavlm_model if family == "wavlm" else torchaudio.models.wav2vec2_model
    return build(**{**arguments, **more}).eval()


def write_weights(path: Path, family: str = "wav2vec2", mode: str = "group_norm", **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(torchaudio_model(family, mode, **more).state_dict(), path)
    return path


def wave_config(weights: str | Path = "none", tune: str = "nothing", layer: int = 0, **training: object) -> ExperimentConfig:
    speech = SpeechModelConfig("custom", str(weights), layer, tune, sizes=tiny_sizes())  # type: ignore[arg-type]
    config = micro_config(**training)
    return replace(
        config,
        front_end="wave",
        normalisation="none",
        speech_model=speech,
        audio=replace(config.audio, stem_stride=1),
        augment=AugmentConfig(image_shift=1, image_flip=True, time_mask=4),
        front_end_settings=WAVE,
    )


def make_wave_corpus(data: Path, images: dict[str, int]) -> Path:
    """`make_corpus` with samples beside its features, as many rows as these have frames; a tone names the image."""
    make_corpus(data, images)
    for folder in sorted((data / "speech").iterdir()):
        generator = np.random.default_rng(len(folder.name))
        fbank = ArchiveReader(folder / "feats/fbank.scp")
        with ArchiveWriter(folder / "feats/wave.1.ark", folder / "feats/wave.scp") as writer:
            for number, utterance in enumerate(fbank):
                rows = len(fbank[utterance])
                tone = np.sin(np.arange(rows * 160) * (0.1 + 0.05 * number))
                noise = generator.normal(size=rows * 160)
                writer.write(utterance, (0.2 * tone + 0.02 * noise).astype(np.float32).reshape(rows, 160))
        save_config(WAVE, folder / "feats/wave.yaml")
    return data
