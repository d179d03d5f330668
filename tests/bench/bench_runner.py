"""What the job runners cost: time per task of run.pl, and how soon slurm.pl sees that an array has ended.

    python tests/bench/bench_runner.py [--tasks 1000]

run.pl is compared with a bare shell a task, started by as many processes as run.pl has jobs at once. The Slurm part runs where
$SLURM_CONF is set (eval "$(tests/slurm/start)").
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

UTILS = Path(__file__).resolve().parents[2] / "utils"


def bare(tasks: int, folder: Path) -> float:
    """Seconds for the commands alone: one bash each, its output to a file."""

    def one(number: int) -> None:
        with open(folder / f"bare.{number}", "wb") as stream:
            subprocess.run(["bash", "-o", "pipefail", "-c", "true"], stdout=stream, start_new_session=True, check=True)

    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(tasks)))
    return time.perf_counter() - started


def runner(program: str, tasks: int, folder: Path, *command: str) -> tuple[float, float]:
    """Seconds for an array, and the time (since 1970) when it returned."""
    started = time.perf_counter()
    subprocess.run([UTILS / program, f"JOB=1:{tasks}", "log/a.JOB.log", *command], cwd=folder, check=True)
    return time.perf_counter() - started, time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = [(runner("run.pl", args.tasks, folder, "true")[0], bare(args.tasks, folder)) for _ in range(args.rounds)]
        with_runner, alone = (statistics.median(times) * 1000 / args.tasks for times in zip(*pairs, strict=True))
        print(f"run.pl, {args.tasks} tasks of `true`: {with_runner:.2f} ms a task; the bare shells {alone:.2f} ms;"
              f" overhead {with_runner - alone:.2f} ms")  # fmt: skip
        if "SLURM_CONF" in os.environ:
            notices = []
            for seconds in ("0", "2", "20"):
                total, returned = runner("slurm.pl", 4, folder, "sleep", seconds, "&&", "date", "+%s.%N", ">", "end.JOB")
                ended = max(float((folder / f"end.{n}").read_text()) for n in range(1, 5))
                notices.append(returned - ended)
                print(f"slurm.pl, 4 tasks of {seconds} s: {total:.2f} s, noticed {notices[-1]:.2f} s after the last ended")


if __name__ == "__main__":
    main()
