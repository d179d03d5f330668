"""utils/slurm.pl and training on several nodes against a real Slurm (tests/slurm/start)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))

from killing import SMALLEST, differences  # noqa: E402
from micro_corpus import make_corpus, micro_config  # noqa: E402
from recipe_runner import command  # noqa: E402
from vgspeech.config import save_config  # noqa: E402

SLURM_PL = str(ROOT / "utils/slurm.pl")
# Both nodes for a job of the partition that preempts the others.
URGENT = ("sbatch", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 0.5")


def missing() -> str:
    """Why the tests cannot run; empty if they can."""
    if os.environ.get("VGS_FULL") != "1":
        return "a real Slurm is started by tests/run.sh --full only"
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    return f"no {', '.join(absent)}: apt-get install --no-install-recommends slurm-wlm munge" if absent else ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


class Cluster:
    """A running Slurm, and a work directory, its path with a space."""

    def __init__(self, conf: str) -> None:
        self.work = Path()
        dropped = ("VGS_FAILURE_NOTE", "VGS_SUPERVISOR", "VGS_LOCK_FDS")
        self.environment = {name: value for name, value in os.environ.items() if name not in dropped}
        # What sourcing path.sh does: `python` is the one that runs the tests.
        self.environment |= {"SLURM_CONF": conf, "VGS_SLURM_CONF": str(ROOT / "egs/hindi_english/conf/slurm.conf")}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{ROOT / 'utils'}:{os.environ['PATH']}"
        self.environment["PYTHONPATH"] = str(ROOT / "pylib")

    def tool(self, *words: str) -> str:
        return subprocess.run(words, env=self.environment, check=True, capture_output=True, text=True, timeout=30).stdout

    def step(self, script: str, *words: str) -> subprocess.Popen[str]:
        """Start a script of steps/."""
        return self.start(*words, program=str(ROOT / "steps" / script))

    def start(self, *words: str, program: str = SLURM_PL) -> subprocess.Popen[str]:
        return subprocess.Popen([program, *words], cwd=self.work, env=self.environment, text=True, stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)  # fmt: skip

    def run(self, *words: str, expect: int = 0, limit: int = 200) -> str:
        return self.finish(self.start(*words), expect, limit)

    def finish(self, process: subprocess.Popen[str], expect: int = 0, limit: int = 200) -> str:
        """Wait for slurm.pl; what it said."""
        error = process.communicate(timeout=limit)[1]
        assert process.returncode == expect, error
        return error

    def job(self) -> str:
        """The id of the only job."""
        (job,) = set(self.tool("squeue", "-h", "-o", "%F").split())
        return job

    def queue(self) -> str:
        return self.tool("squeue", "-h")

    def wait_for(self, what: Callable[[], bool], limit: float = 60.0) -> None:
        deadline = time.monotonic() + limit
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def running_slurm() -> Iterator[Cluster]:
    done = subprocess.run([ROOT / "tests/slurm/start"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    conf = done.stdout.strip().removeprefix("export SLURM_CONF=")
    yield Cluster(conf)
    subprocess.run([ROOT / "tests/slurm/stop"], env={**os.environ, "SLURM_CONF": conf}, check=True, timeout=60)


@pytest.fixture
def slurm(running_slurm: Cluster, tmp_path: Path) -> Cluster:
    running_slurm.work = tmp_path / "work dir"
    running_slurm.work.mkdir()
    return running_slurm


def test_an_array_with_a_failing_task(slurm: Cluster) -> None:
    words = ["echo", "a  b", "$OMP_NUM_THREADS", "$VGS_JOB", ">", "out.N", "&&", "test", "N", "!=", "3"]
    error = slurm.run("--num-threads", "2", "N=1:4", "exp/log/a.N.log", *words, expect=1)
    assert "slurm.pl: 1 / 4 failed, log is in exp/log/a.*.log" in error
    assert [(slurm.work / f"out.{n}").read_text() for n in (1, 2, 3, 4)] == ["a  b 2 1\n"] * 4
    log = (slurm.work / "exp/log/a.3.log").read_text()
    assert "# Ended (code 1) at" in log and "with status 1 on n" in log
    assert (slurm.work / "exp/q/a.3.rc").exists()
    assert "exit 4" in slurm.run("b.log", "echo", "exit 4", "&&", "exit", "4", expect=4)


def test_gpus_and_nodes(slurm: Cluster) -> None:
    slurm.run("--gpu", "2", "--num-nodes", "2", "a.log", "echo", "$CUDA_VISIBLE_DEVICES", "$SLURM_JOB_NUM_NODES", ">", "out")
    assert (slurm.work / "out").read_text() == "0,1 2\n"
    assert "gpus 0,1," in (slurm.work / "a.log").read_text()


def test_max_jobs_run(slurm: Cluster) -> None:
    (slurm.work / "job").write_text("touch run.$1\nls run.* | wc -l > n.$1\nsleep 0.3\nrm run.$1\n")
    slurm.run("--max-jobs-run", "2", "JOB=1:5", "a.JOB.log", "bash", "job", "JOB")
    assert max(int(path.read_text()) for path in slurm.work.glob("n.*")) <= 2


def test_a_task_killed_outright(slurm: Cluster) -> None:
    started = time.monotonic()
    error = slurm.run("JOB=1:2", "log/a.JOB.log", "test", "JOB", "=", "1", "||", "kill", "-9", "$PPID", expect=1)
    assert "1 / 2 failed" in error and "job 2 was killed (status 137)" in error
    assert "# Ended (code 0; signal 9)" in (slurm.work / "log/a.2.log").read_text()
    assert time.monotonic() - started < 40  # Kaldi's takes over seven minutes


def test_a_cancelled_task(slurm: Cluster) -> None:
    process = slurm.start("--num-tries", "3", "JOB=1:2", "log/a.JOB.log", "touch", "up.JOB", "&&", "sleep", "$[JOB*2-1]")
    slurm.wait_for((slurm.work / "up.2").exists)
    slurm.tool("scancel", f"{slurm.job()}_2")
    error = slurm.finish(process, expect=1)
    assert "somebody cancelled it" in error and "1 / 2 failed" in error
    assert "again" not in error


CHECKPOINTING = """
trap 'echo saved; exit 85' TERM
echo started >> starts
if [ "$(wc -l < starts)" -ge 2 ]; then exit 0; fi
while true; do sleep 0.1; done
"""


def test_requeue_by_slurm(slurm: Cluster) -> None:
    (slurm.work / "job").write_text(CHECKPOINTING)
    process = slurm.start("log/a.log", "bash", "job")
    slurm.wait_for((slurm.work / "starts").exists)
    slurm.tool("scontrol", "requeue", slurm.job())
    assert "again" not in slurm.finish(process)  # Slurm does it
    assert (slurm.work / "log/a.log").read_text().count("# Started") == 2


def test_preemption_and_going_on(slurm: Cluster) -> None:
    (slurm.work / "job").write_text(CHECKPOINTING)
    process = slurm.start("--num-tries", "2", "log/a.log", "bash", "job")
    slurm.wait_for((slurm.work / "starts").exists)
    slurm.tool(*URGENT)
    error = slurm.finish(process)
    log = (slurm.work / "log/a.log").read_text()
    assert "saved" in log and "# Ended (code 85)" in log and log.rstrip().splitlines()[-1].startswith("# Ended (code 0)")
    assert "submitting job" in error or "(code 85)" in log  # whichever is quicker, Slurm or we


def test_the_warning_before_the_time_limit(slurm: Cluster) -> None:
    (slurm.work / "job").write_text(CHECKPOINTING)
    process = slurm.start("--num-tries", "2", "log/a.log", "bash", "job")
    slurm.wait_for((slurm.work / "starts").exists)
    slurm.tool("scancel", "--batch", "--signal=USR1", slurm.job())
    assert "again (try 2 of 2)" in slurm.finish(process)
    assert "saved" in (slurm.work / "log/a.log").read_text()


def test_a_dependency_that_failed(slurm: Cluster) -> None:
    """Ends the job; by itself Slurm leaves it in the queue for ever."""
    first = slurm.tool("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "sleep 1; false").strip()
    error = slurm.run("-d", f"afterok:{first}", "log/a.log", "true", expect=1)
    assert "Slurm: CANCELLED, Dependency" in error


def test_a_signal_cancels(slurm: Cluster) -> None:
    (slurm.work / "job").write_text("trap 'echo saved; exit 85' TERM\ntouch up.$1\nwhile true; do sleep 0.1; done\n")
    process = slurm.start("--max-jobs-run", "2", "JOB=1:4", "log/a.JOB.log", "bash", "job", "JOB")
    slurm.wait_for(lambda: len(list(slurm.work.glob("up.*"))) == 2)
    process.send_signal(signal.SIGTERM)
    assert "interrupted, can be resumed" in slurm.finish(process, expect=85)
    assert "saved" in (slurm.work / "log/a.1.log").read_text()
    slurm.wait_for(lambda: not slurm.queue(), 10)


def test_jobs_do_not_outlive_a_killed_call(slurm: Cluster) -> None:
    process = slurm.start("log/a.log", "touch", "up", "&&", "sleep", "100")
    slurm.wait_for((slurm.work / "up").exists)
    process.kill()
    process.communicate()
    slurm.wait_for(lambda: not slurm.queue(), 20)
    slurm.run("log/a.log", "true")


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one == other


def test_training_on_two_nodes_preempted(slurm: Cluster) -> None:
    """On two nodes, preempted, submitted again and gone on: the weights of two processes on one machine, left alone."""
    make_corpus(slurm.work / "data", {"train": 20, "dev": 6})
    save_config(micro_config(epochs=40, validate_every=20), slurm.work / "config.yaml")
    common = ["--num-threads", "1", "config.yaml", "data"]
    process = slurm.step("train.sh", "--num-nodes", "2", "--cmd", "slurm.pl --num-tries 3", *common, "spread")
    metrics = slurm.work / "spread/metrics.jsonl"
    slurm.wait_for(lambda: metrics.exists() and metrics.stat().st_size > 0, 150)
    slurm.tool(*URGENT)
    error = slurm.finish(process)
    log = (slurm.work / "spread/log/train.log").read_text()
    assert "2 nodes of 1 processes" in log and "stopped by a signal in epoch" in log and "going on at epoch" in log
    # Whichever is quicker, slurm.pl or Slurm. Slurm may also end the processes (143) between their checkpoint and status 85.
    assert "submitting job" in error or log.count("# Started") == 2
    slurm.finish(slurm.step("train.sh", "--num-processes", "2", *common, "together"))
    spread, together = (torch.load(slurm.work / name / "best.pt", weights_only=True) for name in ("spread", "together"))
    assert same(spread, together)
    assert len(metrics.read_text().splitlines()) == 40


def test_the_whole_recipe_gives_the_same_files(slurm: Cluster, tmp_path: Path) -> None:
    """Every stage by Slurm, in arrays of two tasks, training on both nodes; then again by as many jobs on this machine."""
    scenes = ["--mini-set", "train_scenes=20"]  # two blocks of captions to embed
    recipe, *words = command("hindi_english", slurm.work, *SMALLEST, *scenes)
    by_slurm = ["--cmd", "slurm.pl --mem 500M --num-threads 1", "--num-nodes", "2"]
    slurm.finish(slurm.start(*words, *by_slurm, program=recipe), limit=600)
    for name in ("make_features", "embed", "find_peaks"):
        logs = [path.read_text() for path in slurm.work.rglob(f"{name}.2.log")]
        assert any(re.search(r"with status 0 on n[12],", log) for log in logs), name
    assert "2 nodes of 1 processes" in (slurm.work / "exp/mini/log/train.log").read_text()
    shutil.copytree(slurm.work, tmp_path / "by Slurm", symlinks=True)
    for stages in (["--stage", "features", "--stop-stage", "statistics"], ["--stage", "embed"]):
        slurm.finish(slurm.start(*words, "--cmd", "run.pl", *stages, program=recipe), limit=600)
    assert differences(slurm.work, tmp_path / "by Slurm") == []
    again = ["--num-processes", "2", "--num-threads", "1", "exp/mini/config.yaml", "data/mini", "exp/again"]
    slurm.finish(slurm.step("train.sh", *again))
    spread, together = (torch.load(slurm.work / f"exp/{name}/best.pt", weights_only=True) for name in ("mini", "again"))
    assert same(spread, together)
