"""Recipes of corpora that cannot be distributed: stage 0 on look-alike releases."""

from __future__ import annotations

import sys
from pathlib import Path

from recipe_runner import run

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import lookalikes


def test_flickr8k_audio(tmp_path: Path) -> None:
    lookalikes.flickr8k(tmp_path)
    paths = ["--flickr-audio", tmp_path / "audio", "--flickr-text", tmp_path / "text", "--images", tmp_path / "images"]
    printed = run("flickr8k_audio", tmp_path / "w", *paths, "--stop-stage", "0", "--nj", "1")
    assert "prepared data/flickr8k: 3 speech sets and 3 image sets, 12 utterances" in printed
    assert (tmp_path / "w/data/flickr8k/speech/train_en/ctm").exists()
    assert "up to date" in run("flickr8k_audio", tmp_path / "w", *paths, "--stop-stage", "0", "--nj", "1")
    (tmp_path / "audio/wav2spk.txt").unlink()
    assert "wav2spk.txt: their speakers" in run("flickr8k_audio", tmp_path / "v", *paths, "--stop-stage", "0", status=4)


def test_spokencoco(tmp_path: Path) -> None:
    lookalikes.spoken_coco(tmp_path)
    splits = lookalikes.karpathy(tmp_path)
    paths = ["--spoken-coco", tmp_path / "coco", "--images", tmp_path / "images", "--karpathy", splits]
    printed = run("spokencoco", tmp_path / "w", *paths, "--stop-stage", "0", "--nj", "1")
    assert "prepared data/spokencoco: 3 speech sets and 3 image sets, 11 utterances" in printed
