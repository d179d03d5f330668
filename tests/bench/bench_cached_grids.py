"""An epoch with a frozen image encoder: its grids computed in every step, or once (training.cache_grids).

    . path.sh; cd WORK; python tests/bench/bench_cached_grids.py [--split dev] data/mini

The configuration is egs/own/conf/pretrained.yaml with random weights, which take as long as trained ones. Both variants run in
one process, one after the other, on the same batches. A script, not a test.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import tempfile
from pathlib import Path

import torch

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.datadir import present_languages
from vgspeech.training import loop
from vgspeech.training.distributed import Processes

CONFIG = Path(__file__).resolve().parents[2] / "egs/own/conf/pretrained.yaml"


def run(config: ExperimentConfig, data: Path, split: str) -> tuple[float, float, float]:
    """Seconds before the first epoch for the grids, seconds of the last epoch, and its loss."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        loop.train(config, data, out, Processes(0, 1, torch.device("cpu")), train_split=split, dev_split=None)
        last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
        cached = re.search(r"saw all images once: .* MB, ([\d.]+) s", (out / "train.log").read_text())
    return float(cached[1]) if cached else 0.0, last["seconds"], last["loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="dev", help="images and captions to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("data", type=Path, help="a corpus directory with features and packed images")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = ["image.weights=none", "training.precision=float32", f"training.epochs={args.epochs}"]
    config = load_config(ExperimentConfig, CONFIG, settings)
    languages = tuple(path.name.rpartition("_")[2] for path in sorted((args.data / "speech").glob(f"{args.split}_*")))
    config = dataclasses.replace(config, languages=languages)
    assert present_languages(config, args.data, args.split)
    found = {}
    for cached in (False, True):
        training = dataclasses.replace(config.training, cache_grids=cached)
        found[cached] = run(dataclasses.replace(config, training=training), args.data, args.split)
        before, epoch, loss = found[cached]
        print(f"{'once' if cached else 'every step':<12}{before:8.1f} s before, {epoch:8.1f} s an epoch, loss {loss:.6f}")
    ratio = found[False][1] / found[True][1]
    worth = found[True][0] / max(found[False][1] - found[True][1], 1e-9)
    print(f"An epoch is {ratio:.1f} times as fast; the grids have paid after {worth:.1f} epochs.")


if __name__ == "__main__":
    main()
