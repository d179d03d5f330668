"""What can be said of the tree without running it: lint, types, links, sizes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path for path in (ROOT / "egs").iterdir() if path.is_dir())
FOLDERS = (".ci", "docs", "egs", "local", "pylib", "steps", "tests", "utils")
NOT_SOURCES = {"data", "exp", "golden"}
LONGEST_FILE = 450  # lines


def source_files() -> list[Path]:
    """Every text file that someone wrote, each once."""
    paths = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    return sorted(
        path
        for path in paths
        if path.is_file() and not path.is_symlink() and not NOT_SOURCES & set(path.relative_to(ROOT).parts)
        if path.suffix in {".py", ".pl", ".sh", ".js", ".css", ".md", ".yaml", ".toml"} or is_bash(path)
    )


def is_bash(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.readline().strip() in (b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh")


def shell_scripts() -> list[Path]:
    return [path for path in source_files() if path.suffix == ".sh" or is_bash(path)]


def check(*command: str | Path, **environment: str) -> None:
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    check(sys.executable, "-m", "ruff", "check", "--no-cache", ".")


def test_library_is_typed() -> None:
    check(sys.executable, "-m", "mypy")


def test_job_runners_are_typed() -> None:
    runners = [ROOT / "utils" / name for name in ("run.pl", "slurm.pl", "show_progress")]
    check(sys.executable, "-m", "mypy", "--scripts-are-modules", *(ROOT / "utils").glob("*.py"), *runners, MYPYPATH="utils")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    check("shellcheck", "-x", "-S", "style", "-P", "SCRIPTDIR", *shell_scripts())


def test_every_shellcheck_exception_has_a_reason() -> None:
    for path in shell_scripts():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if "# shellcheck " in line and "disable=" in line:
                assert line.count("#") > 1, f"{path}:{number}: say why, after another #"


def test_files_can_be_read_in_one_go() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in source_files()}
    assert len(lines) > 200  # else the search is broken
    assert {str(path): count for path, count in lines.items() if count > LONGEST_FILE} == {}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_recipes_share_their_parts(recipe: Path) -> None:
    for name in ("steps", "utils", "local"):
        assert (recipe / name).is_symlink() and (recipe / name).resolve() == ROOT / name
    assert (recipe / "cmd.sh").resolve() == ROOT / "egs" / "hindi_english" / "cmd.sh"
    assert os.access(recipe / "run.sh", os.X_OK)


def test_no_configuration_is_written_twice() -> None:
    seen: dict[bytes, Path] = {}
    for path in sorted(file for recipe in RECIPES for file in (recipe / "conf").rglob("*") if file.is_file()):
        first = seen.setdefault(path.read_bytes(), path.resolve())
        assert first == path.resolve(), f"{path} repeats {first}: make it a link"


def test_links_lead_somewhere_inside() -> None:
    links = [path for folder in ("egs", "tests") for path in (ROOT / folder).rglob("*") if path.is_symlink()]
    for link in links:
        if not {"data", "exp"} & set(link.relative_to(ROOT).parts):
            assert link.exists() and link.resolve().is_relative_to(ROOT), f"{link} -> {os.readlink(link)}"
            assert not os.readlink(link).startswith("/"), f"{link}: an absolute link breaks in a copy"
