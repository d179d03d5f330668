"""Read a training configuration with its changes, so that a slip in it is known before anything has run."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="changes one entry; repeatable")
    parser.add_argument("config", type=Path, help="YAML file of the experiment")
    args = parser.parse_args()
    load_config(ExperimentConfig, args.config, args.set)
    print(f"{args.config}: every entry is known and of the right kind, {len(args.set)} of them changed")


if __name__ == "__main__":
    run_main(main)
