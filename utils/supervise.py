#!/usr/bin/env python3
"""Run a recipe so that signals reach all of it at once. Called by utils/recipe.sh: supervise.py COMMAND [ARGUMENTS].

A shell that waits for a command acts on SIGTERM only when the command has ended, hours later perhaps. This process
takes the recipe's place: it runs the recipe in a process group of its own and passes INT, TERM and HUP on to the whole
group; a second signal kills it. If this process is itself killed outright, its guard ends the group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from job_guard import Guard, ignore_signals, signal_group

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    guard = Guard()
    received: list[int] = []
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "VGS_SUPERVISOR": str(os.getpid())},
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, []),
    )
    guard.add(child.pid)

    def on_signal(number: int, _frame: object) -> None:
        received.append(number)
        signal_group(child.pid, number if len(received) == 1 else signal.SIGKILL)

    for number in HANDLED:
        signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    status = child.wait()
    ignore_signals(HANDLED)
    if not received:  # else the guard ends what is left of the group
        guard.remove(child.pid)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
