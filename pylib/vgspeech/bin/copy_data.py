"""Copy a speech set, with a prefix before all ids of utterances or speakers when wanted.

Features are not copied: the new scp files point to the same archives.
"""

from __future__ import annotations

import argparse

from vgspeech.dataset_tools.options import add_files_options, find_set
from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="copy_data_dir.sh",
        description=__doc__,
        epilog="example: utils/copy_data_dir.sh --utt-prefix b- --spk-prefix b- data/b/speech/train_en data/b2/speech/train_en",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", help="the speech set")
    parser.add_argument("out", help="the new set")
    parser.add_argument("--utt-prefix", default="", help="put before the ids of utterances; utt2uniq keeps the old ones")
    parser.add_argument("--spk-prefix", default="", help="put before the ids of speakers (give both the same prefix)")
    add_files_options(parser)
    args = parser.parse_args()

    from vgspeech.dataset_tools.renaming import copy_set

    source = find_set(args.set, args)
    count = copy_set(source, args.out, utt_prefix=args.utt_prefix, spk_prefix=args.spk_prefix)
    print(f"Copied {args.set} to {args.out} ({count:,} utterances)")


if __name__ == "__main__":
    run_main(main)
