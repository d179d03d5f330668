"""Look-alike releases of a few records, for the readers of corpora that cannot be distributed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from small_release import write_image, write_wav

FLICKR_IMAGES = {"train": ["10_a", "11_b", "12_c"], "dev": ["20_d"], "test": ["30_e", "31_f"]}


def flickr8k(root: Path) -> None:
    """Flickr8k Audio: two captions an image, word times of all but one, the odd key and a stray file."""
    (root / "text").mkdir(parents=True)
    capt, spk, tokens, ctm = [], [], [], []
    for split, images in FLICKR_IMAGES.items():
        (root / f"text/Flickr_8k.{split}Images.txt").write_text("".join(f"{image}.jpg\n" for image in images))
        for number, image in enumerate(images):
            write_image(root / f"images/{image}.jpg")
            for k in range(2):
                write_wav(root / f"audio/wavs/{image}_{k}.wav", 0.5 + k / 10)
                capt.append(f"{image}_{k}.wav {image}.jpg #{k}\n")
                spk.append(f"{image}_{k}.wav {number}\n")
                tokens.append(f"{image}.jpg#{k}\tA dog ,  number {k} .\n")
                if (image, k) != ("10_a", 1):
                    ctm.append(f"{image}.jpg_#{k} 1 0.05 0.1 A\n{image}.jpg_#{k} 1 0.15 0.2 DOG\n")
    tokens.append("2258277193_586949ec62.jpg.1#0\tpeople waiting\n")
    (root / "audio/wavs/10_a_txt").write_text("stray")
    (root / "audio/wav2capt.txt").write_text("".join(capt))
    (root / "audio/wav2spk.txt").write_text("".join(spk))
    (root / "text/Flickr8k.token.txt").write_text("".join(tokens))
    (root / "text/flickr_8k.ctm").write_text("".join(ctm))


def coco_image(split: str, number: int) -> str:
    return f"{split}2014/COCO_{split}2014_{number:012d}.jpg"


def spoken_coco(root: Path) -> dict[str, list[dict[str, Any]]]:
    """SpokenCOCO: train of three images and val of two, with two captions each and a third one of the first image."""
    data: dict[str, list[dict[str, Any]]] = {}
    for split, numbers in (("train", (1, 2, 3)), ("val", (4, 5))):
        data[split] = []
        for number in numbers:
            write_image(root / "images" / coco_image(split, number))
            captions = []
            for k in range(3 if number == 1 else 2):
                name = f"m{number % 2}-3LUY_{number}_{10 * number + k}"
                write_wav(root / f"coco/wavs/{split}/0/{name}.wav", 0.4)
                wav = f"wavs/{split}/0/{name}.wav"
                captions.append({"text": "A  RED BUS", "speaker": f"m{number % 2}", "uttid": name, "wav": wav})
            data[split].append({"image": coco_image(split, number), "captions": captions})
    for split, records in data.items():
        write_data(root / f"coco/SpokenCOCO_{split}.json", records)
    return data


def write_data(path: Path, records: list[Any]) -> None:
    path.write_text(json.dumps({"data": records}, indent=1))


def karpathy(root: Path) -> Path:
    """Karpathy's splits of the images of ``spoken_coco``: 1 train, 2 restval, 3 and 5 test, 4 val."""
    rows = []
    for number, (split, name) in {
        1: ("train", "train"), 2: ("train", "restval"), 3: ("train", "test"), 4: ("val", "val"), 5: ("val", "test"),
    }.items():  # fmt: skip
        folder, _, filename = coco_image(split, number).partition("/")
        rows.append({"filepath": folder, "filename": filename, "split": name, "cocoid": number})
    (root / "dataset_coco.json").write_text(json.dumps({"images": rows, "dataset": "coco"}))
    return root / "dataset_coco.json"


TIMECODE = [
    [0.0, "SYL", ""], [50.0, "SEPR", " "], [50.0, "WORD", "white"], [50.0, "PHO", "w"], [100.0, "PHO", "ai"],
    [150.0, "PHO", "t"], [180.0, "SYL", ""], [180.0, "SEPR", " "], [200.0, "WORD", "bus"], [200.0, "PHO", "b"],
]  # fmt: skip


def speech_coco(root: Path) -> None:
    """SPEECH-COCO: two captions of each image of ``spoken_coco``."""
    for split, numbers in (("train", (1, 2, 3)), ("val", (4, 5))):
        for number in numbers:
            write_image(root / "images" / coco_image(split, number))
            for k, voice in enumerate(("Phil", "Amanda")):
                name = f"{number}_{10 * number + k}_{voice}_None_0-9"
                write_wav(root / f"speech/{split}2014/wav/{name}.wav", 0.4)
                path = root / f"speech/{split}2014/json/{name}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                top = {"duration": 400.0, "speaker": voice, "synthesisedCaption": " White bus.", "timecode": TIMECODE}
                path.write_text(json.dumps({**top, "wavFilename": name + ".wav", "imgID": number, "captionID": k}))


def objectnet(root: Path) -> None:
    """Spoken ObjectNet: 48 kHz, recordings named without their first folder."""
    for split in ("train", "val", "test"):
        records = []
        for number in range(2):
            write_image(root / f"images/chair/{split}{number}.png")
            write_wav(root / f"son/wavs/{split}{number}.wav", 0.5, rate=48000)
            record = {"uttid": f"s-{split}{number}", "speaker": "s", "asr_text": "a chair"}
            records.append({**record, "wav": f"{split}{number}.wav", "image": f"chair/{split}{number}.png"})
        (root / "son/metadata").mkdir(parents=True, exist_ok=True)
        write_data(root / f"son/metadata/SON-{split}.json", records)


def japanese(root: Path, images: dict[str, list[str]]) -> None:
    """Places Japanese: the second image of every split twice, both columns with leading slashes."""
    for split, names in images.items():
        lines = []
        for number, image in enumerate([*names, names[1]]):
            write_wav(root / f"ja/wavs/{split}/{number}.wav", 0.6)
            lines.append(f"/{image}\t/wavs/{split}/{number}.wav\n")
        (root / f"ja/PlacesAudioJpn_100k_image2audio_{split}.txt").write_text("".join(lines))
