"""Ends a recipe at a random moment: by SIGKILL, by SIGTERM, or by a disk that runs full; and tells two work directories apart.

A killed run that is started again must end with what an undisturbed one makes. `NOT_COMPARED` and `MEASURED` are the whole
list of what may differ.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipe_runner import STAGES, command

NOT_COMPARED = ("*/log/*", "*/train.log", "*/.stages/lock", "*/.stages/*/lock")
"""Logs, and the lock files that say who held them."""
GROWING = ("*/metrics.jsonl", "*/checkpoints/*")
"""What a training adds to as it goes."""
MEASURED = {"seconds", "started", "ended", "host", "pid", "command", "git", "reason", "bytes"}
"""Entries of stamps, metrics.jsonl and checkpoints: when, where and by which command, and how much with all logs."""

TELL_TIMES = ("/metrics.jsonl", "/report/index.html")
"""Files that tell how long training took: they are compared without that, and a stamp's digest or size of them is not."""

SCENES = {"train_scenes": 12, "dev_scenes": 4, "test_scenes": 4, "test_unseen_scenes": 0}
SMALLEST = [word for name, count in SCENES.items() for word in ("--mini-set", f"{name}={count}")]
NETWORKS = ["embedding_dim=32", "audio.stem_width=16", "audio.widths=[24,32]", "image.widths=[16,24,32]"]
TRAINING = ["training.epochs=3", "training.batch_size=4", "training.precision=float32"]
SMALLEST += [word for change in NETWORKS + TRAINING for word in ("--set", change)]
SMALLEST += ["--nj", "2"]
PATIENCE_S = 600.0  # a hang, not a speed


@dataclass
class Undisturbed:
    """A recipe's work directory as it was after each stage, and how long the stages took."""

    recipe: str
    folder: Path
    seconds: dict[int, float]

    def after(self, stage: int) -> Path:
        """The work directory after ``stage``; -1 is the empty one of the beginning."""
        return self.folder / f"after{stage}"


def undisturbed(recipe: str, folder: Path) -> Undisturbed:
    """Run a recipe stage by stage and keep a copy after each."""
    work, seconds = folder / "work", {}
    work.mkdir(parents=True)
    shutil.copytree(work, folder / "after-1")
    for stage in range(len(STAGES)):
        done = Attempt(recipe, work, stage).finish()
        assert done.status == 0, done.printed[-5000:]
        shutil.copytree(work, folder / f"after{stage}", symlinks=True)
        if stamps := list(work.rglob(f".stages/**/{stage:02}-*.json")):
            seconds[stage] = json.loads(stamps[0].read_text())["seconds"]
    return Undisturbed(recipe, folder, seconds)


@dataclass
class Ended:
    """How a run ended."""

    status: int
    printed: str


class Attempt:
    """One start of a recipe, always with the same command for the same stage."""

    def __init__(self, recipe: str, work: Path, stop_stage: int) -> None:
        self.output = work.parent / f"{work.name}.printed"
        self.stream = self.output.open("w")
        words = command(recipe, work, *SMALLEST, "--stop-stage", str(stop_stage))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(words, stdout=self.stream, stderr=subprocess.STDOUT, env=environment)

    def finish(self) -> Ended:
        """Wait for the end."""
        status = self.process.wait(PATIENCE_S)
        self.stream.close()
        return Ended(status, self.output.read_text(errors="replace"))

    def wait_for_stage(self, work: Path, stage: int) -> None:
        """Wait until the stage has begun, or the run has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if list(work.glob(f"**/.stages/**/{stage:02}-*.running")):
                return
            time.sleep(0.01)

    def wait(self, seconds: float) -> None:
        """Let the run go on for so long, if it does not end before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)


def started_again(recipe: str, work: Path, stop_stage: int) -> Ended:
    """The same command again, as soon as nothing of the killed run is left."""
    deadline = time.monotonic() + 60
    while (done := Attempt(recipe, work, stop_stage).finish()).status == 75 and time.monotonic() < deadline:
        time.sleep(0.2)
    return done


def wait_for_the_rest(work: Path) -> None:
    """Wait until nothing of a killed run is left: what lives of it holds the locks of its stages."""
    deadline = time.monotonic() + 60
    for path in work.glob("**/.stages/**/lock"):
        with path.open() as lock:
            while time.monotonic() < deadline:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            number = int(stat.parent.name)
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(number)
    found = [pid]
    for member in found:
        found += parents.get(member, [])
    return found


def kill_something(attempt: Attempt, dice: random.Random) -> None:
    """SIGKILL to the recipe, or to any one of its processes, as the out-of-memory killer chooses."""
    members = family(attempt.process.pid)
    victim = attempt.process.pid if dice.random() < 0.5 else dice.choice(members)
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    attempt.wait(PATIENCE_S)


