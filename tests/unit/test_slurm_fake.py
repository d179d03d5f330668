"""utils/slurm.pl against a Slurm of our own making, which can lose jobs and answer with errors (the real one: test_slurm.py)."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine_recipe import UTILS
from slurm_site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_same_logs_as_run_pl(site: Site) -> None:
    words = ["JOB=1:3", "x/log/a.JOB.log", "echo", "a  b", '"c"', "JOB", "JOBS", "$OMP_NUM_THREADS", "|", "cat"]
    words += ["&&", "test", "JOB", "-lt", "3"]
    error = site.run("--num-threads", "2", *words, expect=1)
    ours = [(site.work / f"x/log/a.{n}.log").read_text() for n in (1, 2, 3)]
    assert error == "slurm.pl: 1 / 3 failed, log is in x/log/a.*.log\n  | a  b c 3 JOBS 2\n"
    done = subprocess.run([str(UTILS / "run.pl"), "--num-threads", "2", *words], cwd=site.work, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, error.replace("slurm.pl", "run.pl"))
    theirs = [(site.work / f"x/log/a.{n}.log").read_text() for n in (1, 2, 3)]

    def constant(log: str) -> str:
        log = re.sub(r"\w{3} \w{3} +\d+ [\d:]{8} \d{4}", "DATE", log)
        return re.sub(r"on \S+, gpus|\d+ MB|time=\d+|time \d+", "", log)

    assert [constant(log) for log in ours] == [constant(log) for log in theirs]
    result = json.loads((site.work / "x/q/a.3.rc").read_text())
    assert (result["status"], result["host"], result["job"]) == (1, "fake", "1")


def test_a_finished_array_costs_slurm_one_call(site: Site) -> None:
    site.run("JOB=1:5", "a.JOB.log", "true", ASK_S="20")
    assert [line.split()[0] for line in (site.fake / "calls").read_text().splitlines()] == ["sbatch"]


def test_environment_of_a_job(site: Site) -> None:
    shown = "$VGS_JOB$FROM_PATH_SH $LD_LIBRARY_PATH $HF_HOME $SECRET $MINE $VGS_LOCK_FDS$HF_TOKEN."
    ours = {"LD_LIBRARY_PATH": "/a b", "HF_HOME": "it's", "MINE": "m", "VGS_EXPORT": "MINE"}
    site.run("a.log", "echo", shown.replace(" ", ","), SECRET="x", VGS_LOCK_FDS="9", HF_TOKEN="t", **ours)
    assert site.output("a.log") == ["1yes,/a b,it's,x,m,9t."]  # the fake hands its environment down, as --export=ALL does
    script = (site.work / "q/a.sh").read_text()
    assert "export LD_LIBRARY_PATH='/a b'" in script and "export MINE=m" in script
    assert "SECRET" not in script.replace(shown.replace(" ", ","), "") and "export HF_TOKEN" not in script
    assert "export VGS_LOCK_FDS" not in script


def test_what_sbatch_gets(site: Site) -> None:
    (site.work / "conf").mkdir()
    (site.work / "conf/slurm.conf").write_text(
        "# ours\ncommand sbatch --export=PATH\ndefault time=1:00\noption time=* --time $0\noption gpu=0   # nothing\n"
        "option gpu=* -p gpu --gres=gpu:$0 -c $0\noption num_nodes=* --nodes $0\noption num_threads=* --cpus-per-task=$0\n"
    )
    site.run("--gpu", "0", "JOB=2:4", "--max-jobs-run", "2", "a.JOB.log", "true")
    site.run("--gpu", "2", "--num-nodes", "3", "--time", "9", "-p", "big", "b.log", "true")
    first, second = site.calls("sbatch")
    assert first.startswith("sbatch --export=PATH --time 1:00 --output=q/a.log --open-mode=append --array=2-4%2 --parsable")
    assert second.startswith("sbatch --export=PATH --time 9 -p gpu --gres=gpu:2 -c 2 --nodes 3 -p big --output=q/b.log")
    assert "--array" not in second


@pytest.mark.parametrize(
    ("config", "words", "message"),
    [
        ("option a=*\n", [], "has no line 'command sbatch ...'"),
        ("command sbatch\noption\n", [], "x.conf:2: expected 'command ...'"),
        ("command sbatch\n\nopton a=1\n", [], "x.conf:3: expected"),
        ("command sbatch 'x\n", [], "x.conf:1: No closing quotation"),
        ("command sbatch\noption mem=* --mem $0\n", ["--men", "4G"], "--men 4G is not described in x.conf (described: --mem)"),
        ("command sbatch\noption gpu=0\n", ["--gpu", "1"], "option --gpu 1 is not described"),
        ("command sbatch\n", ["--num-tries", "x"], "--num-tries needs a whole number"),
        ("command sbatch\n", ["--gpu", "--mem"], "option --gpu needs a value"),
    ],
)  # fmt: skip
def test_usage_errors(site: Site, config: str, words: list[str], message: str) -> None:
    (site.work / "x.conf").write_text(config)
    assert message in site.run("--config", "x.conf", *words, "a.log", "true", expect=2)
    assert not (site.fake / "calls").exists()


def test_lost_job(site: Site) -> None:
    site.knob("lose", "2")
    error = site.run("JOB=1:3", "log/a.JOB.log", "true", expect=1)
    assert "job 2 (1_2): Slurm no longer knows the job, and it left no result" in error
    assert "1 / 3 failed, log is in log/a.*.log" in error
    assert "# Ended (code 1)" in (site.work / "log/a.2.log").read_text()


def test_only_lost_jobs_are_submitted_again(site: Site) -> None:
    site.knob("lose", "2")
    site.knob("state", "4 NODE_FAIL\n")
    error = site.run("--num-tries", "2", "JOB=1:4", "log/a.JOB.log", "echo", "JOB", ">>", "ran")
    assert "submitting jobs 2,4 again (try 2 of 2)" in error
    assert sorted((site.work / "ran").read_text().split()) == ["1", "2", "3", "4"]
    assert ["--array=2,4" in call for call in site.calls("sbatch")] == [False, True]


def test_failures_of_their_own_are_not_tried_again(site: Site) -> None:
    site.run("--num-tries", "3", "JOB=1:2", "a.JOB.log", "echo", "x", ">>", "ran.JOB", "&&", "exit", "4", expect=4)
    assert len(site.calls("sbatch")) == 1


def test_an_interrupted_job_goes_on(site: Site) -> None:
    (site.work / "job").write_text("echo $$ >> ran; [ $(wc -l < ran) -ge 3 ] || exit 85\n")
    error = site.run("--num-tries", "2", "a.log", "bash", "job", expect=85)
    assert "submitting job 1 again (try 2 of 2)" in error and "interrupted, can be resumed" in error
    site.run("--num-tries", "2", "a.log", "bash", "job")
    assert len((site.work / "ran").read_text().split()) == 3
    (site.work / "ran").unlink()
    site.run("--num-tries", "3", "a.log", "bash", "job")
    assert (site.work / "a.log").read_text().count("# Ended") == 3  # the log of all tries


def test_a_result_file_with_the_inode_of_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(UTILS))
    array = importlib.import_module("slurm_array")
    call = importlib.import_module("kaldi_job").Call(str(tmp_path / "log/a.log"), "true")
    run = array.ArrayRun(call, [1], array.Settings(["sbatch"], 1, 0, 1))
    run.scratch.mkdir(parents=True)
    run.tasks[1].run = "ours"
    file = run.scratch / "a.rc"
    file.write_text('{"run": "an earlier one", "status": 0}')
    assert run._with_results() == [] and run._with_results() == []
    before = file.stat()
    file.write_text('{"run": "ours", "status": 0}')  # in place, as when a file system gives the inode out again
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))  # a file system's clock may tick in milliseconds
    assert file.stat().st_ino == before.st_ino and [task.number for task in run._with_results()] == [1]


def test_out_of_memory_time_limit_and_cancellation(site: Site) -> None:
    site.knob("state", "1 OUT_OF_MEMORY\n2 TIMEOUT\n3 CANCELLED\n4 COMPLETED\n")
    error = site.run("--num-tries", "2", "JOB=1:4", "a.JOB.log", "true", expect=1)
    assert "job 1 was killed (status 137), most likely because memory ran out" in error
    assert "job 2 (1_2): Slurm: TIMEOUT: it reached its time limit: raise --time" in error
    assert "job 3 (1_3): Slurm: CANCELLED: somebody cancelled it" in error
    assert "job 4 (1_4): Slurm: COMPLETED: it ended well but left no result file" in error
    assert len(site.calls("sbatch")) == 1


def test_a_killed_job_script(site: Site) -> None:
    error = site.run("JOB=1:2", "a.JOB.log", "test", "JOB", "=", "1", "||", "kill", "-9", "$PPID", expect=1)
    assert "job 2 was killed (status 137)" in error
    assert "# Ended (code 0; signal 9)" in (site.work / "a.2.log").read_text()


def test_controller_that_does_not_answer(site: Site) -> None:
    site.knob("fail_squeue", "2")
    site.knob("fail_scontrol", "1")
    site.knob("lose", "2")
    error = site.run("JOB=1:2", "a.JOB.log", "sleep", "1", expect=1)
    assert error.count("Slurm does not answer") == 1 and "job 2 (1_2): Slurm no longer knows" in error


def test_a_submission_whose_answer_was_lost_is_not_repeated(site: Site) -> None:
    site.knob("fail_sbatch", "1")
    error = site.run("JOB=1:2", "a.JOB.log", "echo", "x", ">>", "ran.JOB")
    assert "trying again" in error and len(site.calls("sbatch")) == 1
    assert (site.work / "ran.1").read_text() == "x\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels(site: Site, number: int) -> None:
    (site.work / "job").write_text("trap 'echo saved; exit 85' TERM\necho x > ready.$1\nwhile true; do sleep 0.05; done\n")
    process = site.start("JOB=1:2", "a.JOB.log", "bash", "job", "JOB")
    for name in ("ready.1", "ready.2"):
        for _ in range(200):
            if (site.work / name).exists():
                break
            time.sleep(0.05)
    process.send_signal(number)
    assert "interrupted, can be resumed" in process.communicate(timeout=20)[1]
    assert process.returncode == 85
    assert "saved" in site.output("a.1.log")
    assert not (site.work / "q/a.jobs").exists()


def test_jobs_of_a_killed_call(site: Site) -> None:
    process = site.start("JOB=1:2", "a.JOB.log", "touch", "up.JOB", ";", "sleep", "60")
    while not ((site.work / "up.1").exists() and (site.work / "up.2").exists()):
        time.sleep(0.05)
    beside = site.run("JOB=1:2", "a.JOB.log", "true", expect=75)
    assert f"another one, process {process.pid}, is running a.JOB.log" in beside
    process.kill()
    process.communicate()
    for _ in range(100):
        if all("# Ended" in (site.work / f"a.{n}.log").read_text() for n in (1, 2)):
            break
        time.sleep(0.05)
    assert "with status 143" in (site.work / "a.1.log").read_text()
    site.run("JOB=1:2", "a.JOB.log", "true")


def test_pick(site: Site) -> None:
    site.run("JOB=1:3", "a.JOB.log", "test", "JOB", "-ne", "2", expect=1)
    error = site.run("--pick", "failed", "JOB=1:3", "a.JOB.log", "true")
    assert "--pick failed: 1 of 3 jobs to run" in error and "--array=2 " in site.calls("sbatch")[1]
    site.run("--pick", "incomplete", "JOB=1:3", "a.JOB.log", "false")


def test_a_long_command_and_hostile_words(site: Site) -> None:
    site.run("a.log", "echo", "END_OF_COMMAND\nEND_OF_COMMAND", *["x" * 50_000] * 3, "it's so", ">", "out")
    text = (site.work / "out").read_text()
    assert len(text) > 150_000 and text.startswith("END_OF_COMMAND\nEND_OF_COMMAND x") and text.endswith("x it's so\n")


def test_without_slurm(site: Site) -> None:
    programs = site.work.parent / "without"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    error = site.run("a.log", "true", expect=1, PATH=str(programs))
    assert "sbatch could not be started: No such file or directory; is this a machine with Slurm?" in error
