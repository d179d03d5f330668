"""A few records in the layouts of the Places Audio releases, for tests to damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

SPLITS = ("train", "dev", "test")


class SmallRelease:
    """English and Hindi captions of a few images a split, below ``root``; metadata are written anew by ``save``."""

    def __init__(self, root: Path, images: int = 4) -> None:
        self.english_root = root / "PlacesAudio_small"
        self.hindi_root = root / "PlacesHindi_small"
        self.images = root / "images"
        self.english: dict[str, list[dict[str, Any]]] = {}
        self.hindi: dict[str, list[dict[str, Any]]] = {}
        for split in SPLITS:
            names = [f"{split[0]}/{split}/img {number}.jpg" for number in range(images)]
            for name in names:
                write_image(self.images / name)
            self.english[split] = [self._english(split, number, name) for number, name in enumerate(names)]
            self.hindi[split] = [self._hindi(split, number, name) for number, name in enumerate(names)]
        self.save()

    def _english(self, split: str, number: int, image: str) -> dict[str, Any]:
        wav = f"wavs/{number}/{split}_{number}.wav"
        write_wav(self.english_root / wav, 1.0 + number / 10)
        speaker = f"spk{split}{number % 2}"
        record = {"uttid": f"{speaker}-{split}_{number}", "speaker": speaker, "asr_text": f"a  picture {number}"}
        return {**record, "wav": wav, "image": image, "text_alignment": "0.1__A__0.3 0.3__PICTURE__0.75"}

    def _hindi(self, split: str, number: int, image: str) -> dict[str, Any]:
        write_wav(self.hindi_root / f"hindi_wavs/{split}/{split}_{number}.wav", 1.2 + number / 10)
        wav = f"data/old/hindi_wavs/{split}/{split}_{number}.wav"
        record = {"speaker": f"s{number % 2}{split}", "wav": wav, "image": "/" + image}
        return {**record, "asr_text": "एक तस्वीर"} if number else record

    def save(self) -> None:
        """Write all metadata files."""
        for split in SPLITS:
            write_json(
                self.english_root / "metadata" / f"{'val' if split == 'dev' else split}.json", self.english[split]
            )
            write_json(self.hindi_root / f"PlacesHindi_small_{split}.json", self.hindi[split])


def write_json(path: Path, records: list[Any]) -> None:
    """Write a metadata file, one line for each key and value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    top = {"image_base_path": "/nowhere", "audio_base_path": "/nowhere", "data": records}
    path.write_text(json.dumps(top, ensure_ascii=False, indent=1), encoding="utf-8")


def write_wav(path: Path, seconds: float, rate: int = 16000) -> None:
    """Write noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).integers(-3000, 3000, round(seconds * rate)).astype(np.int16)
    soundfile.write(path, samples, rate, subtype="PCM_16")


def write_image(path: Path, size: tuple[int, int] = (32, 24)) -> None:
    """Write a grey picture in the format that the extension names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (120, 120, 120)).save(path)
