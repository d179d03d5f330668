"""Command lines: each module parses its arguments, calls one library function and writes files.

Every module declares ``VERSION``, an integer that is raised when its output changes; the stage ledger compares it.
"""

from vgspeech.errors import quiet_interrupts

quiet_interrupts()
