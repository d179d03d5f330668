"""Locks of the stage ledger, one for each stamp folder.

A run holds a shared lock on every stamp folder that it used and an exclusive one while it runs a stage of that folder:
two experiments may share their data directories, but nobody rewrites what another run reads. The lock belongs to an
open file of the recipe's shell, which its children inherit: it is held as long as anything of the run lives, no longer.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

LOCKED = 75  # exit status
LOCK_PATIENCE_S = 3.0  # others hold the exclusive lock this briefly while they check


def take_lock(title: str, stamps: Path, fd: int) -> bool:
    """Lock the stamp folder through the shell's file descriptor: True if exclusive, False if shared; exits if busy."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
                return kind == fcntl.LOCK_EX
            except BlockingIOError:
                continue
        if time.monotonic() > deadline:
            busy(title, stamps, fd)
        time.sleep(0.05)


def busy(title: str, stamps: Path, fd: int) -> NoReturn:
    """Exit because another run holds the lock, and say which."""
    noted = os.pread(fd, 4096, 0).decode(errors="replace").split()
    holders = lock_holders(fd)
    if len(noted) >= 2 and (noted[1] != os.uname().nodename or alive(int(noted[0])) or not holders):
        who = f"pid {noted[0]} on {noted[1]}"
    else:
        who = f"pid {', '.join(map(str, holders)) or 'unknown'} on {os.uname().nodename}"
    print(
        f"{title}: already running: {who} (lock {stamps}/lock); wait for it or end it",
        file=sys.stderr,
    )
    sys.exit(LOCKED)


def alive(pid: int) -> bool:
    """Is there a process of this id on this machine? One that has ended but was not waited for yet is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    with contextlib.suppress(OSError):  # without /proc
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return True


def lock_holders(fd: int) -> list[int]:
    """Process ids on this machine that have the lock file open, ours excepted (Linux; else empty)."""
    this = os.fstat(fd)
    ours = {os.getpid(), os.getppid(), int(os.environ.get("VGS_SUPERVISOR") or 0)}
    holders = set()
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            other = os.stat(link)
            if (other.st_dev, other.st_ino) == (this.st_dev, this.st_ino):
                holders.add(int(link.split("/")[2]))
    return sorted(holders - ours)


def share(fd: int) -> None:
    """Turn the lock into a shared one."""
    fcntl.flock(fd, fcntl.LOCK_SH)


def note_owner(fd: int, pid: int) -> None:
    """Write into the lock file who holds it."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{pid} {os.uname().nodename} since {time.ctime()}\n".encode(), 0)
