"""Exceptions that carry what failed, where, and what to do next, and the exit codes they map to.

A recipe's user reads these messages, not tracebacks: every error that a wrong input can cause is one of these classes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DRIFT = 3
EXIT_DATA = 4
EXIT_LOCKED = 75
EXIT_INTERRUPTED = 85


class VgspeechError(Exception):
    """Base of all expected errors.

    Args:
        what: what failed and why, one sentence.
        where: file, ``file:line`` or utterance id it concerns.
        hint: what the user can do next.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class UsageError(VgspeechError):
    """The command line is wrong."""

    exit_code = EXIT_USAGE


class ConfigError(VgspeechError):
    """A configuration file or override is wrong: unknown key, wrong type, impossible value."""

    exit_code = EXIT_USAGE


class DriftError(VgspeechError):
    """Something changed since the last run, so that old and new results would be mixed."""

    exit_code = EXIT_DRIFT


class DataError(VgspeechError):
    """Input data is missing or invalid."""

    exit_code = EXIT_DATA


class LockedError(VgspeechError):
    """Another process is at work there."""

    exit_code = EXIT_LOCKED


class Interrupted(VgspeechError):
    """The run was stopped and can be resumed by the same command."""

    exit_code = EXIT_INTERRUPTED


def run_main(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and exit: expected errors become one message and their exit code, others a traceback.

    Args:
        main: the command; its return value, if any, is the exit status.
    """
    try:
        code = main()
    except VgspeechError as error:
        name = sys.argv[0].rsplit("/", 1)[-1].removesuffix(".py")
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code or 0)


def quiet_interrupts() -> None:
    """Let Ctrl-C end this process without a traceback also while it imports, before ``run_main`` is reached."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = report
