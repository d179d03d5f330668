"""Signals that ask a training to stop: noted by its main process, ignored by the workers that prepare its batches.

Ctrl-C and a scheduler reach every process of the group. A worker that died of it would make the main process fail while it
waits for a batch, instead of stopping with a checkpoint.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopRequest:
    """While it is open, SIGTERM, SIGINT and SIGUSR1 set ``asked`` and do nothing else.

    Args:
        then_exit: the process ends when this closes. They are ignored from then on: one that comes while the process ends
            would otherwise put 143 in the place of its exit status. (A handler will not do, because the interpreter gives
            handled signals back their default action before it ends.)
    """

    def __init__(self, then_exit: bool = False) -> None:
        self.asked = False
        self._then_exit = then_exit
        self._before: list[Any] = []

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._note) for number in STOP_SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(STOP_SIGNALS, self._before, strict=True):
            signal.signal(number, signal.SIG_IGN if self._then_exit else handler)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Stop signals wait until this closes. Processes started meanwhile hold them back for ever, or until they ignore them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stop_signals(worker: int) -> None:
    """For a worker process: its main process tells it when to end (and it ends with it in any case)."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
