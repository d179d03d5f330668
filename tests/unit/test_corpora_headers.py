import struct
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from small_release import write_image, write_wav
from vgspeech.corpora import headers
from vgspeech.corpora.headers import audio_header, image_header, read_headers


def damaged(path: Path, *, size: int | None = None, keep: int | None = None, append: bytes = b"") -> str:
    """A second of noise whose data chunk claims ``size`` bytes, cut after ``keep`` bytes, with ``append`` behind."""
    write_wav(path, 1.0)
    content = bytearray(path.read_bytes())
    if size is not None:
        content[40:44] = struct.pack("<I", size)
    path.write_bytes(bytes(content[:keep]) + append)
    return str(path)


def test_durations_are_exact_in_every_format(tmp_path):
    for name in ("a.wav", "a.flac", "a.ogg"):
        soundfile.write(tmp_path / name, [[0.1, -0.1]] * 12345, 44100)
        assert audio_header(str(tmp_path / name)).duration_s == pytest.approx(12345 / 44100, abs=1e-9)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"size": 64000}, "announces 64000 bytes of sound, but only 32000 are there"),
        ({"size": 3200}, "announces 3200 bytes of sound, but 28800 bytes more follow"),
        ({"size": 0}, "announces 0 bytes"),
        ({"keep": 20000}, "announces 32000 bytes of sound, but only 19956 are there"),
        ({"keep": 36}, "without sound"),
        ({"keep": 0}, "empty (0 bytes)"),
    ],
)
def test_lying_and_empty_headers_are_found(tmp_path, damage, problem):
    assert problem in audio_header(damaged(tmp_path / "a.wav", **damage)).problem


@pytest.mark.parametrize("tail", [b"LIST" + struct.pack("<I", 4) + b"INFO", b"\0" * 100])
def test_tags_and_padding_behind_the_sound_are_no_lie(tmp_path, tail):
    assert audio_header(damaged(tmp_path / "a.wav", append=tail)).duration_s == 1.0


def test_what_is_no_recording(tmp_path):
    (tmp_path / "a.wav").write_text("hello")
    assert "not a sound file" in audio_header(str(tmp_path / "a.wav")).problem
    assert audio_header(str(tmp_path / "none.wav")).problem == "no such file"
    assert audio_header(str(tmp_path)).problem == "not a file"
    write_wav(tmp_path / "empty.wav", 0.0)
    assert "no samples" in audio_header(str(tmp_path / "empty.wav")).problem


def test_image_sizes_are_those_seen(tmp_path):
    write_image(tmp_path / "a.png", (31, 17))
    assert image_header(str(tmp_path / "a.png"))[2:4] == (31, 17)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert image_header(str(tmp_path / "turned.jpg"))[2:4] == (20, 40)


def test_what_is_no_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello, this is text")
    assert "not a readable image" in image_header(str(tmp_path / "a.jpg")).problem
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 50000, 50000, 8, 2, 0, 0, 0) + b"\0\0\0\0"
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert image_header(str(tmp_path / "bomb.png")).problem


def test_worker_processes_change_nothing(tmp_path):
    paths = []
    for number in range(300):
        paths.append(str(tmp_path / f"{number}.wav"))
        write_wav(Path(paths[-1]), 0.001 * (number + 1))
    assert read_headers(audio_header, paths, 2, "test") == read_headers(audio_header, paths, 1, "test")


def test_an_interrupted_check_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(headers, "BLOCK", 4)
    paths = [str(tmp_path / f"{number:02d}.wav") for number in range(11)]
    for path in paths:
        write_wav(Path(path), 0.1)
    (tmp_path / "02.wav").write_bytes(b"")
    seen = []

    def read(path):
        if len(seen) == 9:
            raise KeyboardInterrupt
        seen.append(path)
        return audio_header(path)

    with pytest.raises(KeyboardInterrupt):
        read_headers(read, paths, 1, "recordings", tmp_path / "memory")
    seen.clear()
    write_wav(Path(paths[5]), 0.2)
    found = read_headers(read, paths, 1, "recordings", tmp_path / "memory")
    # Of the two blocks that were kept: the bad one and the one that changed. Of the third: all.
    assert seen == [paths[2], paths[5], *paths[8:]]
    assert found == read_headers(audio_header, paths, 1, "recordings")
    assert found[paths[5]].duration_s == 0.2
    seen.clear()
    assert read_headers(read, paths, 1, "recordings", tmp_path / "memory") == found and seen == [paths[2]]
