"""Packed images of an image set: one job's share, or (--merge) the join of all shares."""

from __future__ import annotations

import argparse

from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="the image set")
    parser.add_argument(
        "--shorter-side", type=int, default=256, help="shrink images whose shorter side has more pixels"
    )
    parser.add_argument("--num-jobs", type=int, default=1, help="number of parallel jobs")
    parser.add_argument("--job", type=int, default=1, help="which of them this is, from 1")
    parser.add_argument("--merge", action="store_true", help="join the shares of all jobs")
    parser.add_argument("--max-bad", type=float, default=0.01, help="largest fraction of unusable images")
    args = parser.parse_args()
    from vgspeech.datadir import ImageSet
    from vgspeech.images import merge_packed, pack_images

    images = ImageSet.load(args.data_dir)
    if not args.merge:
        done = pack_images(images, args.job, args.num_jobs, args.shorter_side)
        share = f"{done.packed:,} of {done.total:,} images, {done.rejected:,} rejected"
        print(f"Job {args.job} of {args.num_jobs} packed {share}")
        return
    done = merge_packed(images, args.num_jobs, args.max_bad)
    listed = f"; {done.rejected:,} could not be used, see {images.path / 'packed.rejected'}" if done.rejected else ""
    clips = f", video frames of {len(images.clips):,} clips among them" if images.clips else ""
    print(f"Packed {done.packed:,} of {done.total:,} images of {images.path.name}{clips}{listed}")


if __name__ == "__main__":
    run_main(main)
