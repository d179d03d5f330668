"""Files that appear whole or not at all, and content hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vgspeech.errors import DataError


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``; on success fsync it and rename it to ``path``.

    On an exception ``path`` stays as it was and the temporary file is removed. Missing parent folders are made. Text is
    UTF-8 with ``\\n`` line ends.

    Args:
        path: the file that shall appear.
        mode: ``"w"`` or ``"wb"``.

    Raises:
        DataError: the disk is full; the message names the file system.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _disk_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


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
    except OSError as error:
        raise _disk_error(error, path) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_error(error: OSError, path: Path) -> Exception:
    """An error that names the file system when the disk is full, else the error itself."""
    import errno

    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    usage = os.statvfs(path.parent)
    free = usage.f_bavail * usage.f_frsize / 2**20
    return DataError(
        f"no space left on the file system of {path.parent} ({free:.1f} MiB free); nothing incomplete was kept",
        where=str(path),
        hint="free some space or use another work directory (--dir), then run the same command again",
    )


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


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def work_path(path: str | os.PathLike[str]) -> str:
    """``path`` as scp files hold it: relative to the work directory (the current one) when inside, else absolute.

    A work directory can then be moved with everything in it.
    """
    absolute, inside = os.path.abspath(path), os.getcwd().rstrip("/") + "/"
    return absolute.removeprefix(inside)
