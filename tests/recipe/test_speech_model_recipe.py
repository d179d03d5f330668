"""A recipe over a self-supervised speech model instead of log-mel, beside a model of log-mel in the same work directory."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from recipe_runner import ROOT, TINY, run

sys.path.insert(0, str(ROOT / "tests/unit"))
from tiny_speech_model import write_weights

ONLY_IN_FULL = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")
SIZES = "{extractor_width: 8, encoder_embed_dim: 16, encoder_num_layers: 3, encoder_num_heads: 2, "
SIZES += "encoder_ff_interm_features: 24, encoder_pos_conv_kernel: 8, encoder_pos_conv_groups: 4}"
NO_CHANGE_OF_MEL_BINS = [f"augment.{key}=0" for key in ("tempo", "mel_warp", "mel_shift", "frequency_mask")]


@ONLY_IN_FULL
def test_samples_in_place_of_log_mel(bilingual: Path, tmp_path: Path) -> None:
    model = {"front_end": "wave", "normalisation": "none", "speech_model.name": "custom", "speech_model.sizes": SIZES,
             "speech_model.weights": str(tmp_path / "w.pth"), "audio.stem_stride": "1"}  # fmt: skip
    changes = [*(f"{key}={value}" for key, value in model.items()), *NO_CHANGE_OF_MEL_BINS]
    options = [*TINY, "--tag", "speech", *(word for change in changes for word in ("--set", change))]
    work = tmp_path / "work dir"
    shutil.copytree(bilingual, work, symlinks=True)

    assert "no such file" in (said := run("hindi_english", work, *options, status=2)) and "give a file of weights" in said
    write_weights(tmp_path / "w.pth")
    printed = run("hindi_english", work, *options)
    assert "stage 1 features: done" in printed and "stage 10 report: done" in printed and "Traceback" not in printed
    assert run("hindi_english", work, *options).count("up to date") == 11

    (folder,) = work.glob("exp/*speech*")
    scores = json.loads(next(folder.glob("eval/mini/test*/retrieval/results.json")).read_text())
    assert 0 <= scores["mean"]["r10"] <= 1
    about = json.loads(next(folder.glob("eval/mini/test*/embed/embed.json")).read_text())
    assert about["frame_shift_s"]["en"] == pytest.approx(0.08) and about["frame_offset_s"]["en"] == 0.0125
    assert "custom, layer last, starting from w.pth, frozen" in (folder / "report/index.html").read_text()
    assert "up to date" in run("hindi_english", work, *TINY)  # the model of log-mel is as it was
