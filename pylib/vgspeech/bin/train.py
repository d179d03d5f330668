"""Train a grounding model, or go on with a training that was stopped."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import DriftError, UsageError, run_main
from vgspeech.files import read_json

VERSION = 1


def experiment(args: argparse.Namespace) -> ExperimentConfig:
    """The configuration file with what the command line changes."""
    start = [] if args.init_from is None else [f"training.init_from={args.init_from}"]
    config = load_config(ExperimentConfig, args.config, [*args.set, *start])
    if args.seed is not None:
        config = dataclasses.replace(config, seed=args.seed)
    return config


def thread_count(wanted: int | None, out: Path) -> int:
    """Threads of this process: as given, else as at the first start, else OMP_NUM_THREADS, else one a processor."""
    record = out / "training.json"
    recorded = int(read_json(record)["threads"]) if record.exists() else None
    if wanted is not None and recorded not in (None, wanted):
        hint = "leave --num-threads out, or train afresh with --force (the old result is kept aside)"
        raise DriftError(f"training was started with {recorded} threads, not {wanted}", where=str(record), hint=hint)
    return wanted or recorded or int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="changes one entry; repeatable")
    parser.add_argument("--seed", type=int, help="of everything random (default: the configuration's)")
    parser.add_argument("--init-from", metavar="PATH", help="start from the weights of this model directory or file")
    parser.add_argument("--data", type=Path, required=True, help="corpus directory, data/<corpus>")
    parser.add_argument("--train-split", default="train")
    parser.add_argument("--dev-split", default="dev", help="best.pt is chosen on it; 'none' takes the last epoch")
    parser.add_argument("--out", type=Path, required=True, help="model directory")
    parser.add_argument(
        "--ngpu", type=int, default=0, help="0: CPU; else one GPU for this process (torchrun starts several)"
    )
    parser.add_argument("--num-threads", type=int, help="CPU threads")
    args = parser.parse_args()
    if args.num_threads is not None and args.num_threads < 1:
        raise UsageError(f"--num-threads must be at least 1, not {args.num_threads}")

    import torch

    from vgspeech.training.distributed import join, leave
    from vgspeech.training.loop import train

    if args.ngpu > 0 and not torch.cuda.is_available():
        raise UsageError("no GPU can be used", hint="--ngpu 0 trains on the processor")
    torch.set_num_threads(thread_count(args.num_threads, args.out))
    processes = join(args.ngpu)
    dev_split = None if args.dev_split == "none" else args.dev_split
    try:
        closing = train(
            experiment(args),
            args.data,
            args.out,
            processes,
            train_split=args.train_split,
            dev_split=dev_split,
            then_exit=True,
        )
    finally:
        leave()
    if processes.first:
        print(closing)


if __name__ == "__main__":
    run_main(main)
