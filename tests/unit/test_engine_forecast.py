"""What a dry run says of time and space, and what is left over after a kill (utils/stage_forecast.py, stage_files.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine_recipe import UTILS, Recipe

sys.path.insert(0, str(UTILS))
import stage_forecast
from stage_files import remove_leftovers


def record(**more: object) -> dict[str, object]:
    """A stamp of stage 1 over 10 records."""
    about = {"seconds": 100.0, "bytes": 5_000_000, "records": 10, "ended": "2026-11-24 10:11:12", "host": "h"}
    return {**about, "verbs": {"v": 1}, "options": {"seed": "1", "set": ""}, "inputs": {"c.yaml": "x", "a.scp": "y"}, **more}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/one has done stage 1; data/two has a table of 25 records."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(f"data/{name}/.stages").mkdir(parents=True)
    Path("data/one/.stages/01-f.json").write_text(json.dumps(record()))
    Path("data/two/a.scp").write_text("k v\n" * 25)
    return tmp_path


NOW = {"verbs": {"v": 1}, "options": {"seed": "2", "set": ""}, "inputs": {"conf/c.yaml": "x", "data/two/a.scp": "z"}}
TWO = Path("data/two/.stages/01-f.json")


def test_by_its_own_last_run(work: Path) -> None:
    expected = stage_forecast.forecast(TWO, record(records=50), NOW)
    assert (expected.seconds, expected.bytes) == (50.0, 2_500_000)
    assert stage_forecast.forecast(TWO, record(), {}).seconds == 100.0, "inputs that are not known do not scale"


def test_by_another_corpus_in_proportion(work: Path) -> None:
    expected = stage_forecast.forecast(TWO, None, NOW)
    assert (expected.seconds, expected.bytes) == (250.0, 12_500_000)
    assert expected.basis == "by data/one on h, 10 records there, 25 here"
    told = stage_forecast.spoken(expected, "data/two/.stages")
    assert told.startswith("about 0:04:10 and 12.5 MB (by data/one")


@pytest.mark.parametrize(
    "now", [{**NOW, "verbs": {"v": 2}}, {**NOW, "options": {"set": "a=b"}}, {**NOW, "inputs": {"c.yaml": "q"}}, {}]
)
def test_nothing_is_made_of_runs_that_cannot_be_compared(work: Path, now: dict[str, object]) -> None:
    expected = stage_forecast.forecast(TWO, None, now)
    assert expected.seconds is None
    assert "not known" in stage_forecast.spoken(expected, ".")


def test_too_little_room_is_told(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_forecast, "free_bytes", lambda folder: 1_000_000)
    assert "; only 1.0 MB are free there" in stage_forecast.spoken(stage_forecast.forecast(TWO, record(), {}), "x")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5e12, "5.0 TB")]
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert stage_forecast.size(count) == text


def test_a_dry_run_of_the_recipe(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path)
    assert "would run (not done yet), time and space not known" in recipe.run("--dry-run")
    recipe.run()
    stamp = json.loads((recipe.dir / "data/mini/.stages/01-features.json").read_text())
    assert stamp["records"] == 1 and stamp["bytes"] >= 16
    out = recipe.run("--dry-run", "--set", "a.b=c")
    assert "stage 1 features: would run (changed: option --set:  -> a.b=c), about 0:00:0" in out
    assert f"as on {stamp['ended'][:16]}, {os.uname().nodename}" in out
    recipe.run("--source-dir", "x", "--stop-stage", "0")
    out = recipe.run("--source-dir", "x", "--dry-run")
    assert "by data/mini on" in out and "1 records there, 1 here" in out
    recipe.run("--stage", "1", "--work-command", "false", expect=1)
    assert "interrupted before), about 0:00:0" in recipe.run("--dry-run"), "what was known is known after a failure"


def test_leftovers_of_the_dead_are_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = f".x.ark.{2**22 + 1}.tmp"  # above the highest process id
    kept = [f".x.ark.{os.getpid()}.tmp", "x.ark", ".hidden", "notes.123.tmp", f".d.{2**22 + 1}.old"]
    for folder in (tmp_path / "a/out", tmp_path / "a/out/below", tmp_path / "a/other"):
        folder.mkdir(parents=True)
        for name in (dead, *kept):
            (folder / name).touch()
    removed = remove_leftovers([str(tmp_path / "*/out/x.scp")])
    assert sorted(removed) == [str(tmp_path / "a/out" / dead), str(tmp_path / "a/out/below" / dead)]
    assert (tmp_path / "a/other" / dead).exists() and all((tmp_path / "a/out" / name).exists() for name in kept)


def test_a_process_that_has_ended_but_was_not_waited_for_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    (tmp_path / f".x.ark.{child.pid}.tmp").touch()
    assert remove_leftovers([str(tmp_path / "x.scp")])
    child.wait()


def test_a_killed_stage_is_cleaned_up_when_it_starts_again(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path)
    command = f'touch "$PWD/data/mini/.f.{2**22 + 1}.tmp"; false'
    recipe.run("--work-command", command, expect=1)
    assert list(recipe.dir.glob("data/mini/.f.*"))
    recipe.run()
    assert not list(recipe.dir.glob("data/mini/.f.*"))
