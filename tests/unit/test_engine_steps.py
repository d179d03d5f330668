"""What all steps have in common: help, usage errors, missing inputs, and that they work when they are started by hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine_recipe import ROOT

STEPS = sorted(path for path in (ROOT / "steps").glob("*.sh") if path.name not in ("stages.sh", "vq_stages.sh"))


def run(step: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start a step without path.sh, as a user does; vgspeech can be imported, the job runners are not on PATH."""
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "pylib")}
    return subprocess.run([step, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def usage_of(step: Path) -> tuple[list[str], bool]:
    """The arguments in the first line of a step's usage, and whether one of them may be given any number of times."""
    line = next(line for line in step.read_text().splitlines() if line.startswith(f"#   steps/{step.name}"))
    return re.findall(r"<[a-z-]+>", line), ">..." in line


@pytest.mark.parametrize("step", STEPS, ids=lambda path: path.name)
def test_help_usage_and_missing_inputs(step: Path, tmp_path: Path) -> None:
    shown = run(step, "--help", cwd=tmp_path)
    assert shown.returncode == 0 and "e.g.: steps/" in shown.stdout and "Options" in shown.stdout
    arguments, any_number = usage_of(step)
    for wrong in ([], arguments[:-1] if any_number else [*arguments, "one too many"]):
        assert run(step, *wrong, cwd=tmp_path).returncode == 2
    done = run(step, *arguments, cwd=tmp_path)
    assert done.returncode == (2 if arguments[0] == "<config>" else 4)
    assert re.search(r"no such (file|folder): \S*<", done.stderr), done.stderr
    assert "Traceback" not in done.stderr and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", STEPS, ids=lambda path: path.name)
def test_job_runner_is_run_pl(step: Path) -> None:
    found = re.findall(r"^cmd=(\S*)", step.read_text(), re.MULTILINE)
    assert found == (["run.pl"] if re.search(r"\$cmd\b", step.read_text()) else [])
