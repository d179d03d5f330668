"""An array job from submission to result: submit, wait for the tasks' result files, ask Slurm about those that are missing.

A task is over when its result file is there, which is noticed within a second or so and costs Slurm nothing. Slurm is asked
only about tasks without one: every few seconds the queue, once for all; and when a task has left the queue and its file
has not appeared after a grace period, how it ended. So a task that was killed outright, cancelled, or lost with its node
is noticed too, and a finished one is never waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import slurm_queue
from job_guard import ignore_signals
from kaldi_job import INTERRUPTED, Call, closing_lines, conclude, fill, logged_status, say
from slurm_queue import ACTIVE, ENDING, CancelGuard, Ending, Unreachable
from slurm_script import batch_script
from stage_lock import alive

POLL_S = (0.1, 1.0)  # between looks at the result files: at first, and after a while
ASK_S = (3.0, 15.0)  # between looks at the queue: at first, and after a while
HURRY_S = 1.0  # the same while a task is missing there, or after a signal
GRACE_S = 5.0  # for a result file to appear after its task left the queue; doubled on network file systems
SETTLE_S = 30.0  # for Slurm to say what becomes of a task that a signal ended
KILL_WAIT_S = 30.0  # for tasks to end when they are asked to; then they are killed
REQUEUEABLE = {"NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED", "LOST"}
QUIET_REASONS = {"", "None", "Priority", "Resources", "JobArrayTaskLimit", "Dependency", "BeginTime", "Prolog",
                 "Cleaning", "BeginTime,Resources"}  # fmt: skip
STATUS_OF_STATE = {"OUT_OF_MEMORY": 137, "TIMEOUT": 143, "DEADLINE": 143, "CANCELLED": 143, "PREEMPTED": 143}
ADVICE = {
    "TIMEOUT": "it reached its time limit: raise --time",
    "CANCELLED": "somebody cancelled it",
    "COMPLETED": "it ended well but left no result file: do the nodes see this folder, and is its disk full?",
}


@dataclass(frozen=True)
class Settings:
    """How to submit."""

    command: list[str]  # sbatch and its options
    threads: int
    max_jobs: int  # 0: no limit
    tries: int


@dataclass
class Task:
    """A task that has not ended."""

    number: int
    tries: int = 0
    job: int = 0
    run: str = ""  # names the submission: result files of others are not ours
    restarts: int = 0  # result files of fewer restarts are of a run that Slurm has requeued
    absent_since: float = 0.0  # when it was first missing in the queue
    settled_by: float = 0.0  # deadline for Slurm to say whether a task that a signal ended is requeued
    ask_again: float = 0.0
    result: dict[str, int | str] = field(default_factory=dict)


class ArrayRun:
    """One call of slurm.pl."""

    def __init__(self, call: Call, jobs: list[int], settings: Settings) -> None:
        self.call, self.settings, self.total = call, settings, len(jobs)
        self.tasks = {number: Task(number) for number in jobs}  # those that have not ended
        self.failed: dict[int, int] = {}
        self.signals: list[int] = []
        self.stopped_at = 0.0
        log = Path(fill(call.log, call.tag, "ALL"))
        folder = log.parent.parent if log.parent.name == "log" else log.parent
        self.step = log.name.removesuffix(".log").replace(".ALL", "") or "job"
        self.scratch = folder / "q"
        self.notes: set[str] = set()
        self.stale: dict[str, tuple[int, int]] = {}  # result files of other runs -> identity: not read at every look

    # ---- the course of things ----

    def run(self) -> int:
        """Submit, wait, conclude; the exit status."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        for number in self.call.jobs if len(self.tasks) <= 10_000 else []:
            Path(self.call.log_of(number)).parent.mkdir(parents=True, exist_ok=True)
        self._claim()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in handled:
            signal.signal(number, self._on_signal)
        self.guard = CancelGuard()
        if not self._submit(list(self.tasks.values())):
            return 1
        started = asked = time.monotonic()
        poll, ask = POLL_S[0], ASK_S[0]
        while self.tasks and not self._given_up():
            self._collect()
            hurry = self.signals or any(task.absent_since for task in self.tasks.values())
            if self.tasks and time.monotonic() - asked >= (min(HURRY_S, ask) if hurry else ask):
                self._look_at_queue()
                asked, ask = time.monotonic(), min(ask * 1.3, ASK_S[1])
            if self.tasks:
                time.sleep(poll)
                poll = max(POLL_S[0], min((time.monotonic() - started) / 20, POLL_S[1]))
        ignore_signals(handled)
        self.guard.watch([])
        with contextlib.suppress(OSError):
            self.claim.unlink()
        return conclude(self.call, self.failed, self.total, self.signals[0] if self.signals else 0)

    def _on_signal(self, number: int, _frame: object) -> None:
        """Cancel the jobs, and wait for them to end; at the second signal kill them."""
        self.signals.append(number)
        self.stopped_at = self.stopped_at or time.monotonic()
        slurm_queue.cancel(self._live_jobs(), ask=len(self.signals) == 1)

    def _given_up(self) -> bool:
        """Whether cancelled jobs have had their time to end, or a second signal wants no waiting."""
        if len(self.signals) == 1 and time.monotonic() - self.stopped_at > KILL_WAIT_S:
            slurm_queue.cancel(self._live_jobs(), ask=False)
            return True
        return len(self.signals) > 1

    def _live_jobs(self) -> list[int]:
        return sorted({task.job for task in self.tasks.values() if task.job})

    # ---- submission ----

    def _claim(self) -> None:
        """Refuse to run beside another call for the same logs; cancel what a dead one left in the queue."""
        self.claim = self.scratch / f"{self.step}.jobs"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            before = json.loads(self.claim.read_text())
            left = [job for job in before["jobs"] if self._active(job)]
            here = before["host"] == socket.gethostname()
            if left and here and alive(before["pid"]):
                say(f"another one, process {before['pid']}, is running {self.call.log}")
                sys.exit(75)
            if left and not here:
                ids = " ".join(map(str, left))
                say(
                    f"jobs of an earlier call on {before['host']} are still in the queue; stop them with: scancel {ids}"
                )
                sys.exit(75)
            if left:
                say(f"cancelling job {' '.join(map(str, left))}, which a killed earlier call left in the queue")
                slurm_queue.cancel(left, ask=False)
                deadline = time.monotonic() + KILL_WAIT_S
                while time.monotonic() < deadline and any(self._active(job) for job in left):
                    time.sleep(1)

    @staticmethod
    def _active(job: int) -> bool:
        """Whether a job is in the queue, or may be."""
        try:
            return bool(slurm_queue.queued(job))
        except Unreachable:
            return True

    def _write_claim(self) -> None:
        """Record the jobs for whoever comes after us, and for the guard."""
        jobs = self._live_jobs()
        self.guard.watch(jobs)
        temporary = self.claim.with_name(f".{self.claim.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "jobs": jobs}) + "\n")
        os.replace(temporary, self.claim)

    def _submit(self, tasks: list[Task]) -> bool:
        """Submit tasks as one array; False if Slurm refuses them."""
        run = f"{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        command = [*self.settings.command, f"--output={_pattern(self.scratch / self.step)}.log", "--open-mode=append"]
        if self.call.tag:
            limit = f"%{self.settings.max_jobs}" if self.settings.max_jobs else ""
            command.append(f"--array={_ranges([task.number for task in tasks])}{limit}")
        script = self.scratch / f"{self.step}.sh"
        script_name = os.path.join(".", script)  # a name may begin with a dash
        again = tasks[0].tries > 0
        text = batch_script(
            self.call, self.scratch / self.step, run, self.settings.threads, [*command, script_name], append=again
        )
        script.write_text(text, errors="surrogateescape")
        blocked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # Blocked so that a signal finds the job in the books, and cancels it.
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            job = slurm_queue.submit(command, script_name, run)
            for task in tasks:
                task.job, task.run, task.restarts = job, run, 0
                task.tries += 1
                task.absent_since, task.settled_by, task.result = 0.0, 0.0, {}
            self._write_claim()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        return job > 0

    # ---- results ----

    def _collect(self) -> None:
        """Take the results that have appeared."""
        again: list[Task] = []
        for task in self._with_results():
            status = int(task.result["status"])
            if status == 0:
                self._end(task, 0)
            elif self.signals or (status != INTERRUPTED and status < 128):
                self._end(task, status)
            else:
                again += self._settle(task, status)
        if again:
            self._submit_again(again)

    def _with_results(self) -> list[Task]:
        """Tasks whose result file has appeared."""
        kick = self.scratch / f".{self.step}.{os.getpid()}.kick"
        with contextlib.suppress(OSError):  # a change makes an NFS client read the folder anew
            kick.touch()
            kick.unlink()
        found = []
        prefix, suffix = f"{self.step}.", ".rc"
        for entry in os.scandir(self.scratch):
            if not entry.name.startswith(prefix) or not entry.name.endswith(suffix):
                continue
            middle = (
                entry.name[len(prefix) : -len(suffix)] if entry.name != self.step + suffix else str(self.call.first)
            )
            task = self.tasks.get(int(middle)) if middle.isdigit() else None
            if task is None or (not task.result and self._is_stale(entry)):
                continue
            if task.result or self._read(task, entry):
                found.append(task)
        return found

    def _read(self, task: Task, file: os.DirEntry[str]) -> bool:
        """Read a result file; False if it is of another submission, or of a run that Slurm has requeued since."""
        try:
            identity = _identity(file)  # before its text: a file that comes after is another one
            result = json.loads(Path(file.path).read_text())
        except (OSError, ValueError):
            return False
        if result.get("run") != task.run or int(result.get("restarts", 0)) < task.restarts:
            self.stale[file.name] = identity
            return False
        task.result = result
        return True

    def _is_stale(self, file: os.DirEntry[str]) -> bool:
        """Whether this very file was read before and is of another run."""
        try:
            return self.stale.get(file.name) == _identity(file)
        except OSError:
            return False

    def _settle(self, task: Task, status: int) -> list[Task]:
        """A signal ended the task: was it Slurm, which will run it again? Returns the task if we have to."""
        now = time.monotonic()
        if now < task.ask_again:
            return []
        task.settled_by, task.ask_again = task.settled_by or now + SETTLE_S, now + 0.5
        try:
            known = slurm_queue.ending(task.job, self._index(task))
        except Unreachable:
            known = Ending("RUNNING")
        requeued = known.restarts > int(task.result.get("restarts", 0)) or known.state.startswith(
            ("PENDING", "REQUEUE")
        )
        if requeued and known.state not in REQUEUEABLE:
            task.restarts, task.result, task.settled_by = int(task.result.get("restarts", 0)) + 1, {}, 0.0
            return []
        if known.state in ACTIVE | ENDING and now < task.settled_by:
            return []  # not over yet; asked again at the next look
        if (status == INTERRUPTED or known.state in REQUEUEABLE) and task.tries < self.settings.tries:
            return [task]
        if known.state in ADVICE and known.state != "COMPLETED" and status != INTERRUPTED:
            say(f"{self._name(task)}: {ADVICE[known.state]}")
        self._end(task, 137 if known.state == "OUT_OF_MEMORY" else status)
        return []

    def _submit_again(self, tasks: list[Task]) -> None:
        """Submit once more those that may go on or could not end."""
        numbers = _ranges([task.number for task in tasks])
        what = f"jobs {numbers}" if len(tasks) > 1 else self._name(tasks[0])
        say(f"submitting {what} again (try {tasks[0].tries + 1} of {self.settings.tries})")
        ended = {task.number: int(task.result.get("status", 1)) for task in tasks}
        by_tries: dict[int, list[Task]] = {}
        for task in tasks:
            by_tries.setdefault(task.tries, []).append(task)
        for group in by_tries.values():
            if not self._submit(group):
                for task in group:
                    self._end(task, ended[task.number])

    def _end(self, task: Task, status: int) -> None:
        if status:
            self.failed[task.number] = status
        del self.tasks[task.number]

    # ---- tasks without a result ----

    def _look_at_queue(self) -> None:
        """Find tasks that have left the queue without a result."""
        queue: dict[int, dict[int, tuple[str, str]]] = {}
        now = time.monotonic()
        try:
            for job in self._live_jobs():
                queue[job] = slurm_queue.queued(job)
        except Unreachable as error:
            self._note(f"Slurm does not answer ({error}); waiting")
            return
        absent = []
        for task in self.tasks.values():
            state, reason = queue[task.job].get(self._index(task), ("", ""))
            if state in ACTIVE | ENDING:
                task.absent_since = 0.0
                if state not in ("RUNNING", "COMPLETING") and reason.strip("()") not in QUIET_REASONS:
                    self._note(f"job {task.job} is {state}: {reason}")
                continue
            task.absent_since = task.absent_since or now
            if now - task.absent_since >= (HURRY_S if self.signals else self._grace()):
                absent.append(task)
        if absent:
            self._collect()
            self._conclude_without_result([task for task in absent if task.number in self.tasks and not task.result])

    def _conclude_without_result(self, tasks: list[Task]) -> None:
        """Ask Slurm how tasks ended, and fail them or submit them again."""
        again = []
        for task in tasks:
            try:
                known = slurm_queue.ending(task.job, self._index(task))
            except Unreachable as error:
                self._note(f"Slurm does not answer ({error}); waiting")
                return
            if known.state in ACTIVE | ENDING:
                task.absent_since = 0.0
                continue
            if self.signals and not os.path.exists(self.call.log_of(task.number)):
                del self.tasks[task.number]  # cancelled before it began
            elif known.state in REQUEUEABLE and task.tries < self.settings.tries and not self.signals:
                say(f"{self._name(task)} did not end: {known.text}")
                again.append(task)
            else:
                self._fail_without_result(task, known)
        if again:
            self._submit_again(again)

    def _fail_without_result(self, task: Task, known: Ending) -> None:
        """Write the closing lines that the task could not, and say what is known of its end."""
        status = STATUS_OF_STATE.get(known.state, known.status or 1)
        log = self.call.log_of(task.number)
        said = _last_line(self.scratch / f"{self.step}.log")
        if not os.path.exists(log) or logged_status(log) is None:
            code, number = (0, status - 128) if status > 128 else (status, 0)
            with contextlib.suppress(OSError), open(log, "ab") as stream:
                stream.write(
                    closing_lines(code, number, 0, self.settings.threads, f"{known.host or 'unknown'} ({known.text})")
                )
        if not self.signals:
            advice = ADVICE.get(known.state, "")
            say(f"{self._name(task)}: {known.text}{': ' + advice if advice else ''}")
            if said and status != 137:
                say(f"Slurm's messages are in {self.scratch / self.step}.log; the last: {said}")
        self._end(task, status)

    def _grace(self) -> float:
        try:
            kind = subprocess.run(
                ["stat", "-f", "-c", "%T", "--", self.scratch], capture_output=True, text=True
            ).stdout.strip()
        except OSError:
            kind = ""
        return (
            GRACE_S if kind in ("tmpfs", "xfs", "btrfs", "overlayfs", "zfs") or kind.startswith("ext") else 2 * GRACE_S
        )

    def _index(self, task: Task) -> int:
        """The task's number for Slurm; 0 in a job that is no array."""
        return task.number if self.call.tag else 0

    def _name(self, task: Task) -> str:
        return f"job {task.number} ({task.job}_{task.number})" if self.call.tag else f"job {task.job}"

    def _note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.add(text)
            say(text)


def _identity(file: os.DirEntry[str]) -> tuple[int, int]:
    """Tells a file from one that replaced it. The inode alone does not: a file system gives a freed one out again."""
    status = file.stat(follow_symlinks=False)
    return status.st_ino, status.st_mtime_ns


def _ranges(numbers: list[int]) -> str:
    """1, 2, 3, 7 -> ``1-3,7``."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _pattern(path: Path) -> str:
    """A path as sbatch's --output wants it, where % has a meaning."""
    return str(path).replace("%", "%%")


def _last_line(path: Path) -> str:
    try:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
