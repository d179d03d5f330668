"""Runs recipes as a user does, on a corpus of a few scenes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCENES = {"train_scenes": 40, "dev_scenes": 12, "test_scenes": 16, "test_unseen_scenes": 12}
TINY = [word for name, count in SCENES.items() for word in ("--mini-set", f"{name}={count}")]
TINY += ["--set", "training.epochs=2", "--set", "training.precision=float32", "--nj", "1"]

STAGES = [
    "data",
    "features",
    "images",
    "statistics",
    "train",
    "embed",
    "retrieval",
    "matchmaps",
    "units",
    "lexicon",
    "report",
]


def command(recipe: str, work: Path, *options: str) -> list[str]:
    """The words of a recipe's command line."""
    return [str(ROOT / "egs" / recipe / "run.sh"), "--dir", str(work), *options]


def run(recipe: str, work: Path, *options: str, status: int = 0) -> str:
    """Run a recipe, insist on its exit status, and return all that it printed."""
    done = subprocess.run(
        command(recipe, work, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=work.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == status, f"exit {done.returncode} instead of {status}:\n{done.stdout[-5000:]}"
    return done.stdout
