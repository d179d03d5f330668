"""Replacing files of a set together: first all new ones are written, then the originals are kept, then names change."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType

from vgspeech.dataset_tools.damage import Line, damaged_lines
from vgspeech.errors import DataError, VgspeechError
from vgspeech.files import atomic_write
from vgspeech.tables import split_ctm_line

BACKUP = ".backup"
REMOVED = "removed"


class Replacement:
    """New contents for files of a folder. Files whose content stays the same are not touched.

    `finish` moves everything into place; without it nothing changes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changes: dict[str, list[str]] = {}
        """Changed file -> what was done to it."""
        self._pending: dict[str, Path] = {}

    def __enter__(self) -> Replacement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._pending.values():
            file.unlink(missing_ok=True)

    def temporary(self, name: str) -> Path:
        """Where a file's new content is written; a hidden name beside it."""
        file = self.path / name
        return file.with_name(f".{file.name}.{os.getpid()}.new")

    def put(self, name: str, lines: Iterable[bytes], done: Sequence[str]) -> None:
        """Write a file's new content; ``done`` says how it differs from the old one."""
        target = self.temporary(name)
        self._pending[name] = target
        with atomic_write(target, "wb") as stream:
            stream.writelines(lines)
        self.written(name, done)

    def written(self, name: str, done: Sequence[str]) -> None:
        """Take a file that was written to its temporary name."""
        target, old = self.temporary(name), self.path / name
        self._pending[name] = target
        if old.exists() and _same(target, old):
            self._pending.pop(name).unlink()
        else:
            self.changes[name] = list(done) or ["put in form"]

    def finish(self, removed: Iterable[bytes]) -> Path:
        """Keep the originals, write the list of what was removed, and put the new files in place.

        Returns:
            The list's path.
        """
        self._back_up()
        with atomic_write(self.path / REMOVED, "wb") as stream:
            stream.writelines(removed)
        for name in list(self._pending):
            os.replace(self._pending.pop(name), self.path / name)
        return self.path / REMOVED

    def _back_up(self) -> None:
        """Originals of this repair in .backup; an earlier repair's move to .backup.1 and so on."""
        folder = self.path / BACKUP
        if folder.exists():
            numbers = [int(m[1]) for item in self.path.glob(f"{BACKUP}.*") if (m := re.search(r"\.(\d+)$", item.name))]
            os.replace(folder, folder.with_name(f"{BACKUP}.{max(numbers, default=0) + 1}"))
        for name in (*self._pending, REMOVED):
            if (self.path / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                _keep(self.path / name, folder / name)


def _keep(file: Path, backup: Path) -> None:
    """A second name for the original (its own will be given to another file), or a copy where links are not possible."""
    try:
        os.link(file, backup)
    except OSError:
        shutil.copy2(file, backup)


def _same(a: Path, b: Path) -> bool:
    if a.stat().st_size != b.stat().st_size:
        return False
    with open(a, "rb") as left, open(b, "rb") as right:
        while block := left.read(1 << 20):
            if block != right.read(1 << 20):
                return False
    return True


def sorted_times(file: Path, name: str, kept: Collection[bytes], new: Replacement) -> None:
    """Write the usable lines of a ctm file, sorted by utterance; an utterance's lines stay in their order.

    Sorted by sort(1), which needs little memory for files of any size.
    """
    target, lost, repairs = new.temporary(name), 0, dict[str, None]()
    unsorted = target.with_name(target.name + ".unsorted")
    previous, in_order = b"", True
    try:
        with open(unsorted, "wb") as stream:
            for line in damaged_lines(file):
                repairs |= dict.fromkeys(line.repairs)
                key = line.key.encode()
                if key not in kept or not _is_usable(line):
                    lost += 1
                    continue
                in_order, previous = in_order and key >= previous, key
                stream.write(f"{line.key} {line.value}\n".encode())
        _sort(unsorted, target)
    finally:
        unsorted.unlink(missing_ok=True)
    done = [*repairs, *([] if in_order else ["sorted"]), *([f"{lost:,} lines removed"] if lost else [])]
    new.written(name, done)


def _is_usable(line: Line) -> bool:
    if line.reason is not None:
        return False
    try:
        split_ctm_line(f"{line.key} {line.value}", "")
    except VgspeechError:
        return False
    return True


def _sort(source: Path, target: Path) -> None:
    command = ["sort", "-s", "-t", " ", "-k1,1", "-o", str(target), str(source)]
    done = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True)
    if done.returncode:
        target.unlink(missing_ok=True)
        raise DataError(f"cannot be sorted: {done.stderr.strip()}", where=str(source))
    with open(target, "rb") as stream:
        os.fsync(stream.fileno())
