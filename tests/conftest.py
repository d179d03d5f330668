"""For all tests."""

from __future__ import annotations

import signal

# Started in the background by a script, this process ignores SIGINT, and so would every recipe that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
