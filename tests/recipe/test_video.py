"""Recordings that describe clips, videos and folders of video frames: egs/own from a table to the report."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from recipe_runner import run
from vgspeech.archive import ArchiveReader
from vgspeech.imagesets import ImageSet

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from clip_files import write_frames, write_video

pytestmark = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")
SPLITS = ["train"] * 12 + ["dev"] * 4 + ["test"] * 4
FAST = ("training.epochs=2", "training.precision=float32", "image.image_size=32", "image.resize=32")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Clips of a square that moves; every fourth is a folder of video frames."""
    folder = tmp_path / "recordings"
    lines = ["video\twav\tlang\tspeaker\tsplit"]
    for number, split in enumerate(SPLITS):
        if number % 4 == 3:
            write_frames(folder / f"clip{number}", 5)
        else:
            pictures = [np.full((72, 96, 3), 230, np.uint8) for _ in range(9)]
            for step, picture in enumerate(pictures):
                picture[20:50, 6 * step : 6 * step + 30] = (40 * (number % 6), 50 * (number % 5), 60 * (number % 4))
            write_video(folder / f"clip{number}.mp4", 9, size=(96, 72), pixels=pictures)
        tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * np.arange(12000) / 16000)
        soundfile.write(folder / f"{number}.wav", tone, 16000)
        lines.append(f"clip{number}.mp4\t{number}.wav\tfra\ts{number % 3}\t{split}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.tsv"


def test_from_videos_to_scores_and_pictures(manifest: Path, tmp_path: Path) -> None:
    options = ["--manifest", str(manifest), "--langs", "fra", "--nj", "1"]
    options += [word for change in FAST for word in ("--set", change)]
    printed = run("own", tmp_path / "work", *options, "--stop-stage", "matchmaps")
    assert "Packed 12 of 12 images of test, video frames of 4 clips among them" in printed and "Traceback" not in printed
    printed = run("own", tmp_path / "work", *options, "--stage", "report")
    model = tmp_path / "work/exp/small_own"
    images = ImageSet.load(tmp_path / "work/data/own/images/test")
    evaluated = model / "eval/own/test"
    assert sorted(ArchiveReader(evaluated / "embed/images.scp")) == images.pictures == [f"clip{n}" for n in range(16, 20)]
    results = json.loads((evaluated / "retrieval/results.json").read_text())
    assert set(results["directions"]) == {"fra>image", "image>fra"}
    captions = json.loads((evaluated / "matchmaps/captions.json").read_text())["captions"]
    assert {entry["image"] for entry in captions} == set(images.pictures)
    # The square of the middle video frame stands 24 pixels from the left; the model sees the middle 72 of 96.
    scene = next(entry["scene"] for entry in captions if entry["image"] == "clip16")
    with Image.open(io.BytesIO((evaluated / "matchmaps" / scene).read_bytes())) as picture:
        dark = np.asarray(picture.convert("L"), dtype=float)[picture.height // 2] < 200
    edges = np.flatnonzero(np.diff(dark.astype(int))) * 72 / len(dark) + 12
    assert edges == pytest.approx([24, 54], abs=2)
    assert (model / "report/index.html").exists()
