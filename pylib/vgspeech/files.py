"""Files that appear whole or not at all, and content hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from vgspeech.errors import DataError

MAKE_ROOM = "free some space or use another work directory (--dir), then run the same command again"


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w", private: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``; on success fsync it and rename it to ``path``.

    On an exception ``path`` stays as it was and the temporary file is removed. Missing parent folders are made. Text is
    UTF-8 with ``\\n`` line ends.

    Args:
        path: the file that shall appear.
        mode: ``"w"`` or ``"wb"``.
        private: others than its owner may not read the file (mode 0600), at no moment.

    Raises:
        DataError: the disk is full; the message names the file system.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode, opener=_open_private if private else None, **text) as stream:  # type: ignore[call-overload]
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except Exception as error:
        if _is_full(error):
            raise no_space_left(path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make an empty folder beside ``path``; on success fsync what was put into it and let it take ``path``'s place.

    On an exception ``path`` stays as it was and the new folder is removed. A folder that was there is moved aside first
    and removed last, so ``path`` never holds a mixture of old and new files.

    Args:
        path: the folder that shall appear.

    Raises:
        DataError: the disk is full; the message names the file system.
    """
    path = Path(os.path.abspath(path))
    new, old = (path.with_name(f".{path.name}.{os.getpid()}.{suffix}") for suffix in ("tmp", "old"))
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        for item in sorted(new.rglob("*")):
            if item.is_file() and not item.is_symlink():
                _sync(item)
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
    except Exception as error:
        if _is_full(error):
            raise no_space_left(path) from error
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Append a line to a text file that grows while a command runs, such as a log.

    Raises:
        DataError: the disk is full; the message names the file system.
    """
    try:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        if _is_full(error):
            raise no_space_left(path) from error
        raise


def _is_full(error: BaseException | None) -> bool:
    """Is a full disk behind an error? (torch.save turns that into an error of its own, raised while handling it.)"""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def no_space_left(path: str | os.PathLike[str]) -> DataError:
    """The error for a disk that is full when ``path`` is written: names the file system and what is free there."""
    return DataError(
        f"no space left on the file system {file_system(path)} ({free_bytes(path):,} bytes free); nothing incomplete was kept",
        where=str(path),
        hint=MAKE_ROOM,
    )


def file_system(path: str | os.PathLike[str]) -> str:
    """Mount point of the file system that ``path``, which need not exist, lies on."""
    place = _existing(path)
    while not os.path.ismount(place):
        place = place.parent
    return str(place)


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes that the user may still write there; ``path`` need not exist."""
    usage = os.statvfs(_existing(path))
    return usage.f_bavail * usage.f_frsize


def _existing(path: str | os.PathLike[str]) -> Path:
    place = Path(path).resolve()
    while not place.exists():
        place = place.parent
    return place


def need_space(path: str | os.PathLike[str], needed: float, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        path: where it will be written.
        needed: expected size in bytes.
        what: what will be written, for the message, for example ``"features of train_en"``.

    Raises:
        DataError: there is less room; names the file system, needed and free bytes.
    """
    free = free_bytes(path)
    if free < needed:
        problem = f"{what} need about {needed:,.0f} bytes; the file system {file_system(path)} has {free:,} bytes free"
        raise DataError(problem, where=str(path), hint=MAKE_ROOM)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as JSON, atomically: keys in the given order, two-space indent, non-ASCII text readable."""
    with atomic_write(path) as stream:
        json.dump(value, stream, ensure_ascii=False, indent=2, allow_nan=False)
        stream.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON; the message names file, line and column.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            return json.load(stream)
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path)) from error
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} (column {error.colno})", where=f"{path}:{error.lineno}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text (byte {error.start})", where=str(path)) from error


def open_for_reading(path: str | os.PathLike[str]) -> int:
    """A descriptor of a file that is one: a folder is refused when it is opened, and a pipe does not make us wait.

    Raises:
        OSError: no such file, or something else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a file", os.fspath(path))
    return descriptor


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def work_path(path: str | os.PathLike[str]) -> str:
    """``path`` as scp files hold it: relative to the work directory (the current one) when inside, else absolute.

    A work directory can then be moved with everything in it.
    """
    return _work_path(os.fspath(path), os.getcwd())


def work_paths(paths: Mapping[str, str | os.PathLike[str]]) -> dict[str, str]:
    """``work_path`` of every value of a table."""
    inside = os.getcwd()
    return {key: _work_path(os.fspath(path), inside) for key, path in paths.items()}


def _work_path(path: str, inside: str) -> str:
    folder, slash, name = path.rpartition("/")
    if slash and name not in ("", ".", ".."):
        return _work_folder(folder + slash, inside) + name
    return os.path.abspath(path).removeprefix(inside.rstrip("/") + "/")


@lru_cache(maxsize=4096)
def _work_folder(folder: str, inside: str) -> str:
    """What stands before the names of a folder's files; remembered, because tables name many files of a folder."""
    absolute = os.path.join(os.path.normpath(os.path.join(inside, folder)), "")
    return absolute.removeprefix(inside.rstrip("/") + "/")
