"""Lay out a new set for a trained model, and print what has to be made before it can be embedded.

One line each: ``features SET``, ``images SPLIT``, then ``split SPLIT scored`` or ``split SPLIT unscored``. What people need to
know goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vgspeech.applied import find_splits, lay_out, sets_left_out
from vgspeech.config import ExperimentConfig, FrontEndConfig, load_config, save_config
from vgspeech.errors import UsageError, run_main

VERSION = 1


def front_end_of(config: ExperimentConfig) -> FrontEndConfig:
    """That of the model; training writes it into config.yaml."""
    if config.front_end_settings is not None:
        return config.front_end_settings
    from vgspeech.models import grounding  # brings torch, which takes seconds

    return grounding.front_end_of(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", help="one split instead of all")
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("data", type=Path, help="the set: images/<split>, speech/<split>_<language>")
    parser.add_argument("out", type=Path, help="where to lay it out; front_end.yaml goes there too")
    args = parser.parse_args()
    config = load_config(ExperimentConfig, args.model / "config.yaml")
    splits = find_splits(args.data, config)
    if args.split is not None:
        if args.split not in splits:
            raise UsageError(f"--split: no split {args.split} that the model can be applied to (there are: {', '.join(splits)})")
        splits = [args.split]
    else:
        for name in sets_left_out(args.data, splits, config):
            print(f"left out: {name}, the model's languages are {', '.join(config.languages)}", file=sys.stderr)
    front_end = front_end_of(config)
    save_config(front_end, args.out / "front_end.yaml")
    for split in splits:
        plan = lay_out(args.data, split, config, front_end, args.out)
        for name, reason in plan.features.items():
            print(f"{name}: {reason}: made for the model", file=sys.stderr)
            print(f"features {name}")
        if plan.pack:
            print(f"images {split}")
        for language in plan.unpaired:
            print(f"{split}: not scored, no {language} caption says which of the images is its own", file=sys.stderr)
        print(f"split {split} {'unscored' if plan.unpaired else 'scored'}")


if __name__ == "__main__":
    run_main(main)
