"""A corpus of a few coloured squares and tones, as stages 0 to 2 would leave it: enough to train a micro model on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from vgspeech.archive import ArchiveWriter, BlobWriter
from vgspeech.config import (
    AudioEncoderConfig,
    AugmentConfig,
    ExperimentConfig,
    FrontEndConfig,
    ImageEncoderConfig,
    LossConfig,
    SimilarityConfig,
    TrainingConfig,
    save_config,
)
from vgspeech.tables import write_table

BINS = 8
FRONT_END = FrontEndConfig(num_mel_bins=BINS)


def micro_config(**training: object) -> ExperimentConfig:
    settings = {"epochs": 3, "batch_size": 5, "precision": "float32", "validate_every": 1, "learning_rate": 1e-2}
    return ExperimentConfig(
        languages=("en", "hi"),
        embedding_dim=16,
        audio=AudioEncoderConfig(
            stem_width=8,
            stem_kernel=3,
            stem_stride=2,
            widths=(8, 12),
            blocks=(1, 1),
            kernel=3,
            projection=True,
            jitter=0.0,
        ),
        image=ImageEncoderConfig(type="small", image_size=16, resize=16, stem_width=4, widths=(6, 8)),
        similarity=SimilarityConfig(normalise=True),
        loss=LossConfig(type="infonce"),
        augment=AugmentConfig(image_shift=1, image_flip=True, tempo=0.1, frequency_mask=2, time_mask=2),
        training=TrainingConfig(**{**settings, **training}),
        seed=3,
        front_end_settings=FRONT_END,
    )


def make_corpus(
    data: Path, images: dict[str, int], captions: int = 1, skip_hindi: int = 0, clip_frames: int = 0, still: bool = False
) -> Path:
    """Write ``images[split]`` images a split, each with ``captions`` captions a language.

    Args:
        skip_hindi: this many images of each split have no Hindi caption.
        clip_frames: every second image is a clip of so many video frames; 0 makes stills only.
        still: nothing moves in the clips: all video frames of one are the same.
    """
    generator = np.random.default_rng(5)
    for split, count in images.items():
        ids = [f"{split}-{n:03}" for n in range(count)]
        folder = data / "images" / split
        folder.mkdir(parents=True)
        clips: dict[str, str] = {}
        files: list[str] = []
        with BlobWriter(folder / "packed.ark", folder / "packed.scp") as writer:
            for number, image in enumerate(ids):
                frames = [f"{image}@{n:02d}" for n in range(clip_frames)] if number % 2 else []
                pictures = [_png(number, generator) for _ in frames or [image]]
                for name, picture in zip(frames or [image], pictures, strict=True):
                    writer.write(name, pictures[0] if still else picture)
                clips |= {image: " ".join(frames)} if frames else {}
                files += frames or [image]
        if clips:
            write_table(folder / "images.scp", {name: f"{name}.png" for name in files})
            write_table(folder / "image2frames", clips)
        for language in ("en", "hi"):
            described = ids[skip_hindi:] if language == "hi" else ids
            _speech(data / "speech" / f"{split}_{language}", described, captions, generator)
    return data


def _png(number: int, generator: np.random.Generator) -> bytes:
    pixels = generator.integers(0, 40, (16, 16, 3), dtype=np.uint8)
    pixels[4:12, 4:12] = [(60 * number) % 256, (110 * number) % 256, (25 * number) % 256]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _speech(folder: Path, images: list[str], captions: int, generator: np.random.Generator) -> None:
    (folder / "feats").mkdir(parents=True)
    utt2image, lengths = {}, {}
    with ArchiveWriter(folder / "feats/fbank.1.ark", folder / "feats/fbank.scp") as writer:
        for number, image in enumerate(images):
            for take in range(captions):
                utterance = f"{image}-{take}"
                frames = generator.normal(size=(int(generator.integers(20, 45)), BINS)).astype(np.float32)
                frames[5:10, number % BINS] += 6.0  # two tones name the image
                frames[10:15, number // BINS] += 6.0
                writer.write(utterance, frames)
                utt2image[utterance] = image
                lengths[utterance] = str(len(frames))
    save_config(FRONT_END, folder / "feats/fbank.yaml")
    write_table(folder / "feats/fbank.utt2num_frames", lengths)
    write_table(folder / "utt2image", utt2image)
