"""Stop signals at awkward moments of the training command: while a checkpoint is written, and while the process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from micro_corpus import make_corpus, micro_config
from vgspeech.config import save_config

DRIVER = """
import atexit, os, signal, sys
from vgspeech.errors import run_main
from vgspeech.bin import train
from vgspeech.training import loop

def signalled(function):
    def first_the_signal(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return function(*arguments)
    return first_the_signal

moments = sys.argv.pop(1)
if "step" in moments:
    loop.backward = signalled(loop.backward)
if "checkpoint" in moments:
    loop.save_checkpoint = signalled(loop.save_checkpoint)

@atexit.register
def at_the_end():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    # Handlers of Python's own end before the process does, so only this holds to the end.
    print("ignored:", signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, flush=True)

run_main(train.main)
"""


def test_a_second_signal_changes_no_exit_status(tmp_path: Path) -> None:
    """The first one at a step, more while the checkpoint is written and while the process ends; then a run to the end."""
    corpus = make_corpus(tmp_path / "corpus", {"train": 5})
    config = tmp_path / "micro.yaml"
    save_config(micro_config(epochs=1, batch_size=3), config)
    for moments, status, said in (
        ("step checkpoint", 85, "stopped by a signal in epoch 1, after 1 steps"),
        ("", 0, "Trained 1"),
    ):
        words = [
            "--config",
            config,
            "--data",
            corpus,
            "--num-threads",
            1,
            "--dev-split",
            "none",
            "--out",
            tmp_path / "out",
        ]
        command = [sys.executable, "-c", DRIVER, moments, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status and said in done.stdout, done.stdout + done.stderr
        assert "ignored: True" in done.stdout and "Traceback" not in done.stderr
