"""Join the scp files of parallel jobs into one, sorted in C order; a key in two of them is an error."""

from __future__ import annotations

import argparse

from vgspeech.archive import merge_scps
from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", help="scp files of the jobs")
    parser.add_argument("out", help="the joined scp file")
    args = parser.parse_args()
    count = merge_scps(args.parts, args.out)
    print(f"Joined {len(args.parts):,} scp files into {args.out} ({count:,} records)")


if __name__ == "__main__":
    run_main(main)
