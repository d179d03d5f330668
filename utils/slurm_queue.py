"""Slurm's commands as functions: submit, look up, cancel. A controller that is restarting is waited for, not an error.

Written for what Slurm really does: ``squeue -j`` succeeds with an empty table for a job that has ended and fails for one
that is forgotten (MinJobAge later, 300 s by default); ``scontrol show job`` knows how a job ended until then; accounting
(sacct) is missing on many clusters, and is not used.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from dataclasses import dataclass

from kaldi_job import say

TIMEOUT_S = 120
SUBMIT_TRIES = 10
SUBMIT_PAUSE_S = 2.0  # before the second try; doubled every time
# What the clients say when the controller does not answer; anything else is a refusal.
UNREACHABLE = re.compile(
    r"[Ss]ocket timed out|[Uu]nable to contact|[Cc]onnection (refused|timed out|reset)|[Cc]ommunication|"
    r"[Tt]emporarily un(able|available)|[Tt]oo many|Zero Bytes|Message receive failure|in standby mode"
)
FORGOTTEN = re.compile(r"Invalid job id|Job \S+ not found")
ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT",
          "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}  # fmt: skip
ENDING = {"COMPLETING"}


@dataclass(frozen=True)
class Ending:
    """What Slurm says about one task."""

    state: str  # LOST: Slurm does not know the job (any more)
    status: int = 0  # exit status, 128 + signal after a signal
    reason: str = ""
    restarts: int = 0
    host: str = ""

    @property
    def text(self) -> str:
        """For the user."""
        if self.state == "LOST":
            return "Slurm no longer knows the job, and it left no result"
        return f"Slurm: {self.state}" + (f", {self.reason}" if self.reason not in ("", "None", self.state) else "")


class Unreachable(Exception):
    """The controller did not answer."""


def _call(*words: str) -> str:
    """Standard output of a Slurm command. Raises Unreachable, or LookupError for a job that Slurm does not know."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{words[0]} did not answer within {TIMEOUT_S} s") from error
    except OSError as error:
        raise Unreachable(f"{words[0]} could not be started: {error}") from error
    if done.returncode == 0:
        return done.stdout
    message = (done.stderr + done.stdout).strip()
    if FORGOTTEN.search(message):
        raise LookupError(message)
    raise Unreachable(message or f"{words[0]} failed with status {done.returncode}")


def submit(command: list[str], script: str, mark: str) -> int:
    """Submit a batch script; waits for a controller that does not answer.

    Args:
        command: sbatch and its arguments.
        mark: names this submission among all; a submission whose answer was lost is found again by it.

    Returns:
        The job's id; 0 if sbatch refused it (its message was shown).
    """
    words = [*command, "--parsable", f"--comment={mark}", script]
    pause = SUBMIT_PAUSE_S
    for attempt in range(1, SUBMIT_TRIES + 1):
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            say(f"{command[0]} could not be started: {error.strerror}; is this a machine with Slurm?")
            return 0
        answer = re.search(r"^(\d+)(;\S*)?\s*$", done.stdout, re.MULTILINE)
        if done.returncode == 0 and answer:
            return int(answer[1])
        message = (done.stderr or done.stdout).strip()
        if not UNREACHABLE.search(message) or attempt == SUBMIT_TRIES:
            say(f"sbatch refused the job: {message}")
            if "array" in message:
                say("more jobs than 'scontrol show config | grep MaxArraySize' allows? lower --nj")
            return 0
        say(f"sbatch: {message.splitlines()[-1]}; trying again")
        time.sleep(pause)
        pause = min(pause * 2, 60)
        if job := _submitted(mark):
            return job
    return 0


def _submitted(mark: str) -> int:
    """The job that carries a mark, 0 if there is none."""
    try:
        for line in _call("squeue", "-h", "-o", "%F %k").splitlines():
            if line.split()[1:] == [mark]:
                return int(line.split()[0])
    except (Unreachable, LookupError):
        pass
    return 0


def queued(job: int) -> dict[int, tuple[str, str]]:
    """Tasks of a job that are in the queue: number (0 for a job that is no array) -> (state, reason).

    Raises:
        Unreachable: the controller did not answer.
    """
    try:
        lines = _call("squeue", "-h", "-r", "-j", str(job), "-o", "%K %T %r").splitlines()
    except LookupError:
        return {}
    rows = [line.split(maxsplit=2) for line in lines if line.strip()]
    return {int(row[0]) if row[0].isdigit() else 0: (row[1], row[2] if len(row) > 2 else "") for row in rows}


def ending(job: int, task: int) -> Ending:
    """How a task ended, or what it is doing.

    Args:
        task: 0 for a job that is no array.

    Raises:
        Unreachable: the controller did not answer.
    """
    try:
        line = _call("scontrol", "-o", "show", "job", f"{job}_{task}" if task else str(job))
    except LookupError:
        return Ending("LOST")
    fields = dict(re.findall(r"(?:^|\s)(\w+)=(\S*)", line.splitlines()[0] if line.strip() else ""))
    if "JobState" not in fields:
        return Ending("LOST")
    code, _, number = fields.get("ExitCode", "0:0").partition(":")
    status = int(code) or (128 + int(number) if number.isdigit() and int(number) else 0)
    return Ending(
        fields["JobState"],
        status,
        fields.get("Reason", ""),
        int(fields.get("Restarts", 0)),
        fields.get("BatchHost", ""),
    )


def cancel(jobs: list[int], *, ask: bool) -> None:
    """Cancel jobs.

    Args:
        ask: let those that run end by themselves: only their batch scripts get SIGTERM, which pass it on to the commands.
            (An ordinary scancel reaches everything at once, and srun then kills a training before it can save its state.)
    """
    if not jobs:
        return
    ids = list(map(str, jobs))
    try:
        if ask:
            _scancel("--state=PENDING", *ids)
            # One by one: given the id of an array, scancel signals only one of its tasks.
            running = _call("squeue", "-h", "-r", "-t", "RUNNING", "-j", ",".join(ids), "-o", "%A").split()
            _scancel("--batch", "--signal=TERM", *running)
        else:
            _scancel("--full", "--signal=KILL", *ids)
            _scancel(*ids)
    except LookupError:
        pass
    except Unreachable as error:
        say(f"could not cancel: {error}; by hand: scancel {' '.join(ids)}")


def _scancel(*words: str) -> None:
    if words and words[-1][0].isdigit():
        with contextlib.suppress(LookupError):
            _call("scancel", *words)


class CancelGuard:
    """Cancels this process's jobs when it dies without a chance to do so itself (SIGKILL, out of memory)."""

    SCRIPT = """trap '' INT TERM HUP
        jobs=
        while read -r line; do jobs=$line; done
        [ -n "$jobs" ] || exit
        scancel --state=PENDING $jobs
        for job in $jobs; do
          running=$(squeue -h -r -t RUNNING -j $job -o %A)
          [ -z "$running" ] || scancel --batch --signal=TERM $running
        done
        sleep 30
        scancel $jobs"""

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["sh", "-c", self.SCRIPT], stdin=subprocess.PIPE, text=True, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def watch(self, jobs: list[int]) -> None:
        """From now on these are to be cancelled, and no others."""
        if self._shell.stdin is not None and self._shell.poll() is None:
            self._shell.stdin.write(" ".join(map(str, jobs)) + "\n")
            self._shell.stdin.flush()
