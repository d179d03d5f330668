"""Time of ABX errors against fastabx's on the same items, one core. A script, not a test.

OMP_NUM_THREADS=1 python tests/bench/bench_abx.py --fastabx ENVIRONMENT/bin/python [--files 120] [--metric angular]

ENVIRONMENT holds fastabx (Python 3.12: python3.12 -m venv ENVIRONMENT; ENVIRONMENT/bin/pip install fastabx). Both sides
compute everything from the item file and the features on; processor time, within and across speakers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from vgspeech.units.abx import Mode, abx_errors, plan, tokens_of
from vgspeech.units.abx_items import Item, read_items, write_items
from vgspeech.units.clock import CodeClock
from vgspeech.units.warping import METRICS

HELPER = Path(__file__).parents[1] / "helpers" / "fastabx_scores.py"
DIM, SPEAKERS, SOUNDS = 64, 6, 20


def make(files: int, probabilities: bool) -> tuple[list[Item], dict[str, np.ndarray]]:
    """Five noisy phones in six contexts by six speakers, 60 to 150 ms each; frames of the KL distance sum to 1."""
    random = np.random.default_rng(0)
    shapes = random.normal(size=(5, 20, DIM))
    items, features = [], {}
    for f in range(files):
        end, parts = 0.0, []
        for _ in range(SOUNDS):
            phone, frames = int(random.integers(5)), int(random.integers(6, 16))
            onset, end = end, round(end + frames / 100, 2)
            labels = (f"p{phone}", f"l{random.integers(3)}", f"r{random.integers(2)}", f"s{f % SPEAKERS}")
            items.append(Item(f"f{f:04d}", onset, end, *labels))
            parts.append(random.normal(size=(frames, DIM)) + 0.5 * shapes[phone, :frames])
        frames = np.concatenate(parts)
        if probabilities:
            frames = np.exp(frames)
            frames /= frames.sum(1, keepdims=True)
        features[f"f{f:04d}"] = frames.astype(np.float32)
    return items, features


def ours(item_file: Path, features: dict[str, np.ndarray], mode: Mode, metric: str) -> tuple[float, float]:
    """Error and seconds."""
    started = time.process_time()
    items = read_items(item_file)
    contexts = plan(items, [mode])
    tokens = tokens_of(items, contexts, features, CodeClock(0.01, 0.005), metric)  # type: ignore[arg-type]
    error = abx_errors(contexts, tokens, metric)[mode]["error"]  # type: ignore[arg-type]
    return error, time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastabx", required=True, help="Python of an environment with fastabx")
    parser.add_argument("--files", type=int, default=120)
    parser.add_argument("--metric", default="angular", choices=METRICS[:3])
    args = parser.parse_args()
    items, features = make(args.files, args.metric == "kl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_items(folder / "bench.item", items)
        np.savez(folder / "bench.npz", **features)  # type: ignore[arg-type]
        command = [args.fastabx, str(HELPER), str(folder / "bench.item"), str(folder / "bench.npz"), "100", args.metric]
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=clean).stdout)
        for mode in ("within", "across"):
            error, seconds = ours(folder / "bench.item", features, mode, args.metric)  # type: ignore[arg-type]
            other = theirs[mode]
            print(
                f"{mode}: {100 * error:.4f} % in {seconds:.2f} s; fastabx {100 * other['error']:.4f} % in "
                f"{other['processor_s']:.2f} s; ratio {seconds / other['processor_s']:.2f}"
            )


if __name__ == "__main__":
    main()
