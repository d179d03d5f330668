"""Whole recipes on a corpus of a few scenes: every output, resuming, moving, and what evaluation-only files are for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from recipe_runner import STAGES, TINY, command, run

TEST = "exp/mini/eval/mini/test"

slow = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_two_languages_give_six_directions_a_lexicon_and_a_report(bilingual: Path) -> None:
    results = read(bilingual / TEST / "retrieval/results.json")
    assert set(results["directions"]) == {"en>image", "image>en", "hi>image", "image>hi", "en>hi", "hi>en"}
    lexicon = (bilingual / "exp/mini/lexicon/mini/en-hi/lexicon.tsv").read_text(encoding="utf-8").splitlines()
    assert lexicon[0].split("\t")[:6] == ["rank", "cluster_en", "cluster_hi", "score", "cosine", "dice"]
    assert {"words_a", "concept", "right"} <= set(lexicon[0].split("\t"))
    baselines = read(bilingual / TEST / "retrieval/baselines.json")
    assert baselines["untrained"] and baselines["colours_only"] and baselines["dtw"]
    localisation = read(bilingual / TEST / "matchmaps/localisation.json")
    assert localisation["languages"]["hi"]["noun_in_box"]["nouns"] > 10
    units = (bilingual / "exp/mini/eval/mini/train/units/en/word_detectors.tsv").read_text(encoding="utf-8")
    assert units.startswith("rank\tcode")
    report = (bilingual / "exp/mini/report/index.html").read_text(encoding="utf-8")
    assert "synthetic" in report and len(report) > 50_000
    assert read(bilingual / "data/mini/stats/stats.json")


def test_a_second_run_does_nothing(bilingual: Path) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in bilingual.rglob("*") if path.is_file() and ".stages" not in str(path)
    }
    started = time.monotonic()
    printed = run("hindi_english", bilingual, *TINY)
    assert printed.count("up to date") == len(STAGES) and "done in" not in printed
    after = {
        path: path.stat().st_mtime_ns for path in bilingual.rglob("*") if path.is_file() and ".stages" not in str(path)
    }
    assert after == before
    assert time.monotonic() - started < 20  # measured: 1.4 s


@slow
def test_every_stage_can_be_started_again_and_changes_nothing(bilingual: Path) -> None:
    """One by one; the numbers stay what they were."""
    scores = [TEST + "/retrieval/results.json", TEST + "/matchmaps/localisation.json"]
    scores.append("exp/mini/lexicon/mini/en-hi/scores.json")
    before = [(bilingual / name).read_bytes() for name in scores]
    for number in range(11):
        printed = run("hindi_english", bilingual, *TINY, "--stage", str(number), "--stop-stage", str(number))
        assert f"stage {number} {STAGES[number]}: done in" in printed
    assert [(bilingual / name).read_bytes() for name in scores] == before


@slow
def test_a_moved_work_directory_goes_on_working(bilingual: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(bilingual, moved, symlinks=True)
    assert run("hindi_english", moved, *TINY).count("up to date") == len(STAGES)
    run("hindi_english", moved, *TINY, "--stage", "retrieval", "--stop-stage", "retrieval")
    assert (moved / TEST / "retrieval/results.json").read_bytes() == (
        bilingual / TEST / "retrieval/results.json"
    ).read_bytes()


def test_a_changed_setting_is_noticed_and_another_tag_is_another_experiment(bilingual: Path) -> None:
    changed = [*TINY, "--set", "training.learning_rate=1e-3"]
    printed = run("hindi_english", bilingual, *changed, status=3)
    assert "stage 4 train" in printed and "--tag" in printed
    printed = run("hindi_english", bilingual, *changed, "--tag", "slow", "--dry-run")
    assert "stage 3 statistics: up to date" in printed and "stage 4 train: would run" in printed


def test_an_interrupted_training_goes_on_and_ends_the_same(bilingual: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(bilingual / "data", work / "data", symlinks=True)
    options = [*TINY, "--stop-stage", "4"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command("hindi_english", work, *options),
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        train_log = work / "exp/mini/train.log"
        deadline = time.monotonic() + 120
        while not (train_log.exists() and "epoch 1:" in train_log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does for Ctrl-C
        status = process.wait(60)
    printed = (tmp_path / "log").read_text()
    assert status in (85, 130) and printed.count("resume:") == 1 and "Traceback" not in printed
    assert not (work / "exp/mini/.stages/04-train.json").exists()
    run("hindi_english", work, *options)
    ours, theirs = (torch.load(w / "exp/mini/best.pt", weights_only=True) for w in (work, bilingual))
    flat = [w.get("model", w) for w in (ours, theirs)]
    assert flat[0].keys() == flat[1].keys()
    assert all(torch.equal(flat[0][key], flat[1][key]) for key in flat[0])


@slow
def test_transcripts_and_truth_serve_evaluation_only(bilingual: Path, tmp_path: Path) -> None:
    """Without text, word times, dictionary and boxes the model and its retrieval scores are the same."""
    work = tmp_path / "work"
    shutil.copytree(bilingual / "data", work / "data", symlinks=True)
    for pattern in ("speech/*/text", "speech/*/ctm", "speech/*/ctm_phones", "lexicon.tsv", "images/*/objects.tsv"):
        for path in (work / "data/mini").glob(pattern):
            path.unlink()
    printed = run("hindi_english", work, *TINY, "--stage", "1")
    assert "stage 10 report: done in" in printed
    assert (work / TEST / "retrieval/results.json").read_bytes() == (
        bilingual / TEST / "retrieval/results.json"
    ).read_bytes()
    assert not (work / TEST / "retrieval/baselines.json").exists()


@slow
def test_one_language_gives_two_directions_and_word_clusters(tmp_path: Path) -> None:
    work = tmp_path / "english"
    printed = run("places", work, *TINY)
    assert set(read(work / TEST / "retrieval/results.json")["directions"]) == {"en>image", "image>en"}
    assert "stage 9 lexicon: done" in printed
    assert read(work / "exp/mini/lexicon/mini/en/scores.json")["languages"] == ["en"]
    assert (work / "exp/mini/report/index.html").exists()
