#!/usr/bin/env python3
"""sbatch, squeue, scontrol, scancel and sacct in one, for what a real Slurm cannot be made to do: lose jobs, answer with errors.

Called by the name of the command. Everything is in the folder $FAKE_SLURM: a folder a job (JOB or JOB_TASK) with its pid,
`calls` (the command lines), and the knobs, text files that a test writes:

    lose           tasks (numbers) that are accepted and then forgotten, in the first submission only
    state          "TASK STATE" lines: the task is not run in the first submission, scontrol reports that state
    fail_COMMAND   number of calls that fail with "Socket timed out" (sbatch: after it has accepted the job)
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(os.environ["FAKE_SLURM"])


def knob(name: str) -> str:
    path = HERE / name
    return path.read_text() if path.exists() else ""


def times_out(command: str) -> bool:
    left = int(knob(f"fail_{command}") or 0)
    (HERE / f"fail_{command}").write_text(str(max(0, left - 1)))
    return left > 0


def give_up(message: str = "Socket timed out on send/recv operation") -> None:
    sys.exit(f"slurm_load_jobs error: {message}")


def option(name: str, words: list[str]) -> str:
    return next((word.split("=", 1)[1] for word in words if word.startswith(f"--{name}=")), "")


def numbers(ranges: str) -> list[int]:
    ends = [part.split("-") for part in ranges.split("%")[0].split(",")]
    return [n for end in ends for n in range(int(end[0]), int(end[-1]) + 1)]


def sbatch(words: list[str]) -> None:
    job = int(knob("job") or 0) + 1
    (HERE / "job").write_text(str(job))
    (HERE / f"comment.{job}").write_text(option("comment", words))
    array, states = option("array", words), dict(line.split() for line in knob("state").splitlines())
    for task in numbers(array) if array else [0]:
        name = f"{job}_{task}" if array else str(job)
        if job == 1 and str(task) in knob("lose").split():
            continue
        (HERE / name).mkdir()
        if job == 1 and str(task) in states:
            (HERE / name / "state").write_text(states[str(task)])
            continue
        script = (HERE / name / "script").open("w")
        script.write(Path(words[-1]).read_text())
        script.close()
        environment = {**os.environ, "SLURM_JOB_ID": str(job), "SLURMD_NODENAME": "fake"}
        if array:
            environment["SLURM_ARRAY_TASK_ID"] = str(task)
        with open(option("output", words).replace("%%", "%"), "a") as log:
            process = subprocess.Popen(["bash", script.name], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True)  # fmt: skip
        (HERE / name / "pid").write_text(str(process.pid))
    if times_out("sbatch"):
        give_up()
    print(job)


def running(name: str) -> bool:
    try:
        state = Path(f"/proc/{(HERE / name / 'pid').read_text()}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def squeue(words: list[str]) -> None:
    if times_out("squeue"):
        give_up()
    if "-j" not in words:
        for path in HERE.glob("comment.*"):
            print(path.suffix[1:], path.read_text())
        return
    job = words[words.index("-j") + 1]
    for path in HERE.glob(f"{job}*"):
        if re.fullmatch(rf"{job}(_\d+)?", path.name) and running(path.name):
            print(path.name if words[-1] == "%A" else f"{path.name.partition('_')[2] or 'N/A'} RUNNING None")


def scontrol(words: list[str]) -> None:
    if times_out("scontrol"):
        give_up()
    if not (HERE / words[-1]).is_dir():
        give_up("Invalid job id specified")
    state = knob(f"{words[-1]}/state") or ("RUNNING" if running(words[-1]) else "FAILED")
    code = "0:9" if state == "FAILED" else "0:0"
    print(f"JobId=1 JobName=a b JobState={state} Reason=None Restarts=0 ExitCode={code} BatchHost=fake")


def sacct(_words: list[str]) -> None:
    sys.exit("Slurm accounting storage is disabled")  # as on many clusters


def scancel(words: list[str]) -> None:
    if "--state=PENDING" in words:  # jobs start at once here
        return
    for path in HERE.glob("*/pid"):
        task = path.parent.name
        if {task, task.partition("_")[0]} & set(words) and running(task):
            os.kill(int(path.read_text()), 9 if "--signal=KILL" in words else 15)


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # jobs inherit nothing from slurm.pl
    with open(HERE / "calls", "a") as calls:
        calls.write(" ".join([name, *sys.argv[1:]]) + "\n")
    globals()[name](sys.argv[1:])
