"""What a person sees when a command ends in other ways than by returning."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("raised", "traceback"), [("KeyboardInterrupt", False), ("ValueError('a fault')", True)])
def test_only_faults_show_a_traceback(raised: str, traceback: bool) -> None:
    """Also before ``run_main``: the exception stands for one that comes while a command imports."""
    code = f"import vgspeech.bin; raise {raised}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and ("Traceback" in done.stderr) == traceback
