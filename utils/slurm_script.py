"""The batch script of slurm.pl: a plain shell script that can be read, and submitted again by hand."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from kaldi_job import THREAD_VARIABLES, Call

UTILS = Path(__file__).resolve().parent
EXPORTED = re.compile(
    r"PATH|PYTHONPATH|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_PREFIX|KALDI_ROOT|LANG|LC_\w+|PYTHON(UTF8|IOENCODING)|"
    r"HF_\w+|TORCH_HOME|XDG_CACHE_HOME|MASTER_(ADDR|PORT)|(NCCL|GLOO|TORCH_NCCL)_\w+|VGS_\w+"
)
# These concern the submitting machine: its locks, its supervisor, its temporary files.
STAYS = {"VGS_LOCK_FDS", "VGS_SUPERVISOR", "VGS_FAILURE_NOTE", "VGS_EXPORT", "HF_TOKEN"}


def exports(threads: int) -> list[str]:
    """``export NAME=VALUE`` lines of what a job needs of the present environment."""
    named = set(os.environ.get("VGS_EXPORT", "").split())
    values = {
        name: value
        for name, value in sorted(os.environ.items())
        if name in named or (EXPORTED.fullmatch(name) and name not in STAYS)
    }
    values |= {name: str(threads) for name in THREAD_VARIABLES} | {"VGS_JOB": "1"}
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def environment_script() -> Path:
    """path.sh of the present directory, as in Kaldi, or else of this project."""
    here = Path("path.sh").absolute()
    return here if here.is_file() else UTILS.parent / "path.sh"


def batch_script(call: Call, results: Path, run: str, threads: int, submission: list[str], *, append: bool) -> str:
    """The text of the script.

    Args:
        results: results go to ``<results>.<task>.rc``.
        run: name of this submission, to be found in the result files.
        submission: the sbatch command, for the reader.
        append: keep what earlier submissions wrote to the logs.
    """
    task = ["python3", "-S", "-E", str(UTILS / "slurm_task.py"), f"--log={call.log}", f"--results={results}"]
    task += [f"--run={run}", f"--threads={threads}"] + ([f"--tag={call.tag}"] if call.tag else [])
    task += ["--append"] if append else []
    end = "END_OF_COMMAND"
    while end in call.command:
        end += "_"
    path_script = environment_script()
    lines = [
        "#!/usr/bin/env bash",
        f"cd {shlex.quote(os.getcwd())} || exit 1",
        *exports(threads),
        *([f". {shlex.quote(str(path_script))} || exit 1"] if path_script.is_file() else []),
        f"exec {shlex.join(task)} <<'{end}'",
        call.command,
        end,
        f"# submitted by: {shlex.join(submission)}",
    ]
    return "\n".join(lines) + "\n"
