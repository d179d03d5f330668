"""For all tests."""

from __future__ import annotations

import os
import signal

import pytest

# Started in the background by a script, this process ignores SIGINT, and so would every recipe that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, rather than skip, what belongs to the nightly run or needs an environment of its own."""
    wanted = {"nightly": os.environ.get("VGS_NIGHTLY") == "1", "fastabx": "VGS_FASTABX" in os.environ}
    left_out = {item for item in items if any(item.get_closest_marker(name) and not on for name, on in wanted.items())}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
