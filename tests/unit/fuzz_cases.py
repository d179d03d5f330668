"""What is fuzzed: files of every kind, damaged at random, and the function that must cope.

A case may be read, or refused by an error of `vgspeech.errors` or by a list of rejected inputs. Anything else fails.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from clip_files import write_video
from fuzz_guard import LeftTheFolder
from vgspeech.archive import ArchiveReader, ArchiveWriter, BlobReader, BlobWriter
from vgspeech.corpora.headers import audio_header, image_header, video_header
from vgspeech.errors import DataError
from vgspeech.images import decode
from vgspeech.stats.sounds import listen
from vgspeech.videos import VideoHeader, read_moments, spread_moments
from vgspeech.waves import read_wave

_outcomes: Counter[str] = Counter()
NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0")
TIMES_MS = [0, 40, 80, 500, 540, 1200, 1240, 1280, 1800, 2400, 2440, 2480]
WORDS = (*NUMBERS, b"data", b"RIFF", b"IHDR", b"\0BFM ", b"mdat", b"moov", b"stts")


def summary() -> str:
    """How the cases since the last call ended."""
    said = ", ".join(f"{count} {name}" for name, count in sorted(_outcomes.items()))
    _outcomes.clear()
    return said


def count(outcome: str) -> None:
    """Note how a case ended."""
    _outcomes[outcome] += 1


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Damage a file: bytes flipped, numbers made extreme, pieces cut out, repeated, or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        if not data:
            break
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 128))
        how = rng.randrange(7)
        if how == 0:
            data[at] = rng.randrange(256)
        elif how == 1:
            data[at : at + 4] = rng.choice(WORDS)
        elif how == 2:
            del data[at : at + rng.randrange(1, 64)]
        elif how == 3:
            data[at:at] = data[at : at + rng.randrange(1, 64)]
        elif how == 4:
            del data[at:]
        elif how == 5:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 16)))
        else:
            data[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.randrange(1 << 32))
    return bytes(data)


def _sound(kind: str, subtype: str | None = None, channels: int = 1) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (800, channels))
    soundfile.write(stream, samples, 16000, format=kind, subtype=subtype)
    return stream.getvalue()


def _image(kind: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def _png_bomb() -> bytes:
    """A PNG of 9,000 x 9,000 pixels in a few kilobytes: below the limit, so that it is decoded."""
    rows = zlib.compress(bytes(9001 * 9000), 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    framed = (struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def with_true_checksums(png: bytes) -> bytes:
    """A damaged PNG whose chunks have right checksums, so that the damage reaches the decoder."""
    fixed, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        length = min(struct.unpack(">I", png[at : at + 4])[0], len(png) - at - 12)
        body = png[at + 4 : at + 8 + length]
        fixed += struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(fixed)


def _read_sound(path: Path) -> None:
    header = audio_header(str(path))
    try:
        wave = read_wave(path, 16000)
        assert len(wave) and np.isfinite(wave).all()
        count("read")
    except DataError as error:
        assert error.what
        count("refused")
    heard = listen((str(path), None, None))
    assert bool(heard.problem) or heard.duration_s > 0
    assert header.problem or header.duration_s > 0


def _read_image(path: Path) -> None:
    header = image_header(str(path))
    try:
        pixels = decode(path.read_bytes(), path.name)
        assert pixels.shape[2] == 3
        count("read")
    except DataError as error:
        assert error.what
        count("refused")
    assert header.problem or header.width > 0


def _read_video(path: Path) -> None:
    header = video_header(str(path))
    if header.problem:
        count("refused")
        return
    about = VideoHeader(header.duration_s, header.width, header.height, header.frames)
    try:
        for pixels in read_moments(str(path), spread_moments(about, 8)):
            assert pixels.ndim == 3 and pixels.dtype == np.uint8
        count("read")
    except DataError as error:
        assert error.what and error.where == str(path)
        count("cut off")


def _files(suffix: str, contents: list[bytes], read: Callable[[Path], None]) -> Callable[[Path, int], None]:
    def case(folder: Path, seed: int) -> None:
        rng = random.Random(seed)
        path = folder / f"case.{suffix}"
        content = mutate(rng.choice(contents), rng)
        path.write_bytes(with_true_checksums(content) if suffix == "png" and seed % 2 else content)
        read(path)

    return case


def _archives(folder: Path) -> Callable[[Path, int], None]:
    """Matrices and packed files; the archive or its scp is damaged."""
    with ArchiveWriter(folder / "m.ark", folder / "m.scp") as writer:
        for number in range(3):
            writer.write(f"u{number}", np.random.default_rng(number).normal(size=(5, 4)).astype(np.float32))
    with BlobWriter(folder / "b.ark", folder / "b.scp") as blobs:
        for number in range(3):
            blobs.write(f"i{number}", _image("PNG")[: 60 + number])
    whole = {name: (folder / name).read_bytes() for name in ("m.ark", "m.scp", "b.ark", "b.scp")}

    def case(folder: Path, seed: int) -> None:
        rng = random.Random(seed)
        name = rng.choice(sorted(whole))
        (folder / name).write_bytes(mutate(whole[name], rng))
        reader: type = ArchiveReader if name.startswith("m") else BlobReader
        try:
            opened = reader(folder / f"{name[0]}.scp")
            for key in opened:
                opened[key]
            count("read")
        except DataError as error:
            assert error.what
            count("refused")
        except LeftTheFolder:  # an scp file may name any archive
            assert name.endswith("scp")
            count("named another archive")
        finally:
            (folder / name).write_bytes(whole[name])

    return case


def _videos(folder: Path) -> list[bytes]:
    """Short videos: index at the end and at the start, several codecs and containers, a varying frame rate."""
    path = folder / "whole"
    options: list[tuple[str, str, dict[str, str]]] = [
        ("mp4", "mpeg4", {}), ("mp4", "libx264", {"movflags": "faststart"}), ("mp4", "libx264", {"movflags": "frag_keyframe"}),
        ("webm", "libvpx-vp9", {}), ("avi", "mpeg4", {}), ("mkv", "libx264", {}),
    ]  # fmt: skip
    made = []
    for suffix, codec, more in options:
        name = write_video(path.with_suffix(f".{suffix}"), 12, codec=codec, size=(32, 32), times_ms=TIMES_MS, **more)
        made.append(name.read_bytes())
    return made


def prepare(kind: str, folder: Path) -> Callable[[Path, int], None]:
    """The function that runs one case of a kind."""
    if kind == "wav":
        contents = [_sound("WAV"), _sound("WAV", "FLOAT", 2), _sound("WAV", "PCM_24"), _sound("WAV", "IMA_ADPCM")]
        return _files("wav", contents, _read_sound)
    if kind == "flac":
        return _files("flac", [_sound("FLAC"), _sound("FLAC", "PCM_24", 2)], _read_sound)
    if kind == "ogg":
        return _files("ogg", [_sound("OGG"), _sound("OGG", "OPUS")], _read_sound)
    if kind == "jpeg":
        exif = Image.Exif()
        exif[0x0112] = 6
        contents = [_image("JPEG"), _image("JPEG", "CMYK"), _image("JPEG", "L", progressive=True), _image("JPEG", exif=exif)]
        return _files("jpg", contents, _read_image)
    if kind == "png":
        contents = [_image("PNG"), _image("PNG", "P"), _image("PNG", "RGBA"), _image("PNG", "I;16"), _image("PNG", "1")]
        return _files("png", contents, _read_image)
    if kind == "bomb":
        return _files("png", [_png_bomb()], _read_image)
    if kind == "archive":
        return _archives(folder)
    if kind == "video":
        return _files("mp4", _videos(folder), _read_video)
    assert kind == "metadata"
    import fuzz_metadata

    return fuzz_metadata.prepare(folder / "metadata")
