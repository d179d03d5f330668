"""Make a smaller speech set of a speech set.

<number> counts utterances, or speakers or images, which are taken whole. Which ones is the same in every run and on
every machine, and a smaller number takes some of those of a larger one: the smallest hashes of their ids come first, so
that the same images are taken from sets of two languages. For splits, take test, then dev apart from it, then the rest:

  utils/subset_data_dir.sh --images data/x/speech/all_en 1000 data/x/speech/test_en
  utils/subset_data_dir.sh --images --apart-from data/x/speech/test_en data/x/speech/all_en 500 data/x/speech/dev_en
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vgspeech.dataset_tools.options import add_files_options, find_set
from vgspeech.errors import UsageError, run_main

if TYPE_CHECKING:
    from vgspeech.dataset_tools.selection import Selection

VERSION = 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="subset_data_dir.sh",
        description=__doc__,
        epilog="example: utils/subset_data_dir.sh data/mini/speech/train_en 100 data/mini/speech/train100_en",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", help="the speech set")
    parser.add_argument("number", nargs="?", type=int, help="how many; not with a list; all without it (--apart-from)")
    parser.add_argument("out", help="the new set")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--speakers", action="store_true", help="<number> speakers, whole")
    what.add_argument("--images", action="store_true", help="<number> images, with all their utterances")
    what.add_argument("--shortest", action="store_true", help="the <number> shortest utterances")
    what.add_argument("--first", action="store_true", help="the first <number> utterances")
    what.add_argument("--last", action="store_true", help="the last <number> utterances")
    what.add_argument("--utt-list", type=Path, metavar="FILE", help="the utterances at the start of its lines")
    what.add_argument("--spk-list", type=Path, metavar="FILE", help="the speakers at the start of its lines")
    what.add_argument("--image-list", type=Path, metavar="FILE", help="the images at the start of its lines")
    apart = "leave out utterances whose image is in this set, too (may be repeated)"
    parser.add_argument("--apart-from", action="append", default=[], metavar="SET", help=apart)
    parser.add_argument("--seed", type=int, default=0, help="take others")
    add_files_options(parser)
    return parser.parse_intermixed_args()


def selection_of(args: argparse.Namespace) -> Selection:
    from vgspeech.dataset_tools.selection import Selection

    listed = args.utt_list or args.spk_list or args.image_list
    if (listed is None) == (args.number is None) and not (listed is None and args.apart_from):
        raise UsageError("give either a number or a list", hint="subset_data_dir.sh --help shows examples")
    return Selection(
        unit="speaker" if args.speakers or args.spk_list else "image" if args.images or args.image_list else "utterance",
        count=args.number,
        order="shortest" if args.shortest else "first" if args.first else "last" if args.last else "hash",
        seed=args.seed,
        listed=listed,
        apart_from=args.apart_from,
    )


def main() -> None:
    args = parse()

    from vgspeech.dataset_tools.selection import subset_set

    kept, total = subset_set(find_set(args.set, args), selection_of(args), args.out)
    print(f"Took {kept:,} of {total:,} utterances of {args.set} into {args.out}")


if __name__ == "__main__":
    run_main(main)
