"""Combine speech sets of one language into a new one.

All their utterances, each of which may be in one set only. Files that not every set has are left out, and named.
"""

from __future__ import annotations

import argparse
import sys

from vgspeech.dataset_tools.options import add_files_options, find_set
from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="combine_data_dir.sh",
        description=__doc__,
        epilog="example: utils/combine_data_dir.sh data/both/speech/train_en data/a/speech/train_en data/b/speech/train_en",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", help="the new set")
    parser.add_argument("sets", nargs="+", help="the sets to combine")
    parser.add_argument("--no-feats", action="store_true", help="leave features out")
    add_files_options(parser)
    args = parser.parse_args()

    from vgspeech.dataset_tools.combine import combine_sets

    sources = [find_set(folder, args) for folder in args.sets]
    report = combine_sets(sources, args.out, features=not args.no_feats)
    for remark in report.remarks:
        print(f"combine_data_dir.sh: {remark}", file=sys.stderr)
    print(f"Combined {len(sources)} sets into {args.out} ({report.utterances:,} utterances)")


if __name__ == "__main__":
    run_main(main)
