"""Read a configuration, of a training or of the mini corpus, with its changes: a slip is known before anything has run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from vgspeech.config import ExperimentConfig, FrontEndConfig, load_config
from vgspeech.corpora.mini.config import MiniCorpusConfig
from vgspeech.errors import run_main
from vgspeech.model_check import check_model_config
from vgspeech.pretrained import checked_copy, weights_folder
from vgspeech.training.check import check_training_config

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mini-corpus", action="store_true", help="the file is one of the mini corpus")
    for option in ("--set", "--mini-set"):
        parser.add_argument(option, action="append", default=[], metavar="A.B=C", help="changes one entry; repeatable")
    parser.add_argument("--front-end", type=Path, help="settings of its features (YAML); the model must be one that reads them")
    parser.add_argument("config", type=Path, help="YAML file")
    args = parser.parse_args()
    if args.mini_corpus:
        load_config(MiniCorpusConfig, args.config, args.mini_set, option="--mini-set")
    else:
        config = load_config(ExperimentConfig, args.config, args.set)
        if args.front_end is not None:
            config = replace(config, front_end_settings=load_config(FrontEndConfig, args.front_end))
        check_model_config(config)
        check_training_config(config)
        checked_copy(config.image.weights, weights_folder())
    changed = len(args.set + args.mini_set)
    print(f"{args.config}: every entry is known, of the right kind and possible, {changed} of them changed")


if __name__ == "__main__":
    run_main(main)
