"""Progress for people and for log files: a bar on a terminal, else one line about every 30 seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LOG_INTERVAL_S = 30.0


def track(items: Iterable[Item], total: int, what: str, unit: str = "items") -> Iterator[Item]:
    """Yield ``items`` and report progress on standard error.

    Args:
        items: what to go through.
        total: how many there are.
        what: what is being done, for example ``"features"``.
        unit: what one item is, in the plural.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=f" {unit}", leave=False)
        return
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LOG_INTERVAL_S:
            last = now
            rate = done / (now - started)
            left = (total - done) / rate
            print(f"{what}: {done}/{total} {unit}, {rate:.1f} a second, {left:.0f} s left", file=sys.stderr, flush=True)
