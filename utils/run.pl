#!/usr/bin/env python3
"""Run a command, or a numbered set of them in parallel, on this machine, each with its log. Kaldi's calling convention.

Usage: run.pl [options] [JOB=1:N] <log-file> <command> [arguments]
 e.g.: run.pl --max-jobs-run 4 JOB=1:10 exp/log/count.JOB.log wc -l data/split10/JOB/wav.scp

JOB (any identifier) is replaced as text by 1 to N, in the log's name and in the command, wherever it stands as a word
of its own: `.JOB.`, `/JOB`, `x_JOB` and `${JOB}` are, `JOBS` and `MYJOB` are not. Use it only as part of a file name or
an argument. The command is run by `bash -o pipefail` in the current directory. As in Kaldi an argument with blanks is
put in double quotes (in single quotes if it contains a double quote); `\\|`, `\\&\\&`, `\\;`, `\\>` reach that shell.

Options, before or after JOB=1:N:
  --max-jobs-run N, -tc N   run at most N jobs at once (default: the number of processors; of GPUs with --gpu)
  --num-threads N           threads of each job: exported as OMP_NUM_THREADS and its relatives
  --gpu N                   GPUs of each job; the jobs share out the GPUs of CUDA_VISIBLE_DEVICES, or all
  --pick all|failed|incomplete
                            run all jobs; or those whose log says that they failed; or those that are not known to have
                            succeeded (failed, killed, never started)
  --mem M, --time T, --config FILE, --<anything> VALUE
                            accepted for the sake of runners that use them, ignored here

The exit status is 0 if all jobs succeeded. If all failed jobs have the same status out of 2, 3, 4, 75 and 85, that one;
128 + the signal's number after a signal; else 1. A signal is passed on to the jobs, a second one kills them.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kaldi_job
from job_guard import Guard, ignore_signals, signal_group
from kaldi_job import PICKS, THREAD_VARIABLES, Call, one_of, whole_number
from stage_files import FULL, no_space


@dataclass
class Options:
    """run.pl's own options."""

    max_jobs: int = 0
    threads: int = 1
    gpus: int = 0
    pick: str = "all"

    def set(self, name: str, value: str) -> None:
        """Take an option from the command line; those of other runners are passed over."""
        if name in ("--max-jobs-run", "-tc"):
            self.max_jobs = whole_number(name, value)
        elif name == "--num-threads":
            self.threads = whole_number(name, value)
        elif name == "--gpu":
            self.gpus = whole_number(name, value, least=0)
        elif name == "--pick":
            self.pick = one_of(name, value, PICKS)


@dataclass
class Running:
    """A job that has been started."""

    job: int
    log: str
    process: subprocess.Popen[bytes]
    started: float
    gpus: list[str] = field(default_factory=list)


def visible_gpus() -> list[str]:
    """Ids of the GPUs this process may use."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu.strip()]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(number) for number, line in enumerate(line for line in listing.splitlines() if line.startswith("GPU"))]


class Runner:
    """Runs the jobs of one call."""

    def __init__(self, call: Call, options: Options) -> None:
        self.call = call
        self.options = options
        self.running: dict[int, Running] = {}
        self.failed: dict[int, int] = {}  # job -> status
        self.signals: list[int] = []
        # The closing line of a log is the job's result. A disk takes milliseconds to make one durable, and several at once.
        self.writers = ThreadPoolExecutor(8)
        self.results: dict[int, Future[None]] = {}
        self.free_gpus = visible_gpus() if options.gpus else []
        self.at_once = options.max_jobs or os.cpu_count() or 1
        if options.gpus:
            # With too few GPUs listed a job still runs, on whatever it finds.
            self.at_once = min(self.at_once, max(1, len(self.free_gpus) // options.gpus))
        self.environment = {**os.environ, "VGS_JOB": "1"}
        self.environment.update({name: str(options.threads) for name in THREAD_VARIABLES})

    def run(self) -> int:
        """Run all picked jobs; the exit status of the whole."""
        waiting = kaldi_job.picked(self.call, self.options.pick)
        total = len(waiting)
        guard = Guard()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in handled:
            signal.signal(number, self.on_signal)
        while (waiting and not self.signals) or self.running:
            while waiting and len(self.running) < self.at_once and not self.signals:
                group = self.start(waiting.pop(0))
                guard.add(group)
                if self.signals:  # it may have come before the job was in the books
                    signal_group(group, self.signals[-1])
            if self.running:
                pid, status, usage = os.wait4(-1, 0)
                if pid in self.running:
                    self.finish(self.running.pop(pid), status, usage)
                    if not self.signals:  # else the guard ends what the job left running
                        guard.remove(pid)
        ignore_signals(handled)
        self.check_results()
        return kaldi_job.conclude(self.call, self.failed, total, self.signals[0] if self.signals else 0)

    def check_results(self) -> None:
        """Wait until all results are on the disk; a job without one has failed."""
        for job, written in self.results.items():
            if error := written.exception():
                kaldi_job.say(f"the result of job {job} could not be written: {error}")
                self.failed.setdefault(job, 1)
        self.writers.shutdown()

    def on_signal(self, number: int, _frame: object) -> None:
        """Pass the signal on to the jobs; kill them at the second."""
        self.signals.append(number)
        for pid in list(self.running):
            signal_group(pid, number if len(self.signals) == 1 else signal.SIGKILL)

    def start(self, job: int) -> int:
        """Start a job in a process group of its own; its group id."""
        log = self.call.log_of(job)
        command = kaldi_job.fill(self.call.command, self.call.tag, job)
        environment = self.environment
        gpus: list[str] = []
        if self.options.gpus and len(self.free_gpus) >= self.options.gpus:
            gpus = [self.free_gpus.pop(0) for _ in range(self.options.gpus)]
            environment = {**environment, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "wb") as stream:
            stream.write(kaldi_job.opening_lines(command))
        pass_fds = tuple(int(fd) for fd in os.environ.get("VGS_LOCK_FDS", "").split())
        process = kaldi_job.start_bash(command, log, environment, pass_fds)
        self.running[process.pid] = Running(job, log, process, time.time(), gpus)
        return process.pid

    def finish(self, ended: Running, status: int, usage: resource.struct_rusage) -> None:
        """Write the log's closing lines, and note the job where it failed."""
        code, number = (os.WEXITSTATUS(status), 0) if os.WIFEXITED(status) else (0, os.WTERMSIG(status))
        ended.process.returncode = code or -number
        megabytes = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
        place = kaldi_job.place(socket.gethostname(), ",".join(ended.gpus), megabytes)
        seconds = round(time.time() - ended.started)
        closing = kaldi_job.closing_lines(code, number, seconds, self.options.threads, place)
        self.results[ended.job] = self.writers.submit(kaldi_job.append_durably, ended.log, closing)
        self.free_gpus.extend(ended.gpus)
        if code or number:
            self.failed[ended.job] = code or 128 + number


if __name__ == "__main__":
    options = Options()
    call = kaldi_job.parse(sys.argv[1:], __doc__, options.set)
    try:
        sys.exit(Runner(call, options).run())
    except OSError as error:  # a log that has no room
        if error.errno not in FULL:
            raise
        kaldi_job.say(no_space(error))
        sys.exit(4)
