"""Features of speech sets: one job's share of each, or (--merge) the join of all shares."""

from __future__ import annotations

import argparse
import os

from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", action="append", required=True, help="a speech set; repeatable")
    parser.add_argument("--config", required=True, help="front end (YAML)")
    parser.add_argument("--num-jobs", type=int, default=1, help="number of parallel jobs")
    parser.add_argument("--job", type=int, default=1, help="which of them this is, from 1")
    parser.add_argument("--merge", action="store_true", help="join the shares of all jobs")
    parser.add_argument("--max-bad", type=float, default=0.01, help="largest fraction of unusable recordings")
    parser.add_argument("--allow-pipes", action="store_true", help="run commands that stand in wav.scp")
    args = parser.parse_args()
    if not 1 <= args.job <= args.num_jobs:
        raise UsageError(f"--job {args.job} is not in 1 to --num-jobs {args.num_jobs}")
    # The same bytes for any number of jobs and processors: one thread, set before numpy loads its linear algebra.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from vgspeech.config import FrontEndConfig, load_config
    from vgspeech.datadir import SpeechSet
    from vgspeech.features import make_features, merge_features, rejected_list

    config = load_config(FrontEndConfig, args.config)
    for speech in map(SpeechSet.load, args.data_dir):
        jobs = min(args.num_jobs, len(speech))
        if args.merge:
            done = merge_features(speech, config, jobs, args.max_bad)
            sentence = f"{done.made:,} of {done.total:,} utterances of {speech.name} ({done.seconds / 3600:.2f} h)"
            listed = f"; {done.rejected:,} could not be used, see {rejected_list(speech, config.name)}" if done.rejected else ""
            print(f"Made {config.name} features for {sentence}{listed}")
        elif args.job <= jobs:
            done = make_features(speech, config, args.job, jobs, allow_pipes=args.allow_pipes)
            share = f"{done.made:,} of {done.total:,} utterances of {speech.name} ({done.seconds / 3600:.2f} h)"
            print(f"Job {args.job} of {jobs} made {config.name} features for {share}, {done.rejected:,} rejected")


if __name__ == "__main__":
    run_main(main)
