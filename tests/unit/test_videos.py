"""Videos: the picture at a moment, whatever the frame rate, and what happens to videos that cannot or must not be read."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from clip_files import number_of, write_video
from vgspeech import videos
from vgspeech.errors import DataError, UsageError
from vgspeech.videos import VideoHeader, moment, read_header, read_moments, split_moment, spread_moments


def seen(path: Path, moments: list[float]) -> list[int]:
    return [number_of(pixels) for pixels in read_moments(str(path), moments)]


FORMATS = [("a.mp4", "mpeg4"), ("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")]


@pytest.mark.parametrize(("name", "codec"), FORMATS)
def test_moments_show_the_video_frame_that_began_last(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, 8, codec=codec)
    header = read_header(str(path))
    assert (header.width, header.height) == (64, 48) and header.duration_s == pytest.approx(0.8, abs=0.05)
    assert seen(path, [0.0, 0.05, 0.31, 0.39, 0.4, 0.75]) == [0, 0, 3, 3, 4, 7]


def test_moments_are_the_middles_of_equal_stretches() -> None:
    assert spread_moments(VideoHeader(3.0, 1, 1, 75), 3) == [0.5, 1.5, 2.5]
    assert spread_moments(VideoHeader(3.0, 1, 1, 2), 3) == [0.75, 2.25]  # there are no more video frames
    assert spread_moments(VideoHeader(3.0, 1, 1, 0), 1) == [1.5]
    for count in (0, videos.MAX_FRAMES + 1):
        with pytest.raises(UsageError, match="give 1 to 64"):
            spread_moments(VideoHeader(3.0, 1, 1, 75), count)


def test_names_of_moments() -> None:
    assert moment("a b/c.mp4", 1.25) == "a b/c.mp4#t=1.250" and split_moment("a b/c.mp4#t=1.250") == ("a b/c.mp4", 1.25)
    assert split_moment("c.mp4") is None and split_moment("#t=1") is None and split_moment("c.mp4#t=x") is None
    assert split_moment("a#t=1#t=2") == ("a#t=1", 2.0)


def test_a_varying_frame_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 5, times_ms=[0, 40, 1000, 1040, 2500])
    assert seen(path, [0.02, 0.5, 0.99, 1.0, 1.02, 2.4, 2.5]) == [0, 1, 1, 2, 2, 3, 4]
    assert spread_moments(read_header(str(path)), 8)[-1] > 1.0


def test_a_video_that_does_not_begin_at_zero(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 4, times_ms=[5000, 5100, 5200, 5300])
    assert seen(path, [0.0, 0.1, 0.35]) == [0, 1, 3]


def test_of_ten_thousand_video_frames_few_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 10_000, size=(16, 16))
    header = read_header(str(path))
    assert header.frames == 10_000 and header.duration_s == pytest.approx(1000, abs=1)
    moments = spread_moments(header, 8)
    steps, advance = [], videos._Player._advance
    monkeypatch.setattr(videos._Player, "_advance", lambda self: (steps.append(1), advance(self))[1])
    assert [number_of(p) for p in read_moments(str(path), moments)] == [int(10 * at + 0.001) % 9 for at in moments]
    assert len(steps) < 300
    with pytest.raises(DataError, match="65 moments of one video, more than 64"):
        list(read_moments(str(path), [0.0] * 65))


def test_a_small_file_of_endless_pictures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pictures take a few bytes each and are decoded all the same; far from a key frame there is a limit."""
    path = write_video(tmp_path / "a.mp4", 60, codec="libx264")
    assert seen(path, [5.9]) == [59 % 9]
    monkeypatch.setattr(videos, "MAX_DECODED", 40 * 64 * 48)
    assert seen(path, [1.0, 3.0, 3.1]) == [10 % 9, 30 % 9, 31 % 9]  # each moment by itself
    with pytest.raises(DataError, match="pixels to decode up to a moment: it has too few key frames"):
        seen(path, [5.9])
    assert read_header(str(path)).frames == 60  # the first is near enough


def test_pictures_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 8)
    made: list[int] = []
    pixels = videos._pixels
    monkeypatch.setattr(videos, "_pixels", lambda frame: (made.append(1), pixels(frame))[1])
    pictures = read_moments(str(path), [0.1, 0.2, 0.3])
    next(pictures)
    assert len(made) == 1
    pictures.close()  # type: ignore[attr-defined]


def test_pictures_stand_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 3)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the track's display matrix: turned by 90 degrees
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(data)
    assert read_header(str(path))[1:3] == (48, 64)
    (pixels,) = read_moments(str(path), [0.1])
    # The left half was white; turned clockwise it is the upper one.
    assert pixels.shape == (64, 48, 3) and pixels[:20].mean() > 230 and pixels[44:].mean() < 100


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD = {
    "empty": (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
    "text": (lambda path: path.write_text("404 not found " * 99), "damaged or incomplete video, or of a format that is not read"),
    "cut off": (truncated, "damaged or incomplete video"),
    "huge": (lambda path: write_video(path, 1, size=(4800, 2000)), "has pictures of no size, or of more than 9,437,184 pixels"),
    "huge h264": (
        lambda path: write_video(path, 1, size=(4800, 2000), codec="libx264"),
        "has pictures of 4800 x 2000, more than 9,437,184 pixels",
    ),
    "sound only": (lambda path: write_video(path, sound_only=True), "has no video stream"),
    "missing": (lambda path: path.unlink(), "cannot be read: No such file or directory"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("defect", BAD)
def test_videos_that_cannot_be_read(tmp_path: Path, defect: str) -> None:
    path = write_video(tmp_path / "a.mp4")
    damage, reason = BAD[defect]
    damage(path)
    with pytest.raises(DataError) as caught:
        read_header(str(path))
    assert reason in str(caught.value) and caught.value.where == str(path)


def test_a_video_whose_end_is_missing(tmp_path: Path) -> None:
    """Its index stands at its beginning, so that it opens: what is missing is noticed when it is asked for."""
    path = write_video(tmp_path / "a.mp4", 40, movflags="faststart")
    truncated(path)
    header = read_header(str(path))
    assert header.duration_s == pytest.approx(4.0, abs=0.1)
    assert seen(path, [0.1]) == [1]
    with pytest.raises(DataError, match=r"ends at .* s, before 3\.50 s: it is cut off|damaged or incomplete"):
        list(read_moments(str(path), [0.5, 3.5]))


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:{0}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {0}\nduration 3\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{0}</BaseURL></Period></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_lead_nowhere(tmp_path: Path, kind: str) -> None:
    secret = write_video(tmp_path / "elsewhere/secret.mp4")
    path = tmp_path / "a.mp4"
    path.write_text(PLAYLISTS[kind].format(secret))
    with pytest.raises(DataError, match="of a format that is not read"):
        read_header(str(path))


def test_no_part_of_a_path_is_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "http:/x/concat:a.mp4", 3)
    assert read_header("http:/x/concat:a.mp4").frames == 3


def test_covers_of_sound_files_are_no_videos(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(frame))
        container.mux(cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        marked = any(one.disposition & av.stream.Disposition.attached_pic for one in container.streams.video)
    assert marked
    with pytest.raises(DataError, match="has no video stream"):
        read_header(str(path))


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 2)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else found(name))
    with pytest.raises(DataError, match="needs PyAV, which is not installed") as caught:
        read_header(str(path))
    assert caught.value.hint is not None and "pip install" in caught.value.hint
