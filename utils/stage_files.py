"""Small files of the stage ledger, and what a killed run leaves behind. Standard library only."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stage_lock import alive

WHOLE_FILE_BYTES = 64 * 2**20  # larger files: size, head and tail
END_BYTES = 2**20
FULL = (errno.ENOSPC, errno.EDQUOT)
# As vgspeech.files and this module name them.
TEMPORARY = re.compile(r"^\..+\.(\d+)\.tmp$")


def digest(path: str) -> str:
    """Content hash of a file; of a large one, of its size, first and last megabyte; of a folder, of what its files are called.

    Hidden files of a folder, which file managers write, do not count, nor does the work directory where it lies inside.
    """
    if os.path.isdir(path):
        listing = "".join(f"{os.path.relpath(name, path)}\n{os.path.getsize(name)}\n" for name in sorted(_files_below(path)))
        return "folder:" + hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()
    size = os.path.getsize(path)
    if size <= WHOLE_FILE_BYTES:
        return "sha256:" + file_hash(path)
    with open(path, "rb") as stream:
        ends = hashlib.sha256(stream.read(END_BYTES))
        stream.seek(-END_BYTES, os.SEEK_END)
        ends.update(stream.read(END_BYTES))
    return f"ends:{size}:{ends.hexdigest()}"


def _files_below(folder: str) -> Iterator[str]:
    for parent, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".") and not os.path.samefile(os.path.join(parent, name), ".")]
        paths = (os.path.join(parent, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if os.path.isfile(path))


def file_hash(path: str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(value, stream, ensure_ascii=False, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def no_space(error: OSError) -> str:
    """What to tell a user whose disk is full."""
    folder = os.path.dirname(os.path.abspath(error.filename or "."))
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return (
        f"no space left on the file system {folder} ({error.filename or 'the work directory'})\n"
        "  free some space or use another work directory (--dir), then run the same command again"
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """A stamp, or None if there is none that can be read (a stamp is never half-written, but disks fail)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def remove_leftovers(outputs: list[str]) -> list[str]:
    """Remove temporary files of processes that are gone from the folders of a stage's outputs; their names.

    The caller holds the stage's lock, so nobody else writes there; a process of that number on this machine is spared all
    the same.

    Args:
        outputs: patterns of the stage's output files.
    """
    removed = []
    for folder in sorted({folder for pattern in outputs for folder in glob.glob(os.path.dirname(pattern) or ".")}):
        for parent, below, names in os.walk(folder):
            for name in names:
                match = TEMPORARY.match(name)
                if match and not alive(int(match[1])):
                    path = os.path.join(parent, name)
                    removed.append(path)
                    os.unlink(path)
            below[:] = [name for name in below if not name.startswith(".")]
    return removed
