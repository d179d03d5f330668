"""Lays out the real recordings and pictures of $VGS_TEST_DATA as releases of Places Audio English and Places Hindi."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

ENGLISH_FILES = {"train": "train_2020", "dev": "dev_seen_2020", "test": "test_seen_2020"}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class RealRelease:
    """Where the releases lie, and how much is in them."""

    english: Path
    hindi: Path
    images: Path
    english_captions: int
    hindi_captions: int
    shared_images: int
    """Images with captions in both languages."""


def lay_out(source: Path, target: Path) -> RealRelease:
    """Write both releases below ``target``.

    English holds the words of ``hindi_english_words`` and ``picture_words``, the spoken object labels of ``photos``
    (with word times), and the digits with the pictures of the numbers. Hindi holds ``hindi_english_words``. FLAC
    becomes WAV, as released; images are links. Split by image: about 60 % train, 20 % dev, 20 % test.
    """
    words = json.loads((source / "hindi_english_words/words.json").read_text(encoding="utf-8"))
    english = _english_records(source, words)
    hindi = [_word_record(word, "hi") for word in words]
    for record in english + hindi:
        link = target / "images" / record["image"]
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((source / record["image"]).resolve())
    _write_english(source, target / "PlacesAudio_real", english)
    _write_hindi(source, target / "PlacesHindi_real", hindi)
    shared = {record["image"] for record in english} & {record["image"] for record in hindi}
    return RealRelease(
        target / "PlacesAudio_real",
        target / "PlacesHindi_real",
        target / "images",
        len(english),
        len(hindi),
        len(shared),
    )


def _english_records(source: Path, words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pictures = json.loads((source / "picture_words/words.json").read_text(encoding="utf-8"))
    photos = json.loads((source / "photos/photos.json").read_text(encoding="utf-8"))
    digits = json.loads((source / "english_digits/digits.json").read_text(encoding="utf-8"))
    numerals = {word["text"]["en"]: word["image"] for word in words if word["kind"] == "number"}
    records = [_word_record(word, "en") for word in words]
    records += [_word_record(word, "en") for word in pictures if any(clip["lang"] == "en" for clip in word["audio"])]
    for photo in photos:
        for label in (label for label in photo["spoken_labels"] if label["lang"] == "en"):
            spoken = [dict(word, word=word["word"].replace(" ", "_")) for word in label["words"]]
            records.append(
                {
                    "speaker": label["speaker"],
                    "asr_text": " ".join(word["word"] for word in spoken),
                    "text_alignment": " ".join(f"{w['start']}__{w['word'].upper()}__{w['end']}" for w in spoken),
                    "source": label["file"],
                    "image": photo["image"],
                }
            )
    for digit in digits:
        image = numerals[DIGITS[digit["digit"]]]
        records.append(
            {"speaker": digit["speaker"], "asr_text": digit["text"], "source": digit["file"], "image": image}
        )
    return records


def _word_record(word: dict[str, Any], language: str) -> dict[str, Any]:
    (clip,) = [clip for clip in word["audio"] if clip["lang"] == language]
    return {
        "speaker": clip["speaker"],
        "asr_text": word["text"][language],
        "source": clip["file"],
        "image": word["image"],
    }


def _split_of(image: str) -> str:
    return ("train", "train", "train", "dev", "test")[zlib.crc32(image.encode()) % 5]


def _write_english(source: Path, root: Path, records: list[dict[str, Any]]) -> None:
    for number, record in enumerate(records):
        record["uttid"] = f"{record['speaker']}-{Path(record['source']).stem}_{number:04d}"
        record["wav"] = f"wavs/{number % 10}/{record['uttid']}.wav"
        _to_wav(source / record["source"], root / record["wav"])
    for split, name in ENGLISH_FILES.items():
        _write_metadata(root / "metadata" / f"{name}.json", [r for r in records if _split_of(r["image"]) == split])


def _write_hindi(source: Path, root: Path, records: list[dict[str, Any]]) -> None:
    for record in records:
        place = f"hindi_wavs/{_split_of(record['image'])}/{Path(record['source']).stem}.wav"
        _to_wav(source / record["source"], root / place)
        record["wav"] = f"old/disk/{place}"
    for split in ENGLISH_FILES:
        _write_metadata(root / f"PlacesHindi_real_{split}.json", [r for r in records if _split_of(r["image"]) == split])


def _to_wav(flac: Path, wav: Path) -> None:
    wav.parent.mkdir(parents=True, exist_ok=True)
    samples, rate = soundfile.read(flac, dtype="int16")
    soundfile.write(wav, samples, rate, subtype="PCM_16")


def _write_metadata(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = [{key: value for key, value in record.items() if key != "source"} for record in records]
    top = {"image_base_path": "/nowhere/images", "audio_base_path": "/nowhere/audio", "data": data}
    path.write_text(json.dumps(top, ensure_ascii=False, indent=1), encoding="utf-8")
