"""--help of every script works before there is an environment, with any Python, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine_recipe import ROOT

SOURCED = {"parse_options.sh", "recipe.sh", "stages.sh", "step.sh", "verb.sh", "vq_stages.sh"}
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("utils/*.sh", "steps/*.sh", "local/*.sh", "egs/*/run*.sh")
    for path in ROOT.glob(pattern)
    if path.name not in SOURCED
)
TOOLS = ("utils/run.pl", "utils/slurm.pl", "utils/show_progress")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without an environment, and a python3 that has no packages."""
    clone = tmp_path_factory.mktemp("clone")
    left_out = shutil.ignore_patterns("__pycache__", "data", "exp", ".venv*")
    for name in ("egs", "local", "pylib", "steps", "utils"):
        shutil.copytree(ROOT / name, clone / name, symlinks=True, ignore=left_out)
    for name in ("path.sh", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, clone)
    python = clone / "bin/python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -s "$@"\n')
    python.chmod(0o755)
    return clone


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("script", [*SCRIPTS, *TOOLS])
def test_help_needs_no_environment(clone: Path, script: str) -> None:
    before = files(clone)
    environment = {"PATH": f"{clone}/bin:/usr/bin:/bin", "HOME": str(clone)}
    done = subprocess.run([clone / script, "--help"], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert len(done.stdout.splitlines()) > 4 and os.path.basename(script) in done.stdout
    assert files(clone) == before


def test_the_python_of_this_test_has_no_packages(clone: Path) -> None:
    done = subprocess.run([clone / "bin/python3", "-c", "import numpy"], capture_output=True, text=True)
    assert "No module named 'numpy'" in done.stderr
