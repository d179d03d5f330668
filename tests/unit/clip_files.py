"""Small videos whose pictures are known: video frame n is of one grey, with a white left half."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from small_release import write_wav

WIDTH, HEIGHT = 64, 48


def grey(number: int) -> int:
    """The grey of a video's nth video frame."""
    return 20 + 20 * (number % 9)


def write_video(
    path: Path,
    count: int = 30,
    *,
    times_ms: Sequence[int] | None = None,
    codec: str = "mpeg4",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pixels: Sequence[np.ndarray] | None = None,
    sound_only: bool = False,
    **options: str,
) -> Path:
    """Write a video of ``count`` video frames, one every 100 ms or at ``times_ms``.

    Args:
        pixels: (H, W, 3) uint8 of each; None makes those of `grey`.
        sound_only: silence instead, no video stream.
        options: of the container, ``movflags="faststart"``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        if sound_only:
            sound = container.add_stream("aac", rate=16000)
            for number in range(4):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = 16000, 1024 * number
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
            return path
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            picture = _striped(number, size) if pixels is None else pixels[number]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (times_ms[number] if times_ms else 100 * number), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _striped(number: int, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    picture = np.full((height, width, 3), grey(number), np.uint8)
    picture[:, : width // 2] = 255
    return picture


def number_of(pixels: np.ndarray) -> int:
    """Which of the first nine video frames a picture is, by its grey; it must stand upright."""
    right, left = pixels[:, 3 * pixels.shape[1] // 4 :].mean(), pixels[:, : pixels.shape[1] // 4].mean()
    assert left > 230 and abs((right - 20) / 20 - round((right - 20) / 20)) < 0.25, (left, right)
    return round((right - 20) / 20)


def write_frames(folder: Path, count: int, extension: str = "jpg") -> Path:
    """The video frames of such a video as image files, numbered from 1 without leading zeros."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(_striped(number, (WIDTH, HEIGHT))).save(folder / f"frame{number + 1}.{extension}")
    return folder


def spoken_moments(root: Path) -> None:
    """Spoken Moments: two clips a split (train: three, of which one has two captions), the last a folder of video frames.

    The metadata of train are JSON, those of val and test tables.
    """
    (root / "smit/metadata").mkdir(parents=True)
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        rows = []
        for number in range(count):
            video = f"{'validation' if split == 'val' else 'training'}/running/{split} {number}.mp4"
            if number == count - 1:
                write_frames(root / "videos" / video.removesuffix(".mp4"), 11)
            else:
                write_video(root / "videos" / video, 30, codec="libx264" if number else "mpeg4")
            for take in range(2 if split == "train" and number == 0 else 1):
                write_wav(root / f"smit/wavs/{split}{number}{take}.wav", 0.5)
                record = {"uttid": f"w{number}-{split}{number}{take}", "speaker": f"w{number}", "asr_text": "a man runs"}
                rows.append({**record, "wav": f"wavs/{split}{number}{take}.wav", "video": video})
        if split == "train":
            (root / "smit/metadata/spoken_moments_train.json").write_text(json.dumps({"data": rows}, indent=1))
        else:
            name, mark = ("validation.csv", ",") if split == "val" else ("test.tsv", "\t")
            lines = [mark.join(rows[0]), *(mark.join(row.values()) for row in rows)]
            (root / "smit/metadata" / name).write_text("\n".join(lines) + "\n")
