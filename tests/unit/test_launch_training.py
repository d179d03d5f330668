"""utils/launch_training.py on one machine (on several nodes: tests/recipe/test_slurm.py)."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine_recipe import UTILS, clean_environment

LAUNCH = UTILS / "launch_training.py"
WORKER = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(85))
rank, wanted = os.environ["RANK"], sys.argv[1]
pathlib.Path("up." + rank).write_text(f"{os.environ['WORLD_SIZE']} {os.environ['OMP_NUM_THREADS']}")
if wanted == rank:
    sys.exit(4)
while wanted != "none":
    time.sleep(0.05)
"""


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "worker.py").write_text(WORKER)
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("SLURM_")}
    return subprocess.Popen([sys.executable, str(LAUNCH), *words], cwd=folder, text=True, stderr=subprocess.PIPE,
                            env={**kept, "OMP_NUM_THREADS": "6", **environment})  # fmt: skip


def finish(process: subprocess.Popen[str], expect: int) -> str:
    error = process.communicate(timeout=60)[1]
    assert process.returncode == expect, error
    return error


def test_processes_share_the_threads_of_the_job(tmp_path: Path) -> None:
    finish(start(tmp_path, "--processes", "3", "--", "worker.py", "none"), 0)
    assert [(tmp_path / f"up.{rank}").read_text() for rank in range(3)] == ["3 2"] * 3


def test_a_status_with_a_meaning_survives_torchrun(tmp_path: Path) -> None:
    error = finish(start(tmp_path, "--processes", "2", "--", "worker.py", "1"), 4)
    assert "process 1: 4" in error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_the_training(tmp_path: Path, number: int) -> None:
    process = start(tmp_path, "--processes", "2", "--", "worker.py", "wait")
    for _ in range(600):
        if all((tmp_path / f"up.{rank}").exists() for rank in range(2)):
            break
        time.sleep(0.05)
    process.send_signal(number)
    finish(process, 85)


LATE_SIGNALS = """
import atexit, os, runpy, signal, sys
from torch.distributed import run

def main(words, real=run.main):
    try:
        real(words)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

run.main = main
atexit.register(os.kill, os.getpid(), signal.SIGTERM)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(("wanted", "status"), [("none", 0), ("1", 4)])
def test_a_signal_after_the_training_has_ended_changes_no_status(tmp_path: Path, wanted: str, status: int) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-c", LATE_SIGNALS, str(LAUNCH), "--processes", "2", "--", "worker.py", wanted]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr


def test_one_process_needs_no_torchrun(tmp_path: Path) -> None:
    finish(start(tmp_path, "--processes", "1", "--", "worker.py", "0", RANK="0", WORLD_SIZE="1"), 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--processes", "3", "--nodes", "2"], "3 processes cannot be shared out evenly to 2 nodes"),
        (["--processes", "2", "--nodes", "2"], "2 nodes need a Slurm job: use slurm.pl"),
    ],
)
def test_usage_errors(tmp_path: Path, words: list[str], message: str) -> None:
    assert message in finish(start(tmp_path, *words, "--", "worker.py"), 2)


@pytest.mark.parametrize(
    ("codes", "asked", "status"),
    [
        ({85}, True, 85),
        ({85, -15}, True, 85),
        ({85, -9}, True, 85),
        ({85, -9}, False, 137),
        ({85, 1}, True, 1),
        ({85, 4}, False, 4),
        ({4, 1, -15}, False, 4),
        ({4, 3}, False, 1),
        ({-9, 1}, False, 137),
        ({-15}, False, 1),
        ({-15}, True, 143),
        ({1, -15}, True, 1),
    ],
)
def test_common_status(codes: set[int], asked: bool, status: int) -> None:
    spec = importlib.util.spec_from_file_location("launch_training", LAUNCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.common_status(codes, asked=asked) == status
