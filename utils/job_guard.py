"""Process groups that die with the process that started them, even when that one is killed outright.

A guard is a small forked process that reads a pipe. Its owner writes the process groups it starts and ends; when the
owner dies, for whatever reason, the pipe closes and the guard ends the groups that are left. (A signal handler cannot
do this: SIGKILL and the out-of-memory killer give no warning.) Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

GRACE_S = 5.0  # between SIGTERM and SIGKILL


class Guard:
    """Watches over process groups on behalf of the calling process. Make it before starting threads."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        if os.fork() == 0:
            _watch(reading)
        os.close(reading)
        self._pipe = writing

    def add(self, group: int) -> None:
        """End ``group`` when the calling process dies."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """``group`` has ended or is no longer ours."""
        self._tell(f"-{group}\n")

    def _tell(self, message: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, message.encode())


def _watch(reading: int) -> None:
    """Body of the guard: follow the owner's messages to the end of the pipe, then end what is left. Never returns."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(reading, 0)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.closerange(3, 4096)  # above all the locks and the writing end of the pipe
    groups: set[int] = set()
    buffer = b""
    while chunk := os.read(0, 4096):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    end_groups(groups, GRACE_S)
    os._exit(0)


def ignore_signals(numbers: Iterable[int]) -> None:
    """For a process whose exit status is known: one that comes while it ends shall not replace that status.

    A handler will not do: the interpreter gives handled signals back their default action before it ends.
    """
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False if it is gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_groups(groups: set[int], grace_s: float) -> None:
    """SIGTERM to each group, and SIGKILL to those that are still there after ``grace_s`` seconds."""
    left = {group for group in groups if signal_group(group, signal.SIGTERM)}
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if signal_group(group, 0)}
    for group in left:
        signal_group(group, signal.SIGKILL)
