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
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from job_guard import Guard, signal_group

NAME = "run.pl"
PASSED_ON = {2, 3, 4, 75, 85}  # statuses with a meaning (see the project's exit codes)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ENDED = re.compile(r"^# Ended \(code (\d+)(?:; signal (\d+))?\)|^# Finished at .* with status (\d+)", re.MULTILINE)
# A signal reaches the whole group of a job. Its shell must outlive the command, which may still write a checkpoint, and
# pass the command's status on.
PROLOGUE = "trap 'exit $?' INT TERM HUP; "
LONGEST_ARGUMENT = 100_000  # bytes; the kernel refuses arguments from 128 KiB


@dataclass
class Options:
    """The parsed command line."""

    log: str
    command: str
    tag: str = ""
    first: int = 1
    last: int = 1
    max_jobs: int = 0
    threads: int = 1
    gpus: int = 0
    pick: str = "all"

    def fill(self, text: str, job: int | str) -> str:
        """``text`` with the job's number in place of the tag."""
        if not self.tag:
            return text
        return re.sub(rf"(?<![A-Za-z0-9]){re.escape(self.tag)}(?![A-Za-z0-9])", str(job), text)


@dataclass
class Running:
    """A job that has been started."""

    job: int
    log: str
    process: subprocess.Popen[bytes]
    started: float
    gpus: list[str] = field(default_factory=list)


def fail(message: str) -> None:
    """Usage error: message, exit 2."""
    print(f"{NAME}: {message}", file=sys.stderr)
    sys.exit(2)


def positive(name: str, text: str, least: int = 1) -> int:
    """An option's value as a whole number of at least ``least``."""
    if not text.isdigit() or int(text) < least:
        fail(f"{name} needs a whole number of at least {least}, got '{text}'")
    return int(text)


def quoted(argument: str) -> str:
    """The argument as Kaldi's run.pl hands it to bash (see the usage text)."""
    if argument and not re.search(r"\s", argument):
        return argument
    if '"' not in argument:
        return f'"{argument}"'
    return f"'{argument}'" if "'" not in argument else shlex.quote(argument)


