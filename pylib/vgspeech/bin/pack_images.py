"""Packed images of image sets: one job's share of each, or (--merge) the join of all shares."""

from __future__ import annotations

import argparse

from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", action="append", required=True, help="an image set; repeatable")
    parser.add_argument(
        "--shorter-side", type=int, default=256, help="shrink images whose shorter side has more pixels"
    )
    parser.add_argument("--num-jobs", type=int, default=1, help="number of parallel jobs")
    parser.add_argument("--job", type=int, default=1, help="which of them this is, from 1")
    parser.add_argument("--merge", action="store_true", help="join the shares of all jobs")
    parser.add_argument("--max-bad", type=float, default=0.01, help="largest fraction of unusable images")
    args = parser.parse_args()
    if not 1 <= args.job <= args.num_jobs:
        raise UsageError(f"--job {args.job} is not in 1 to --num-jobs {args.num_jobs}")
    from vgspeech.datadir import ImageSet
    from vgspeech.images import merge_packed, pack_images

    for images in map(ImageSet.load, args.data_dir):
        name, jobs = images.path.name, min(args.num_jobs, len(images))
        if args.merge:
            done = merge_packed(images, jobs, args.max_bad)
            listed = f"; {done.rejected:,} could not be used, see {images.path / 'packed.rejected'}" if done.rejected else ""
            clips = f", video frames of {len(images.clips):,} clips among them" if images.clips else ""
            print(f"Packed {done.packed:,} of {done.total:,} images of {name}{clips}{listed}")
        elif args.job <= jobs:
            done = pack_images(images, args.job, jobs, args.shorter_side)
            share = f"{done.packed:,} of {done.total:,} images of {name}, {done.rejected:,} rejected"
            print(f"Job {args.job} of {jobs} packed {share}")


if __name__ == "__main__":
    run_main(main)
