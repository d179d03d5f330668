"""The node's side of slurm.pl: runs one task of a job, writes its log, and leaves a result file that slurm.pl waits for.

Usage: slurm_task.py --log LOG [--tag JOB] --results PREFIX --run ID --threads N [--append]   (the command on standard input)

The result, PREFIX.<task>.rc (PREFIX.rc when the job is no array), is one line of JSON that appears whole or not at all. The
log has run.pl's format. SIGTERM and SIGUSR1 (Slurm's warning before the time limit, sbatch --signal=B:USR1@120) are passed
on as SIGTERM to the task's process group, so that a training can write a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from job_guard import Guard, ignore_signals, signal_group
from kaldi_job import closing_lines, fill, opening_lines, place, start_bash

PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    parser = argparse.ArgumentParser(description="see the top of this file")
    parser.add_argument("--log", required=True)
    parser.add_argument("--tag", default="")
    parser.add_argument("--results", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--append", action="store_true")
    args = parser.parse_args()

    task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    log = Path(fill(args.log, args.tag, task or "1"))
    # The last byte belongs to the here-document, not to the command.
    command = fill(sys.stdin.buffer.read().decode(errors="surrogateescape").removesuffix("\n"), args.tag, task or "1")
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab" if args.append or restarts else "wb") as stream:
        stream.write(opening_lines(command))
    started = time.time()
    code, number, megabytes = run(command, log)
    seconds = round(time.time() - started)
    host = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    with open(log, "ab") as stream:
        stream.write(closing_lines(code, number, seconds, args.threads, place(host, gpus, megabytes)))
    status = code or (128 + number if number else 0)
    result = {"run": args.run, "restarts": restarts, "status": status, "host": host, "gpus": gpus, "seconds": seconds,
              "peak_mb": round(megabytes), "job": os.environ.get("SLURM_JOB_ID", "")}  # fmt: skip
    write_result(Path(f"{args.results}.{task}.rc" if task else f"{args.results}.rc"), result)
    return status


def run(command: str, log: Path) -> tuple[int, int, float]:
    """Run the command in a process group of its own, its output to the log.

    Returns:
        Exit status, signal (0 or the one that ended it), peak memory of its largest process in MB.
    """
    received: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def on_signal(number: int, _frame: object) -> None:
        received.append(number)
        if process is not None:
            signal_group(process.pid, signal.SIGTERM)

    guard = Guard()
    for passed_on in PASSED_ON:
        signal.signal(passed_on, on_signal)
    process = start_bash(command, log)
    guard.add(process.pid)
    if received:  # a signal that came before there was a process to pass it on to
        signal_group(process.pid, signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    ignore_signals(PASSED_ON)
    guard.remove(process.pid)
    code, number = (os.WEXITSTATUS(status), 0) if os.WIFEXITED(status) else (0, os.WTERMSIG(status))
    return code, number, usage.ru_maxrss / 1024


def write_result(path: Path, result: dict[str, object]) -> None:
    """Write the result file, durably and at once."""
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    with open(temporary, "w") as stream:
        stream.write(json.dumps(result) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
