"""Guards for fuzzed readers: a limit on memory and time, and a watch on which files are opened.

Run as a program it reads kinds of input many times each, in a process of its own::

    python fuzz_guard.py <seed> <folder> <kind>=<cases>...

and ends with status 0, or with the traceback of the first case that crashed, hung, took too much or left the folder.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""A case may take this long (of processor time; a loaded machine is no fault of the reader's)."""
MEMORY = 1 << 30
"""Bytes beyond those in use at the start."""

_roots: tuple[str, ...] = ()
_watching = False


class LeftTheFolder(BaseException):
    """A file outside the folder was opened; no reader can catch this by accident."""


class TooSlow(BaseException):
    """A case took more than ``SECONDS``."""


def limit_memory() -> None:
    """From here on, more than ``MEMORY`` of new address space raises MemoryError."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))


def watch_files(*roots: Path) -> None:
    """Refuse to open files elsewhere than below ``roots`` and where Python and its packages lie (read only)."""
    global _roots
    _roots = tuple(str(root.resolve()) for root in roots)
    sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watching or event not in ("open", "os.remove", "os.rename", "os.mkdir", "subprocess.Popen", "os.system"):
        return
    if event in ("subprocess.Popen", "os.system"):
        raise LeftTheFolder(f"{event}: {args[0]!r}")
    path = args[0]
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a descriptor that is open already
    name = os.path.realpath(os.fsdecode(path))
    writes = event != "open" or bool(isinstance(args[1], str) and set(args[1]) & set("wax+"))
    if not name.startswith(_roots) and (writes or not name.startswith((sys.prefix, sys.base_prefix, "/proc/", "/usr/lib"))):
        raise LeftTheFolder(name)


@contextmanager
def guarded() -> Iterator[None]:
    """One case: watched, and stopped after ``SECONDS`` of processor time."""
    global _watching

    def stop(*_: object) -> None:
        raise TooSlow(f"more than {SECONDS:g} s")

    previous = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    _watching = True
    try:
        yield
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)


def main() -> None:
    seed, folder = int(sys.argv[1]), Path(sys.argv[2])
    import fuzz_cases

    kinds = {kind: int(cases) for kind, _, cases in (word.partition("=") for word in sys.argv[3:])}
    runs = {kind: fuzz_cases.prepare(kind, folder) for kind in kinds}
    assert "torch" not in sys.modules, "readers must not load torch"
    limit_memory()
    watch_files(folder)
    for kind, cases in kinds.items():
        fuzz(kind, cases, seed, folder, runs[kind])
        print(f"{kind}: {fuzz_cases.summary()}")


def fuzz(kind: str, cases: int, seed: int, folder: Path, run: Callable[[Path, int], None]) -> None:
    """Run the cases of one kind."""
    started, slowest = time.process_time(), 0.0
    for case in range(cases):
        before = time.process_time()
        try:
            with guarded():
                run(folder, seed * 1_000_000 + case)
        except BaseException:
            print(f"{kind}: case {case} of seed {seed} failed", file=sys.stderr)
            raise
        slowest = max(slowest, time.process_time() - before)
    print(f"{kind}: {cases} cases, {time.process_time() - started:.1f} s, slowest {slowest:.2f} s")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import fuzz_guard  # the module that the cases import, not this copy of it

    fuzz_guard.main()
