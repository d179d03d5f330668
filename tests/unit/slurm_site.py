"""utils/slurm.pl in a work directory with a Slurm of our own making (helpers/fake_slurm.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine_recipe import ROOT, UTILS, clean_environment

# The waits of slurm_array.py and slurm_queue.py, shortened; the test then runs slurm.pl itself.
DRIVER = f"""
import os, runpy, sys, time
sys.path.insert(0, {str(UTILS)!r})
import slurm_array, slurm_queue
slurm_array.ASK_S = (float(os.environ.get("ASK_S", 0.3)),) * 2
slurm_array.HURRY_S = slurm_array.GRACE_S = slurm_queue.SUBMIT_PAUSE_S = 0.1
slurm_array.SETTLE_S = 2.0
sleep = time.sleep
def recorded(seconds):
    with open(os.environ["FAKE_SLURM"] + "/sleeps", "a") as stream:
        print(seconds, file=stream)
    sleep(seconds)
time.sleep = recorded
sys.argv[0] = {str(UTILS / "slurm.pl")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Site:
    """A work directory, its path with a space, and a fake Slurm."""

    def __init__(self, folder: Path) -> None:
        self.work, self.fake, programs = folder / "work dir", folder / "fake", folder / "bin"
        for path in (self.work, self.fake, programs):
            path.mkdir()
        for name in ("sbatch", "squeue", "scontrol", "scancel", "sacct"):
            (programs / name).symlink_to(ROOT / "tests/helpers/fake_slurm.py")
        (self.work / "path.sh").write_text("export FROM_PATH_SH=yes\n")
        self.environment = {**clean_environment(), "FAKE_SLURM": str(self.fake), "PATH": f"{programs}:{os.environ['PATH']}"}

    def knob(self, name: str, text: str) -> None:
        (self.fake / name).write_text(text)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", DRIVER, *words], cwd=self.work, text=True, stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env={**self.environment, **environment})  # fmt: skip

    def run(self, *words: str, expect: int = 0, **environment: str) -> str:
        """Standard error."""
        process = self.start(*words, **environment)
        error = process.communicate(timeout=30)[1]
        assert process.returncode == expect, error
        return error

    def calls(self, command: str) -> list[str]:
        return [line for line in (self.fake / "calls").read_text().splitlines() if line.startswith(command)]

    def output(self, log: str) -> list[str]:
        return [line for line in (self.work / log).read_text().splitlines() if not line.startswith("#")]
