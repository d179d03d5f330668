"""What the job runners (run.pl, slurm.pl) share: Kaldi's calling convention, its log format and its closing message.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

PASSED_ON = {2, 3, 4, 75, 85}  # statuses with a meaning (see the project's exit codes)
INTERRUPTED = 85
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PICKS = ("all", "failed", "incomplete")
ENDED = re.compile(r"^# Ended \(code (\d+)(?:; signal (\d+))?\)|^# Finished at .* with status (\d+)", re.MULTILINE)


# ---- the call: [options] [JOB=1:N] <log-file> <command> [arguments] ----


@dataclass
class Call:
    """What is to be run."""

    log: str
    command: str
    tag: str = ""
    first: int = 1
    last: int = 1

    @property
    def jobs(self) -> list[int]:
        return list(range(self.first, self.last + 1))

    def log_of(self, job: int | str) -> str:
        """The log of a job."""
        return fill(self.log, self.tag, job)


def fill(text: str, tag: str, job: int | str) -> str:
    """``text`` with the job's number in place of the tag, wherever that stands as a word of its own."""
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(tag)}(?![A-Za-z0-9])", str(job), text) if tag else text


def quoted(argument: str) -> str:
    """The argument as Kaldi's runners hand it to bash: with blanks in double quotes (single if it has a double one)."""
    if argument and not re.search(r"\s", argument):
        return argument
    if '"' not in argument:
        return f'"{argument}"'
    return f"'{argument}'" if "'" not in argument else shlex.quote(argument)


def program() -> str:
    """The runner's name, as in its messages."""
    return Path(sys.argv[0]).name


def say(message: str) -> None:
    """A line for the user."""
    print(f"{program()}: {message}", file=sys.stderr, flush=True)


def usage_error(message: str) -> NoReturn:
    """The command line or the configuration is wrong: message, exit 2."""
    say(message)
    sys.exit(2)