def terminate(attempt: Attempt, _dice: random.Random) -> None:
    """SIGTERM to the recipe."""
    if attempt.process.poll() is None:
        attempt.process.send_signal(signal.SIGTERM)


KILLS = {"SIGKILL": kill_something, "SIGTERM": terminate}


def killed_at(base: Undisturbed, work: Path, stage: int, kind: str, dice: random.Random) -> Ended:
    """Kill ``stage`` at a random moment. A run that was faster than the kill is tried again, with less patience."""
    span = 1.1 * base.seconds[stage]
    for _ in range(4):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(base.after(stage - 1), work, symlinks=True)
        attempt = Attempt(base.recipe, work, stage)
        attempt.wait_for_stage(work, stage)
        attempt.wait(dice.uniform(0, span))
        KILLS[kind](attempt, dice)
        ended = attempt.finish()
        wait_for_the_rest(work)
        if ended.status != 0:
            return ended
        span /= 2
    return ended


# ---- a disk that runs full ----


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system in memory at ``folder`` (root only)."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "vgspeech-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={max(size, 65536)}", disk], check=True)


def bytes_used(folder: Path) -> int:
    return int(subprocess.run(["du", "-s", "-B1", folder], check=True, capture_output=True, text=True).stdout.split()[0])


def run_out_of_space(base: Undisturbed, disk: Path, stage: int, dice: random.Random) -> Ended:
    """Run ``stage`` in ``disk``/work, where there is room for a random part of what it writes; then make room."""
    needed = bytes_used(base.after(stage)) - bytes_used(base.after(stage - 1))
    work = disk / "work"
    shutil.copytree(base.after(stage - 1), work, symlinks=True)
    resize(disk, shutil.disk_usage(disk).used + int(dice.uniform(0, 0.9) * min(needed, 2 * 2**20)))
    ended = Attempt(base.recipe, work, stage).finish()
    resize(disk, 2**30)
    return ended


# ---- what two work directories have in common ----


def contents(work: Path) -> dict[str, str]:
    """Every file that is compared, by its path: a digest of what counts in it."""
    names = [str(path.relative_to(work)) for path in sorted(work.rglob("*")) if path.is_symlink() or path.is_file()]
    return {name: _digest(work / name) for name in names if not _matches(name, NOT_COMPARED)}


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(f"/{name}", pattern) for pattern in patterns)


def _digest(path: Path) -> str:
    return f"-> {os.readlink(path)}" if path.is_symlink() else hashlib.sha256(_what_counts(path)).hexdigest()


def _what_counts(path: Path) -> bytes:
    if path.suffix == ".pt":
        parts: list[bytes] = []
        _flatten(torch.load(path, weights_only=True), parts)
        return b"\n".join(parts)
    data = path.read_bytes()
    if path.name == "index.html":
        return re.sub(rb"(training time</dt><dd>)[^<]*", rb"\1", data)
    if ".stages" in path.parts or path.name == "metrics.jsonl":
        lines = [data.decode()] if path.suffix == ".json" else data.decode().splitlines()
        return json.dumps([_compared(json.loads(line)) for line in lines]).encode()
    return data


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in MEASURED and not key.endswith(TELL_TIMES)}
        return {key: _compared(item) for key, item in kept.items()}
    return [_compared(item) for item in value] if isinstance(value, list) else value


def _flatten(value: Any, parts: list[bytes]) -> None:
    """Tensors as their type, shape and bytes, everything else as text, measurements left out."""
    if isinstance(value, torch.Tensor):
        parts.append(f"{value.dtype} {tuple(value.shape)}".encode() + value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in MEASURED:
                parts.append(repr(key).encode())
                _flatten(item, parts)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _flatten(item, parts)
    else:
        parts.append(repr(value).encode())


def half_written(base: Undisturbed, work: Path, stage: int) -> list[str]:
    """Files of a stage that was cut short which bear their final name and are neither as before the stage nor as after it."""
    before, after = contents(base.after(stage - 1)), contents(base.after(stage))
    there = [name for name in after if (work / name).is_file() and not _matches(name, GROWING)]
    return [name for name in there if _digest(work / name) not in (before.get(name), after[name])]


def differences(work: Path, reference: Path) -> list[str]:
    """What is not as it should be, one line a file."""
    ours, theirs = contents(work), contents(reference)
    lines = [f"{name}: missing" for name in theirs.keys() - ours.keys()]
    lines += [f"{name}: should not be there" for name in ours.keys() - theirs.keys()]
    lines += [f"{name}: differs" for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
    return sorted(lines)
