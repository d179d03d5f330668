"""Split a speech set into parts for parallel jobs: <set>/split<N>/1 to N, each a whole speech set.

A speaker's utterances stay together (--by-utterance: they need not). With fewer speakers than parts there are fewer
parts; standard output is the number of parts, so: nj=$(utils/split_data_dir.sh data/train_en 8).
"""

from __future__ import annotations

import argparse
import sys

from vgspeech.dataset_tools.options import add_files_options, find_set
from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="split_data_dir.sh",
        description=__doc__,
        epilog="example: utils/split_data_dir.sh data/mini/speech/train_en 8",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", help="the speech set")
    parser.add_argument("parts", type=int, help="number of parts")
    parser.add_argument("--by-utterance", action="store_true", help="split speakers, too; makes <set>/split<N>utt")
    add_files_options(parser)
    args = parser.parse_args()

    from vgspeech.dataset_tools.split import split_set

    report = split_set(find_set(args.set, args), args.parts, by="utterance" if args.by_utterance else "speaker")
    if report.remark:
        print(f"split_data_dir.sh: {report.remark}", file=sys.stderr)
    sentence = f"Split {report.utterances:,} utterances into {report.parts} parts in {report.folder}"
    print(f"split_data_dir.sh: {sentence}", file=sys.stderr)
    print(report.parts)


if __name__ == "__main__":
    run_main(main)