def parse(words: list[str], usage: str, set_option: Callable[[str, str], None]) -> Call:
    """Parse a command line; exits with a message if it is wrong.

    Args:
        words: the arguments.
        usage: shown by --help.
        set_option: called with the name and the value of every option (``--name value``, ``--name=value``).
    """
    words = list(words)
    if not words or words[0] in ("--help", "-h"):
        print(usage.strip(), file=sys.stderr if not words else sys.stdout)
        sys.exit(0 if words else 2)
    call = Call(log="", command="")
    while words:
        if words[0] == "-V":  # "export the environment", of GridEngine: always done
            words.pop(0)
        elif words[0].startswith("-"):
            set_option(*_take_option(words))
        elif match := re.fullmatch(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?", words[0]):
            call.tag, call.first, call.last = match[1], int(match[2]), int(match[3] or match[2])
            if call.first < 1 or call.last < call.first:
                usage_error(f"invalid range {words[0]}: it must start at 1 or later and not end before it starts")
            words.pop(0)
        elif re.match(r"[A-Za-z_]\w*=\S*$", words[0]):
            usage_error(f"'{words[0]}' is neither a range such as JOB=1:10 nor a log file")
        else:
            break
    if len(words) < 2:
        usage_error("expected [options] [JOB=1:N] <log-file> <command>; see --help")
    call.log, call.command = words[0], " ".join(quoted(word) for word in words[1:])
    if call.last > call.first and call.log_of(1) == call.log_of(2):
        usage_error(f"the jobs would share one log file: {call.tag} must be in {call.log}")
    return call


def _take_option(words: list[str]) -> tuple[str, str]:
    """One option's name and value, taken off the front of ``words``."""
    name = words.pop(0)
    if name.startswith("--") and "=" in name:
        name, value = name.split("=", 1)
    elif not words:
        usage_error(f"option {name} needs a value")
    else:
        value = words.pop(0)
    if value.startswith("--"):
        usage_error(f"option {name} needs a value, but '{value}' looks like the next option")
    return name, value


def whole_number(name: str, text: str, least: int = 1) -> int:
    """An option's value as a whole number of at least ``least``."""
    if not text.isdigit() or int(text) < least:
        usage_error(f"{name} needs a whole number of at least {least}, got '{text}'")
    return int(text)


def one_of(name: str, text: str, choices: tuple[str, ...]) -> str:
    """An option's value, which must be one of the choices."""
    if text not in choices:
        usage_error(f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}, got '{text}'")
    return text


# ---- the command ----

# A signal reaches the whole group of a job. Its shell must outlive the command, which may still write a checkpoint, and
# pass the command's status on.
PROLOGUE = "trap 'exit $?' INT TERM HUP; "
LONGEST_ARGUMENT = 100_000  # bytes; the kernel refuses arguments from 128 KiB


def start_bash(
    command: str,
    log: str | Path,
    environment: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a job's command by ``bash -o pipefail`` in a process group of its own, its output appended to the log."""
    text = PROLOGUE + command
    with contextlib.ExitStack() as files:
        stream = files.enter_context(open(log, "ab"))
        arguments = ["bash", "-o", "pipefail", "-c", text]
        if len(text) > LONGEST_ARGUMENT:
            script = files.enter_context(tempfile.TemporaryFile())
            script.write(text.encode(errors="surrogateescape"))
            script.flush()
            os.lseek(script.fileno(), 0, os.SEEK_SET)
            arguments[-2:] = [f"/dev/fd/{script.fileno()}"]
            pass_fds += (script.fileno(),)
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment,
            start_new_session=True, pass_fds=pass_fds,
        )  # fmt: skip


# ---- the log ----


def opening_lines(command: str) -> bytes:
    """The beginning of a log."""
    return f"# {command}\n# Started at {time.ctime()}\n#\n".encode(errors="surrogateescape")


def closing_lines(code: int, number: int, seconds: int, threads: int, place: str) -> bytes:
    """The end of a log, in which users of both of Kaldi's wordings (run.pl, queue.pl) find theirs.

    Args:
        code: the exit status, 0 after a signal.
        number: the signal that ended the job, or 0.
        place: host, GPUs and memory, or what else is to be told about the end.
    """
    now = time.ctime()
    status = code or (128 + number if number else 0)
    ended = f"code {code}; signal {number}" if number else f"code {code}"
    return (
        f"# Accounting: time={seconds} threads={threads}\n"
        f"# Ended ({ended}) at {now}, elapsed time {seconds} seconds; "
        f"Finished at {now} with status {status} on {place}\n"
    ).encode()


def append_durably(log: str | Path, text: bytes) -> None:
    """Add lines to a log; they are on the disk when this returns."""
    with open(log, "ab") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def place(host: str, gpus: str, megabytes: float) -> str:
    """Where a job ran and what it took, for the closing line."""
    return f"{host}, gpus {gpus or 'none'}, peak memory {megabytes:.0f} MB"


def logged_status(log: str) -> int | None:
    """The exit status that the closing line of a log tells; None if there is none (never run, or killed)."""
    endings = ENDED.findall(_tail(log).decode(errors="replace"))
    if not endings:
        return None
    code, number, status = endings[-1]
    return int(code or status or 0) or (128 + int(number) if number else 0)


def picked(call: Call, pick: str) -> list[int]:
    """Numbers of the jobs to run, by --pick: all, those that failed, those not known to have succeeded."""
    if pick == "all":
        return call.jobs
    status = {job: logged_status(call.log_of(job)) for job in call.jobs}
    wanted = [job for job in call.jobs if status[job] != 0 and (status[job] is not None or pick == "incomplete")]
    say(f"--pick {pick}: {len(wanted)} of {len(call.jobs)} jobs to run")
    return wanted


# ---- the end ----


def conclude(call: Call, failed: dict[int, int], total: int, stopped_by: int = 0) -> int:
    """Say what failed, as Kaldi does, with the end of the first failing log and advice.

    Args:
        failed: job -> its status.
        total: number of jobs that were to run.
        stopped_by: the signal that the runner got, or 0.

    Returns:
        The runner's exit status: 0; a status with a meaning that all failed jobs share; 128 + signal; or 1.
    """
    codes = set(failed.values())
    if not failed:
        return 128 + stopped_by if stopped_by else 0
    log, stars = call.log_of(min(failed)), call.log_of("*")
    if stopped_by and codes != {INTERRUPTED}:
        say(f"stopped by {signal.Signals(stopped_by).name}, {len(failed)} jobs ended, log is in {stars}")
        return 128 + stopped_by
    if codes == {INTERRUPTED}:
        say(f"interrupted, can be resumed; log is in {log}")
    elif total == 1:
        say(f"job failed, log is in {log}")
    else:
        say(f"{len(failed)} / {total} failed, log is in {stars}")
    _show_end(log)
    _explain_memory(call, failed)
    return codes.pop() if len(codes) == 1 and codes <= PASSED_ON else 1


REMEDY = "lower --nj or --max-jobs-run, or the batch size, or raise --mem"
# What programs say when the machine's memory, or a GPU's, ran out and they were not simply killed.
NO_MEMORY = re.compile(
    rb"oom[-_ ]kill|OOM Killed|[Oo]ut of memory|OutOfMemoryError|MemoryError|[Cc](annot|an't) allocate memory|bad_alloc|"
    rb"not enough memory|killed by signal: Killed"
)
NO_GPU_MEMORY = re.compile(rb"CUDA (error: )?out of memory|torch\.(cuda\.)?OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED")


def _explain_memory(call: Call, failed: dict[int, int]) -> None:
    """Name the jobs that died for want of memory, and what helps."""
    killed = sorted(job for job, code in failed.items() if code == 137)
    if killed:
        say(f"{_names(killed)} killed (status 137), most likely because memory ran out: {REMEDY}")
    tails = {job: _tail(call.log_of(job)) for job in sorted(set(failed) - set(killed))}
    short_of_gpu = [job for job, tail in tails.items() if NO_GPU_MEMORY.search(tail)]
    short = [job for job, tail in tails.items() if NO_MEMORY.search(tail) and job not in short_of_gpu]
    if short_of_gpu:
        say(f"{_names(short_of_gpu)} short of GPU memory: lower the batch size, or use more GPUs or larger ones")
    if short:
        say(f"{_names(short)} short of memory: {REMEDY}")


def _names(jobs: list[int]) -> str:
    """The subject of a sentence about jobs, and its verb."""
    return f"job {jobs[0]} was" if len(jobs) == 1 else f"jobs {', '.join(map(str, jobs))} were"


def _tail(log: str, size: int = 4096) -> bytes:
    """The last bytes of a log; empty if it cannot be read."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - size))
            return stream.read()
    except OSError:
        return b""


def _show_end(log: str) -> None:
    """Print the last lines of a failing log, and leave its name for the recipe's own message."""
    lines = _tail(log, 65536).decode(errors="replace").splitlines()
    shown = [line for line in lines if line.strip() and line != "#" and not line.startswith("# ")][-8:]
    for line in shown:
        print(f"  | {line[:400]}", file=sys.stderr)
    if note := os.environ.get("VGS_FAILURE_NOTE"):
        # Our commands say "<command>: error: ..." and may add advice; of others the last line tells most.
        named = [line for line in shown if ": error: " in line]
        Path(note).write_text(f"{os.path.abspath(log)}\n{(named or shown or [''])[-1]}\n")
