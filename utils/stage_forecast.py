"""What a stage will take, from what earlier runs of it took; and what they wrote.

Every stamp records how long its stage ran, how many bytes it wrote and how many records it read (lines of its scp inputs;
bytes of its JSON inputs where it has none). A forecast is the record of this very stage or, scaled by the number of
records, that of the same stage over another corpus or in another experiment with the same configuration and options.
Standard library only.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stage_files import read_json

FREE_OPTIONS = ("seed", "max_bad")  # change neither time nor space
Stamp = dict[str, Any]


@dataclass(frozen=True)
class Forecast:
    """Time and space of a stage, and what that rests on."""

    seconds: float | None
    bytes: float | None
    basis: str


def clock(seconds: float) -> str:
    """12 min 31 s -> ``0:12:31``."""
    whole = int(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def records_read(inputs: list[str]) -> int | None:
    """How much a stage has to work on: lines of its scp inputs, else bytes of its JSON inputs, else None: not known."""
    tables = [path for path in inputs if path.endswith(".scp") and os.path.isfile(path)]
    if tables:
        return sum(_lines(path) for path in tables)
    return sum(os.path.getsize(path) for path in inputs if path.endswith(".json") and os.path.isfile(path)) or None


def _lines(path: str) -> int:
    with open(path, "rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(2**20), b""))


def bytes_written(outputs: list[str], since: float) -> int:
    """Size of the files in the outputs' folders, subfolders included, that are not older than ``since``."""
    folders = sorted({path if os.path.isdir(path) else os.path.dirname(path) for path in outputs})
    seen, total = set(), 0
    for folder in folders:
        for parent, below, names in os.walk(folder):
            below[:] = [name for name in below if not name.startswith(".")]
            for name in names:
                status = os.lstat(os.path.join(parent, name))
                # A file system may keep times to the second only.
                if (status.st_dev, status.st_ino) not in seen and status.st_mtime >= since - 1:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    return total


def forecast(stamp: Path, previous: Stamp | None, now: Stamp) -> Forecast:
    """What a stage will take.

    Args:
        stamp: the stage's stamp file, whether it exists or not.
        previous: what it holds, or what is left of an interrupted run.
        now: the stage's dependencies (``inputs``, ``options``, ``verbs``); empty where they are not known yet.
    """
    amount = records_read(list(now.get("inputs", {})))
    if previous and previous.get("seconds"):
        scale = _scale(previous, amount) or 1.0
        return _scaled(previous, scale, f"as on {previous.get('ended', '?')[:16]}, {previous.get('host', '?')}")
    for path in sorted(_elsewhere(stamp), key=os.path.getmtime, reverse=True):
        other = read_json(Path(path)) or {}
        times = _scale(other, amount)
        if times and now and other.get("seconds") and _comparable(other, now):
            place = os.path.dirname(path).partition("/.stages")[0]
            basis = f"by {place} on {other.get('host', '?')}, {other['records']:,} records there, {amount:,} here"
            return _scaled(other, times, basis)
    return Forecast(None, None, "")


def _scale(record: Stamp, amount: int | None) -> float | None:
    return amount / record["records"] if amount and record.get("records") else None


def _scaled(record: Stamp, scale: float, basis: str) -> Forecast:
    written = record.get("bytes")
    return Forecast(record["seconds"] * scale, None if written is None else written * scale, basis)


def _elsewhere(stamp: Path) -> list[str]:
    """Stamps of the same stage in the same place of other corpora or experiments (data/*/..., exp/*/...)."""
    parts = stamp.parts
    if stamp.is_absolute() or ".stages" not in parts:
        return []
    depth = parts.index(".stages")
    below = ["*"] * (len(parts) - depth - 2)  # the front end's name, where there is one
    pattern = os.path.join(parts[0], *["*"] * (depth - 1), ".stages", *below, parts[-1])
    return [path for path in glob.glob(pattern) if path != str(stamp)]


def _comparable(record: Stamp, now: Stamp) -> bool:
    """Same verbs, options and configuration files, over whatever data."""
    return (
        record.get("verbs") == now["verbs"]
        and _weighty(record.get("options", {})) == _weighty(now["options"])
        and _settings(record.get("inputs", {})) == _settings(now["inputs"])
    )


def _weighty(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in FREE_OPTIONS}


def _settings(inputs: dict[str, str]) -> list[str]:
    """Contents of the configuration files among the inputs."""
    return sorted(digest for path, digest in inputs.items() if path.endswith((".yaml", ".conf")))


def spoken(expected: Forecast, folder: str) -> str:
    """A forecast in words, with a warning when the file system of ``folder`` has less room than that."""
    if expected.seconds is None:
        return "time and space not known: no earlier run to go by"
    text = f"about {clock(expected.seconds)}"
    if expected.bytes is not None:
        text += f" and {size(expected.bytes)}"
    text += f" ({expected.basis})"
    free = free_bytes(folder)
    if expected.bytes is not None and free is not None and free < expected.bytes:
        text += f"; only {size(free)} are free there"
    return text


def free_bytes(folder: str) -> int | None:
    """Bytes that may still be written below a folder, which need not exist yet."""
    place = os.path.abspath(folder)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    usage = os.statvfs(place)
    return usage.f_bavail * usage.f_frsize


def size(count: float) -> str:
    """Bytes for people: ``1.3 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
