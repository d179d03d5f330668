"""utils/run.pl: Kaldi's convention and log format, and the faults of the classic one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine_recipe import UTILS, clean_environment

RUN = str(UTILS / "run.pl")


def call(folder: Path, *arguments: str, expect: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [RUN, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        env={**clean_environment(), **environment},
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stderr


def output(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if not line.startswith("#")]


def gone(process_id: int) -> bool:
    """Has the process ended, within 3 s? (A zombie that nobody waits for has.)"""
    for _ in range(60):
        try:
            state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def wait_for(path: Path) -> str:
    for _ in range(200):
        if path.exists() and path.read_text().strip():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_log_format(tmp_path: Path) -> None:
    call(
        tmp_path,
        "--mem",
        "4G",
        "JOB=1:3",
        "--num-threads",
        "2",
        "log/x.JOB.log",
        "echo",
        "$OMP_NUM_THREADS",
        "job",
        "JOB",
    )
    lines = (tmp_path / "log" / "x.2.log").read_text().splitlines()
    assert lines[0] == "# echo $OMP_NUM_THREADS job 2"
    assert lines[1].startswith("# Started at ")
    assert lines[2:4] == ["#", "2 job 2"]
    assert lines[4] == "# Accounting: time=0 threads=2"
    assert re.fullmatch(
        r"# Ended \(code 0\) at .*, elapsed time \d seconds; Finished at .* with status 0 on \S+, gpus none, "
        r"peak memory \d+ MB", lines[5]
    )  # fmt: skip


def test_the_tag_is_a_whole_word(tmp_path: Path) -> None:
    call(tmp_path, "JOB=2", "x.log", "echo", "JOBS", "MYJOB", "a_JOB", "./JOB/x.JOB.ark", "JOB")
    assert output(tmp_path / "x.log") == ["JOBS MYJOB a_2 ./2/x.2.ark 2"]


def test_quoting_is_kaldis(tmp_path: Path) -> None:
    call(tmp_path, "x.log", "echo", "it is $WORD and", '"$WORD" raw', "", "|", "cat", WORD="me")
    assert output(tmp_path / "x.log") == ['it is me and "$WORD" raw ']


def test_a_failing_pipe_fails(tmp_path: Path) -> None:
    call(tmp_path, "x.log", "false", "|", "cat", expect=1)


def test_failure_message_and_end_of_the_log(tmp_path: Path) -> None:
    error = call(
        tmp_path, "JOB=1:3", "log/x.JOB.log", "echo", "no such thing", "&&", "test", "JOB", "-lt", "2", expect=1
    )
    assert "run.pl: 2 / 3 failed, log is in log/x.*.log\n  | no such thing\n" in error
    error = call(tmp_path, "x.log", "false", expect=1)
    assert "run.pl: job failed, log is in x.log" in error


@pytest.mark.parametrize(("codes", "status"), [("4 4", 4), ("3 0", 3), ("85 85", 85), ("4 1", 1), ("7 7", 1)])
def test_exit_codes_with_a_meaning_survive(tmp_path: Path, codes: str, status: int) -> None:
    (tmp_path / "job").write_text(f"set -- 0 {codes}\neval exit \\${{$(($N + 1))}}\n")
    call(tmp_path, "JOB=1:2", "x.JOB.log", "N=JOB", "bash", "job", expect=status)


def test_out_of_memory_is_named(tmp_path: Path) -> None:
    error = call(tmp_path, "JOB=1:2", "x.JOB.log", "sleep", "0", ";", "kill", "-9", "$$", expect=1)
    assert "jobs 1, 2 were killed (status 137), most likely because memory ran out: lower --nj" in error
    assert re.search(r"^# Ended \(code 0; signal 9\)", (tmp_path / "x.1.log").read_text(), re.MULTILINE)
    assert "with status 137" in (tmp_path / "x.1.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_jobs_end_with_the_runner(tmp_path: Path, number: signal.Signals) -> None:
    """The classic leaves jobs running when it is signalled; ours ends them even when it is killed outright."""
    (tmp_path / "job").write_text("echo $$ > pid; sleep 100 & echo $! > child; wait\n")
    process = subprocess.Popen([RUN, "x.log", "bash", "job"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    pids = [int(wait_for(tmp_path / name)) for name in ("pid", "child")]
    process.send_signal(number)
    assert process.wait(timeout=10) == (-9 if number == signal.SIGKILL else 128 + number)
    assert all(gone(pid) for pid in pids)


def test_a_job_may_checkpoint_on_a_signal(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("trap 'exit 85' TERM\necho x > ready\nwhile true; do sleep 0.05; done\n")
    process = subprocess.Popen([RUN, "x.log", "bash", "job"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "ready")
    process.terminate()
    assert "interrupted, can be resumed" in process.communicate(timeout=10)[1]
    assert process.returncode == 85


def test_max_jobs_run(tmp_path: Path) -> None:
    for limit, most in (("1", 1), ("3", 3)):
        counter = 'echo $(ls run | wc -l) >> counts; sleep 0.1; rm run/"$N"'
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "counts").unlink(missing_ok=True)
        (tmp_path / "job").write_text(f"touch run/$N\n{counter}\n")
        call(tmp_path, "--max-jobs-run", limit, "JOB=1:4", "x.JOB.log", "N=JOB", "bash", "job")
        assert max(map(int, (tmp_path / "counts").read_text().split())) <= most


def test_gpus_are_shared_out(tmp_path: Path) -> None:
    call(
        tmp_path, "--gpu", "2", "JOB=1:2", "x.JOB.log", "echo", "$CUDA_VISIBLE_DEVICES", ";", "sleep", "0.2",
        CUDA_VISIBLE_DEVICES="0,1,4,5",
    )  # fmt: skip
    seen = [output(tmp_path / f"x.{job}.log")[0] for job in (1, 2)]
    assert sorted(seen) == ["0,1", "4,5"]
    assert "gpus 4,5" in (tmp_path / f"x.{seen.index('4,5') + 1}.log").read_text()


def test_pick(tmp_path: Path) -> None:
    kaldi = "# x\n# Started at T\n#\n# Accounting: time=0 threads=1\n# Ended (code {}) at T, elapsed time 0 seconds\n"
    (tmp_path / "x.1.log").write_text(kaldi.format(0))
    (tmp_path / "x.2.log").write_text(kaldi.format(1))
    (tmp_path / "x.3.log").write_text("# x\n# Started at T\n#\nkilled half-way\n")
    (tmp_path / "x.4.log").write_text("# Running on h\n# Finished at T with status 0\n")
    call(tmp_path, "--pick", "failed", "JOB=1:5", "x.JOB.log", "touch", "failed.JOB")
    assert sorted(path.name for path in tmp_path.glob("failed.*")) == ["failed.2"]
    call(tmp_path, "--pick", "incomplete", "JOB=1:5", "x.JOB.log", "touch", "incomplete.JOB")
    assert sorted(path.name for path in tmp_path.glob("incomplete.*")) == ["incomplete.3", "incomplete.5"]


def test_paths_with_spaces_and_long_commands(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    call(tmp_path, "JOB=1:2", f"{folder}/log dir/x.JOB.log", "echo", f"{folder}/f.JOB")
    assert output(folder / "log dir" / "x.2.log") == [f"{folder}/f.2"]
    many = [f"word{number:06}" for number in range(20000)]
    call(tmp_path, "y.log", "echo", *many)
    assert output(tmp_path / "y.log") == [" ".join(many)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["JOB=1:2", "x.log", "true"], "one log file"),
        (["JOB=0:2", "x.JOB.log", "true"], "must start at 1"),
        (["JOB=3:2", "x.JOB.log", "true"], "invalid range"),
        (["JOB=x", "x.log", "true"], "neither a range"),
        (["x.log"], "expected [options]"),
        (["--pick", "some", "x.log", "true"], "--pick must be"),
        (["--max-jobs-run", "0", "x.log", "true"], "whole number"),
        (["--mem", "--gpu", "1", "x.log", "true"], "looks like the next option"),
    ],
)
def test_usage_errors(tmp_path: Path, arguments: list[str], message: str) -> None:
    assert message in call(tmp_path, *arguments, expect=2)
    assert not list(tmp_path.iterdir())


def test_overhead_stays_small(tmp_path: Path) -> None:
    """No exact bound here (that is a benchmark): only that nothing sleeps or polls between jobs."""
    started = time.monotonic()
    call(tmp_path, "JOB=1:100", "log/x.JOB.log", "true")
    assert time.monotonic() - started < 10
    assert len(os.listdir(tmp_path / "log")) == 100
