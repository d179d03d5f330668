"""Every defect that is known of released corpora, from the metadata to packed images and features: what happens to it.

Metadata defects that only one corpus has are in test_corpora_places.py and test_corpora_releases.py.
"""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from small_release import SmallRelease, write_wav
from vgspeech.corpora.places import read_english
from vgspeech.corpora.prepare import Settings, prepare
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.images import PackedImages, merge_packed, pack_images
from vgspeech.tables import read_table
from vgspeech.waves import read_wave

ID = "t%2Ftrain%2Fimg%200"


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return SmallRelease(tmp_path)


def prepared(small):
    """Stage 0; the training set, and what was rejected of it."""
    small.save()
    prepare(read_english(small.english_root), [], Path("data/x"), Settings(small.images, max_bad=1), Truth())
    return SpeechSet.load("data/x/speech/train_en"), read_table("data/x/speech/train_en/rejected")


def packed():
    """Stage 2; the packed images, and what was rejected."""
    images = ImageSet.load("data/x/images/train")
    pack_images(images, 1, 1)
    merge_packed(images, 1, 1.0)
    return PackedImages(images.path / "packed.scp"), read_table(images.path / "packed.rejected")


def wav_of(small):
    return small.english_root / small.english["train"][0]["wav"]


def picture_of(small):
    return small.images / small.english["train"][0]["image"]


BAD_SOUNDS = {
    "missing": (lambda path: path.unlink(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "empty (0 bytes)"),
    "no samples": (lambda path: write_wav(path, 0.0), "no samples"),
    "header too long": (lambda path: patch(path, 40, struct.pack("<I", 10**6)), "announces 1000000 bytes of sound"),
    "header too short": (lambda path: patch(path, 40, struct.pack("<I", 400)), "bytes more follow"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:9000]), "but only"),
    "absurd rate": (lambda path: patch(path, 24, struct.pack("<I", 1 << 30)), "claims a sample rate"),
    "text": (lambda path: path.write_text("404 not found"), "not a sound file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "not a file"),
}


def patch(path, at, content):
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("defect", BAD_SOUNDS)
def test_recordings_that_cannot_be_used_are_listed_with_their_record(small, defect):
    damage, reason = BAD_SOUNDS[defect]
    damage(wav_of(small))
    train, rejected = prepared(small)
    assert len(train) == 3 and list(rejected) == ["spktrain0-train_0"]
    assert f"metadata/train.json:5: record 1: {wav_of(small)}: " in rejected["spktrain0-train_0"]
    assert reason in rejected["spktrain0-train_0"]


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48000, 1), (44100, 2), (16000, 2)])
def test_other_rates_and_stereo_are_brought_to_one_channel(small, rate, channels):
    sound = np.stack([0.2 * np.sin(np.arange(rate) * 2 * np.pi * 300 / rate)] * channels, axis=1)
    soundfile.write(wav_of(small), sound, rate)
    train, rejected = prepared(small)
    assert rejected == {} and train.utt2dur["spktrain0-train_0"] == 1.0
    wave = read_wave(train.wav["spktrain0-train_0"], 16000)
    assert wave.shape == (16000,) and np.abs(wave[2000:14000]).max() == pytest.approx(0.2, abs=0.01)


def test_extensions_in_other_letters_are_found_and_written_as_they_are(small):
    wav_of(small).rename(wav_of(small).with_suffix(".WAV"))
    picture_of(small).rename(picture_of(small).with_suffix(".JPG"))
    train, rejected = prepared(small)
    assert rejected == {} and train.wav["spktrain0-train_0"].endswith("train_0.WAV")
    assert ImageSet.load("data/x/images/train").paths[ID].endswith("img 0.JPG")
    assert ID in packed()[0]


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.new("RGB", (40, 20), (200, 40, 40)), "JPEG", exif=exif)


GOOD_IMAGES = {
    "CMYK": (encoded(Image.new("CMYK", (40, 20), (0, 200, 200, 0)), "JPEG"), (40, 20)),
    "16 bit": (encoded(Image.fromarray(np.full((20, 40), 30000, np.uint16))), (40, 20)),
    "palette": (encoded(Image.new("RGB", (40, 20), (200, 40, 40)).convert("P")), (40, 20)),
    "transparent": (encoded(Image.new("RGBA", (40, 20), (200, 40, 40, 90))), (40, 20)),
    "grey": (encoded(Image.new("L", (40, 20), 90), "JPEG"), (40, 20)),
    "rotated by EXIF": (turned(), (20, 40)),
    "PNG called .jpg": (encoded(Image.new("RGB", (40, 20))), (40, 20)),
}


@pytest.mark.parametrize("kind", GOOD_IMAGES)
def test_images_of_all_kinds_become_upright_rgb(small, kind):
    content, size = GOOD_IMAGES[kind]
    picture_of(small).write_bytes(content)
    prepared(small)
    assert ImageSet.load("data/x/images/train").sizes[ID] == size
    images, rejected = packed()
    (pixels,) = images[ID]
    assert rejected == {} and pixels.shape == (size[1], size[0], 3)
    if kind in ("CMYK", "palette", "rotated by EXIF"):
        red, green, _ = pixels.mean(axis=(0, 1))
        assert red > green + 80
    if kind == "16 bit":
        assert pixels.mean() == pytest.approx(255 * 30000 / 65535, abs=1)


def claims(width, height):
    """A PNG header that claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + head + bytes(4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (claims(50_000, 50_000), "not a readable image"),
        (encoded(Image.new("1", (11_000, 11_000))), "more than 100 million"),
        (b"<html>not found</html>", "in no known format"),
        (b"", "empty (0 bytes)"),
    ],
    ids=["bomb", "huge", "text", "empty"],
)
def test_images_that_cannot_be_used_are_listed_in_stage_0(small, content, reason):
    picture_of(small).write_bytes(content)
    train, rejected = prepared(small)
    assert len(train) == 3 and reason in rejected["spktrain0-train_0"]
    assert reason in read_table("data/x/images/train/rejected")[ID]


def test_truncated_images_are_listed_when_they_are_decoded(small):
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    content = encoded(Image.fromarray(noise), "JPEG")
    picture_of(small).write_bytes(content[: len(content) // 2])
    train, rejected = prepared(small)  # its header is whole
    assert len(train) == 4 and rejected == {}
    images, rejected = packed()
    assert len(images) == 3 and "damaged or incomplete" in rejected[ID]
