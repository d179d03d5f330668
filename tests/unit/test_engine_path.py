"""path.sh: which Python, and an environment that is built once, whole, by one process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine_recipe import ROOT, UTILS, clean_environment

BASE = Path(sys.base_prefix) / "bin"
SHOW = 'set -euo pipefail; . "$1/path.sh"; command -v python; echo "$PYTHONPATH"; echo "$LC_ALL $PYTHONUTF8"'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose environment needs no downloads."""
    root = tmp_path / "a clone"
    shutil.copytree(UTILS, root / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "path.sh", root)
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "requirements.lock").write_text("# nothing\n")
    return root


def start(clone: Path, **environment: str) -> subprocess.Popen[str]:
    base = {name: value for name, value in clean_environment().items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    base["PATH"] = f"{BASE}:/usr/bin:/bin"
    return subprocess.Popen(
        ["bash", "-c", SHOW, "bash", str(clone)], env={**base, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def source(clone: Path, expect: int = 0, **environment: str) -> tuple[str, str]:
    process = start(clone, **environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == expect, out + err
    return out, err


def test_environment_is_built_once_and_finished_if_cut_short(clone: Path) -> None:
    pair = [start(clone), start(clone)]
    results = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], results
    errors = "".join(err for _, err in results)
    assert errors.count("setting up the Python environment") == 1, "two starts at once must not both build"
    assert errors.count("the environment is ready") == 1
    for out, _ in results:
        assert out.splitlines() == [f"{clone}/.venv/bin/python", f"{clone}/pylib", "C 1"]

    began = time.monotonic()
    _, err = source(clone)
    assert err == ""
    assert time.monotonic() - began < 1

    (clone / ".venv/complete.requirements.lock").unlink()
    _, err = source(clone, expect=1, VGS_JOB="1")
    assert "a job does not build it" in err
    assert "completing the Python environment" in source(clone)[1]
    (clone / "requirements.lock").write_text("no-such-package-at-all==1\n")
    _, err = source(clone, expect=1, PIP_NO_INDEX="1")
    assert "completing the Python environment" in err and "the set-up did not finish" in err


def test_vgs_python(clone: Path) -> None:
    out, _ = source(clone, VGS_PYTHON=sys.executable)
    assert out.splitlines()[0] == f"{Path(sys.executable).parent}/python"
    assert not (clone / ".venv").exists()
    (clone / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=99", "surely-not-there"]\n[project.optional-dependencies]\nmini = []\n'
    )
    _, err = source(clone, expect=1, VGS_PYTHON=sys.executable)
    assert "numpy>=99: 2" in err and "surely-not-there: not installed" in err
    assert "VGS_PYTHON=/no/python cannot be run" in source(clone, expect=1, VGS_PYTHON="/no/python")[1]


def test_active_environment(clone: Path) -> None:
    out, _ = source(clone, VIRTUAL_ENV=sys.prefix)
    assert out.splitlines()[0] == f"{sys.prefix}/bin/python"
    assert not (clone / ".venv").exists()


def test_a_python_of_another_name_is_wrapped(clone: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd place"
    odd.mkdir()
    (odd / "python3.11-mine").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (odd / "python3.11-mine").chmod(0o755)
    out, _ = source(clone, VGS_PYTHON=str(odd / "python3.11-mine"))
    python = out.splitlines()[0]
    assert subprocess.run(
        [python, "-c", "import numpy, sys; print(sys.prefix)"], capture_output=True, text=True
    ).stdout == (f"{sys.prefix}\n")


def test_old_python_gets_one_line(clone: Path, tmp_path: Path) -> None:
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        fake = tmp_path / "bin" / name
        fake.parent.mkdir(exist_ok=True)
        fake.write_text("#!/bin/sh\necho 3.9\n")
        fake.chmod(0o755)
    _, err = source(clone, expect=1, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert err.count("\n") == 1
    assert "Python 3.11, 3.12 or 3.13 is needed, python3 is Python 3.9: install" in err
    assert not (clone / ".venv").exists()


def test_lock_pins_all_that_pyproject_asks_for() -> None:
    import tomllib

    locked = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            locked[name.lower().replace("_", "-")] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["mini"]:
        assert requirement.split(">")[0].split("=")[0].lower() in locked
    assert (locked["torch"], locked["torchvision"], locked["torchaudio"]) == ("2.14.1", "0.29.1", "2.11.0")
