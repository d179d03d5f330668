"""Faults of the classic job runners, each in a test that they would fail. (More of them: test_engine_run_pl.py: pipes, the tag as
a word, signals; test_slurm_fake.py and recipe/test_slurm.py: tasks that end without a word.)"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from engine_recipe import UTILS, clean_environment
from slurm_site import Site

HOSTILE = ["it's a log", 'say "x"', "$(touch made) `touch made`", "a;touch made", "%A * ?", "पानी", "-n"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def run_pl(folder: Path, *words: str, expect: int = 0, **environment: str) -> str:
    """run.pl's standard error."""
    done = subprocess.run([str(UTILS / "run.pl"), *words], cwd=folder, capture_output=True, text=True, timeout=30,
                          env={**clean_environment(), **environment})  # fmt: skip
    assert done.returncode == expect, done.stderr
    return done.stderr


def test_nothing_sleeps_long(site: Site) -> None:
    """The classic sleeps 5 s in a new q/, removes old results one by one, and 80 s for network file systems."""
    for _ in range(2):
        site.run("JOB=1:3", "log/a.JOB.log", "true")
    assert max(map(float, (site.fake / "sleeps").read_text().split())) <= 1.0


def test_neither_waiting_by_sbatch_nor_accounting(site: Site) -> None:
    """sbatch --wait looks every ten seconds; sacct needs a database that many clusters lack."""
    site.knob("lose", "2")
    site.run("--num-tries", "2", "JOB=1:2", "log/a.JOB.log", "true")
    assert not site.calls("sacct")
    assert not any("--wait" in call for call in site.calls("sbatch"))


@pytest.mark.parametrize("words", [["--dependency", "afterok:7"], ["-d", "afterok:7"]])
def test_a_dependency_that_cannot_come_true_ends_the_job(site: Site, words: list[str]) -> None:
    """Without the option Slurm keeps such a job in the queue for ever."""
    (site.work / "x.conf").write_text("command sbatch\noption dependency=* --dependency=$0\n")
    site.run("--config", "x.conf", *words, "a.log", "true")
    site.run("--config", "x.conf", "b.log", "true")
    assert ["--kill-on-invalid-dep=yes" in call for call in site.calls("sbatch")] == [True, False]


def test_a_killed_task_keeps_its_status(site: Site) -> None:
    """The classic turns 137 into 100 where its end was not recorded, and names no task (a misspelt variable)."""
    site.knob("state", "3 OUT_OF_MEMORY\n")
    error = site.run("JOB=1:3", "a.JOB.log", "true", expect=1)
    assert "job 3 was killed (status 137), most likely because memory ran out" in error
    assert "with status 137" in (site.work / "a.3.log").read_text()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("MemoryError", "job 2 was short of memory: lower --nj or --max-jobs-run"),
        ("fork: Cannot allocate memory", "job 2 was short of memory: lower --nj"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to", "job 2 was short of GPU memory: lower the batch size"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0", "job 2 was short of memory"),
    ],
)
def test_memory_that_ran_out_is_named(tmp_path: Path, said: str, advice: str) -> None:
    (tmp_path / "job").write_text(f"test $1 = 1 || {{ echo '{said}'; exit 1; }}\n")
    assert advice in run_pl(tmp_path, "JOB=1:2", "a.JOB.log", "bash", "job", "JOB", expect=1)


def test_other_failures_are_not_blamed_on_memory(tmp_path: Path) -> None:
    assert "memory" not in run_pl(tmp_path, "a.log", "echo", "no such file", ";", "exit", "1", expect=1)


@pytest.mark.parametrize(("listing", "most"), [("GPU 0: A (UUID: a)\n  MIG 1g (UUID: m)\nGPU 1: A (UUID: b)\n", 2), ("", 1)])
def test_gpus_are_counted(tmp_path: Path, listing: str, most: int) -> None:
    """As many jobs at once as nvidia-smi lists GPUs; where it lists none, or fails, one at a time."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/nvidia-smi"
    fake.write_text(f"#!/bin/sh\nprintf '{listing}'\ntest -n '{listing}'\n")
    fake.chmod(0o755)
    (tmp_path / "job").write_text("touch run.$1; ls run.* | wc -l >> at_once; echo $CUDA_VISIBLE_DEVICES; sleep 0.3; rm run.$1\n")
    environment = clean_environment()
    path = f"{fake.parent}:{environment['PATH']}"
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    done = subprocess.run([str(UTILS / "run.pl"), "--gpu", "1", "JOB=1:4", "a.JOB.log", "bash", "job", "JOB"], cwd=tmp_path,
                          env={**environment, "PATH": path}, timeout=30)  # fmt: skip
    assert done.returncode == 0
    assert max(map(int, (tmp_path / "at_once").read_text().split())) <= most
    shown = {line for n in range(1, 5) for line in (tmp_path / f"a.{n}.log").read_text().splitlines() if line[:1] != "#"}
    assert shown == ({"0", "1"} if most == 2 else {""})


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("runner", ["run.pl", "slurm.pl"])
def test_hostile_names(site: Site, runner: str, name: str) -> None:
    """Logs and folders may be called anything; nothing in their names is executed."""
    log = f"./{name}/log/{name}.JOB.log"
    if runner == "run.pl":
        run_pl(site.work, "JOB=1:2", log, "echo", "JOB")
    else:
        site.run("JOB=1:2", log, "echo", "JOB")
        assert (site.work / name / "q" / f"{name}.2.rc").exists()
    assert "\n2\n" in (site.work / name / "log" / f"{name}.2.log").read_text()
    assert {path.name for path in site.work.iterdir()} == {"path.sh", name}


def test_a_result_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    """A full disk takes the log's end, not the knowledge that something failed."""
    (tmp_path / "a.1.log").symlink_to("/dev/full")
    error = run_pl(tmp_path, "JOB=1:1", "a.JOB.log", "true", expect=4)
    assert "no space left on the file system" in error and "free some space" in error


def test_a_second_signal_kills(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done\n")
    process = subprocess.Popen([str(UTILS / "run.pl"), "a.log", "bash", "job"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                               env=clean_environment())  # fmt: skip
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        time.sleep(0.02)
    process.terminate()
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert "stopped by SIGTERM" in process.communicate(timeout=20)[1]
    assert process.returncode == 143
