"""utils/show_progress: the table, in every state a stage can be in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine_recipe import UTILS, Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(tmp_path)


def show(work: Path | Recipe, *arguments: str, expect: int = 0) -> str:
    """The table of a folder; of a recipe by its own copy of utils/, which knows the versions of its verbs."""
    program, work = (work.root / "utils", work.dir) if isinstance(work, Recipe) else (UTILS, work)
    done = subprocess.run([program / "show_progress", *arguments, work], capture_output=True, text=True, timeout=20)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def line_of(table: str, stage: str) -> str:
    (line,) = [line for line in table.splitlines() if line.startswith(f"  {stage} ")]
    return line


def test_nothing_there(tmp_path: Path) -> None:
    assert "no stage has been started" in show(tmp_path, expect=4)
    assert "No such file" in show(tmp_path / "none", expect=2)
    assert "e.g.: utils/show_progress" in show(tmp_path, "--help")


def test_done_stale_and_not_started(recipe: Recipe) -> None:
    recipe.run("--stop-stage", "1")
    table = show(recipe)
    assert table.startswith("data/mini\n")
    assert " done " in line_of(table, "0 data") and " done " in line_of(table, "1 features")
    assert "not started" in line_of(table, "2 train")
    (recipe.dir / "data/mini/a.scp").write_text("other\n")
    table = show(recipe)
    assert "stale" in line_of(table, "1 features") and "input data/mini/a.scp has changed" in table
    (recipe.dir / "data/mini/a.scp").unlink()
    assert "output data/mini/a.scp is gone" in line_of(show(recipe), "0 data")


def test_running_then_killed(recipe: Recipe) -> None:
    command = 'echo "features: 30/40 utterances, 2.0 a second, 5 s left"; touch "$PWD/go.JOB"; sleep 100'
    process = recipe.start("--work-command", command)
    for _ in range(400):
        if (recipe.dir / "go.1").exists() and (recipe.dir / "go.2").exists():
            break
        time.sleep(0.02)
    line = line_of(show(recipe), "1 features")
    assert " running " in line and f"pid {process.pid} on {os.uname().nodename}" in line
    assert "0 of 2 jobs started are done; features: 60 of 80 utterances of those at work, 0:00:05 left" in line
    record = next(recipe.dir.glob("data/mini/.stages/01-features.running"))
    here = record.read_text()
    record.write_text(json.dumps(json.loads(here) | {"host": "another"}))
    assert f"pid {process.pid} on another, last heard of 0:00:" in line_of(show(recipe), "1 features")
    record.write_text(here)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert " interrupted " in line_of(show(recipe), "1 features")


def test_failed_and_stopped(recipe: Recipe) -> None:
    recipe.run("--work-command", "echo 'it broke' >&2; exit 4", expect=4)
    line = line_of(show(recipe), "1 features")
    assert " failed " in line and line.endswith("it broke")
    recipe.run("--work-command", "exit 85", expect=85)
    assert " interrupted " in line_of(show(recipe), "1 features")
    recipe.run()
    assert show(recipe).count(" done ") == 3


def test_skipped_is_what_later_stages_went_past(recipe: Recipe) -> None:
    recipe.run()
    next(recipe.dir.glob("data/mini/.stages/00-data.json")).rename(recipe.dir / "data/mini/.stages/02-odd.json")
    for stamp in recipe.dir.glob("*/*/.stages/*.json"):
        stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"stages": "1 features, 3 more, 4 train", "inputs": {}}))
    (recipe.dir / "exp/mini/.stages/02-train.json").rename(recipe.dir / "exp/mini/.stages/04-train.json")
    (recipe.dir / "data/mini/.stages/02-odd.json").rename(recipe.dir / "data/mini/.stages/05-odd.json")
    assert " skipped" in line_of(show(recipe), "3 more")


def test_epochs_of_a_training(tmp_path: Path) -> None:
    folder = tmp_path / "exp/m"
    (folder / ".stages").mkdir(parents=True)
    record = {"started": "2026-01-01 00:00:00", "started_s": time.time() - 60, "host": "elsewhere", "pid": 1}
    (folder / ".stages/04-train.running").write_text(json.dumps(record))
    (folder / "config.yaml").write_text("training:\n  epochs: 10\n")
    lines = [{"epoch": 1, "loss": 2.5, "seconds": 4.0, "dev": {"r10": 0.25}}, {"epoch": 2, "loss": 1.5, "seconds": 5.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 3, "lo')
    assert "2 of 10 epochs, loss 1.500, 0:00:40 left, dev R@10 25.0" in line_of(show(tmp_path), "4 train")


def test_watch_draws_it_again_and_again(recipe: Recipe) -> None:
    recipe.run("--stop-stage", "0")
    process = subprocess.Popen(
        [recipe.root / "utils/show_progress", "--watch", "0.2", recipe.dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    lines = iter(process.stdout)
    for _ in range(2):
        assert any("0 data" in line for line in lines)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stderr and process.stderr.read() == ""