def parse(words: list[str]) -> Options:
    """Parse the command line; exits with a message if it is wrong."""
    options = Options(log="", command="")
    words = list(words)
    if not words or words[0] in ("--help", "-h"):
        print(__doc__.strip(), file=sys.stderr if not words else sys.stdout)
        sys.exit(0 if words else 2)
    while words:
        if words[0].startswith("-"):
            parse_option(options, words)
        elif match := re.fullmatch(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?", words[0]):
            options.tag = match[1]
            options.first = int(match[2])
            options.last = int(match[3] or match[2])
            if options.first < 1 or options.last < options.first:
                fail(f"invalid range {words[0]}: it must start at 1 or later and not end before it starts")
            words.pop(0)
        elif re.match(r"[A-Za-z_]\w*=\S*$", words[0]):
            fail(f"'{words[0]}' is neither a range such as JOB=1:10 nor a log file")
        else:
            break
    if len(words) < 2:
        fail("expected [options] [JOB=1:N] <log-file> <command>; see --help")
    options.log, options.command = words[0], " ".join(quoted(word) for word in words[1:])
    if options.last > options.first and options.fill(options.log, 1) == options.fill(options.log, 2):
        fail(f"the jobs would share one log file: {options.tag} must be in {options.log}")
    return options


def parse_option(options: Options, words: list[str]) -> None:
    """Take one option and its value off the front of ``words``."""
    name = words.pop(0)
    if name == "-V":
        return
    value: str
    if name.startswith("--") and "=" in name:
        name, value = name.split("=", 1)
    elif not words:
        fail(f"option {name} needs a value")
    else:
        value = words.pop(0)
    if value.startswith("--"):
        fail(f"option {name} needs a value, but '{value}' looks like the next option")
    if name in ("--max-jobs-run", "-tc"):
        options.max_jobs = positive(name, value)
    elif name == "--num-threads":
        options.threads = positive(name, value)
    elif name == "--gpu":
        options.gpus = positive(name, value, least=0)
    elif name == "--pick":
        if value not in ("all", "failed", "incomplete"):
            fail(f"--pick must be all, failed or incomplete, got '{value}'")
        options.pick = value


def logged_status(log: str) -> int | None:
    """The exit status that the closing line of a log tells; None if there is none (never run, or killed)."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 4096))
            tail = stream.read().decode(errors="replace")
    except OSError:
        return None
    endings = ENDED.findall(tail)
    if not endings:
        return None
    code, number, status = endings[-1]
    return int(code or status or 0) or (128 + int(number) if number else 0)


def picked(options: Options) -> list[int]:
    """Numbers of the jobs to run, by --pick."""
    jobs = list(range(options.first, options.last + 1))
    if options.pick == "all":
        return jobs
    status = {job: logged_status(options.fill(options.log, job)) for job in jobs}
    wanted = [job for job in jobs if status[job] != 0 and (status[job] is not None or options.pick == "incomplete")]
    print(f"{NAME}: --pick {options.pick}: {len(wanted)} of {len(jobs)} jobs to run", file=sys.stderr)
    return wanted


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

    def __init__(self, options: Options) -> None:
        self.options = options
        self.running: dict[int, Running] = {}
        self.failed: dict[int, int] = {}  # job -> status
        self.signals: list[int] = []
        self.free_gpus = visible_gpus() if options.gpus else []
        self.at_once = options.max_jobs or os.cpu_count() or 1
        if options.gpus:
            # With too few GPUs listed a job still runs, on whatever it finds.
            self.at_once = min(self.at_once, max(1, len(self.free_gpus) // options.gpus))
        self.environment = {**os.environ, "VGS_JOB": "1"}
        self.environment.update({name: str(options.threads) for name in THREAD_VARIABLES})

    def run(self) -> int:
        """Run all picked jobs; the exit status of the whole."""
        waiting = picked(self.options)
        total = len(waiting)
        guard = Guard()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in handled:
            signal.signal(number, self.on_signal)
        while (waiting and not self.signals) or self.running:
            while waiting and len(self.running) < self.at_once and not self.signals:
                # Blocked so that no signal falls between the start of a job and its entry in the books.
                signal.pthread_sigmask(signal.SIG_BLOCK, handled)
                group = self.start(waiting.pop(0))
                guard.add(group)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
            if self.running:
                pid, status, usage = os.wait4(-1, 0)
                if pid in self.running:
                    self.finish(self.running.pop(pid), status, usage)
                    if not self.signals:  # else the guard ends what the job left running
                        guard.remove(pid)
        return self.conclude(total)

    def on_signal(self, number: int, _frame: object) -> None:
        """Pass the signal on to the jobs; kill them at the second."""
        self.signals.append(number)
        for pid in list(self.running):
            signal_group(pid, number if len(self.signals) == 1 else signal.SIGKILL)

    def start(self, job: int) -> int:
        """Start a job in a process group of its own; its group id."""
        log = self.options.fill(self.options.log, job)
        command = self.options.fill(self.options.command, job)
        environment = self.environment
        gpus: list[str] = []
        if self.options.gpus and len(self.free_gpus) >= self.options.gpus:
            gpus = [self.free_gpus.pop(0) for _ in range(self.options.gpus)]
            environment = {**environment, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "wb") as stream:
            stream.write(f"# {command}\n# Started at {time.ctime()}\n#\n".encode(errors="surrogateescape"))
            stream.flush()
        with open(log, "ab") as stream, tempfile.TemporaryFile() as script:
            arguments = ["bash", "-o", "pipefail", "-c", PROLOGUE + command]
            pass_fds = tuple(int(fd) for fd in os.environ.get("VGS_LOCK_FDS", "").split())
            if len(command) > LONGEST_ARGUMENT:
                script.write((PROLOGUE + command).encode(errors="surrogateescape"))
                script.flush()
                os.lseek(script.fileno(), 0, os.SEEK_SET)
                arguments[-2:] = [f"/dev/fd/{script.fileno()}"]
                pass_fds += (script.fileno(),)
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment,
                start_new_session=True, pass_fds=pass_fds, preexec_fn=unblock,
            )  # fmt: skip
        self.running[process.pid] = Running(job, log, process, time.time(), gpus)
        return process.pid

    def finish(self, ended: Running, status: int, usage: resource.struct_rusage) -> None:
        """Write the log's closing lines, in which both Kaldi's run.pl and queue.pl users find their words."""
        code, number = (os.WEXITSTATUS(status), 0) if os.WIFEXITED(status) else (0, os.WTERMSIG(status))
        ended.process.returncode = code or -number
        code_text = f"code {code}; signal {number}" if number else f"code {code}"
        total = code or (128 + number if number else 0)
        seconds = round(time.time() - ended.started)
        megabytes = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
        now = time.ctime()
        with open(ended.log, "ab") as stream:
            stream.write(
                f"# Accounting: time={seconds} threads={self.options.threads}\n"
                f"# Ended ({code_text}) at {now}, elapsed time {seconds} seconds; "
                f"Finished at {now} with status {total} on {socket.gethostname()}, "
                f"gpus {','.join(ended.gpus) or 'none'}, peak memory {megabytes:.0f} MB\n".encode()
            )
        self.free_gpus.extend(ended.gpus)
        if total:
            self.failed[ended.job] = total

    def conclude(self, total: int) -> int:
        """Say what failed, as Kaldi does, with the end of the first failing log and advice; the exit status."""
        if self.signals and not self.failed:
            return 128 + self.signals[0]
        if not self.failed:
            return 0
        first = min(self.failed)
        log = self.options.fill(self.options.log, first)
        stars = self.options.fill(self.options.log, "*")
        codes = set(self.failed.values())
        if self.signals and codes != {85}:
            name = signal.Signals(self.signals[0]).name
            print(f"{NAME}: stopped by {name}, {len(self.failed)} jobs ended, log is in {stars}", file=sys.stderr)
            return 128 + self.signals[0]
        if codes == {85}:
            print(f"{NAME}: interrupted, can be resumed; log is in {log}", file=sys.stderr)
        elif total == 1:
            print(f"{NAME}: job failed, log is in {log}", file=sys.stderr)
        else:
            print(f"{NAME}: {len(self.failed)} / {total} failed, log is in {stars}", file=sys.stderr)
        self.show_end(log)
        killed = sorted(job for job, code in self.failed.items() if code == 137)
        if killed:
            names = f"job {killed[0]} was" if len(killed) == 1 else f"jobs {', '.join(map(str, killed))} were"
            print(
                f"{NAME}: {names} killed (status 137), most likely because memory ran out: "
                "lower --nj or --max-jobs-run, or the batch size, or raise --mem",
                file=sys.stderr,
            )
        return codes.pop() if len(codes) == 1 and codes <= PASSED_ON else 1

    def show_end(self, log: str) -> None:
        """Print the last lines of a failing log, and leave its name for the recipe's own message."""
        try:
            lines = Path(log).read_text(errors="replace").splitlines()
        except OSError:
            return
        shown = [line for line in lines if line.strip() and line != "#" and not line.startswith("# ")][-8:]
        for line in shown:
            print(f"  | {line[:400]}", file=sys.stderr)
        if note := os.environ.get("VGS_FAILURE_NOTE"):
            Path(note).write_text(f"{os.path.abspath(log)}\n{shown[-1] if shown else ''}\n")


def unblock() -> None:
    """In a new job: let the signals through that were blocked while it was started."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    sys.exit(Runner(parse(sys.argv[1:])).run())
