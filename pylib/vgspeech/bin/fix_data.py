"""Repair a speech set in place and say why each lost utterance went.

Files are sorted, line ends, blanks and byte order marks put right; utterances that a table lacks, or has in no usable
line, go. <set>/removed lists them with all reasons; the originals of changed files are kept in <set>/.backup.
"""

from __future__ import annotations

import argparse

from vgspeech.dataset_tools.options import add_files_options, find_set
from vgspeech.errors import run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fix_data_dir.sh",
        description=__doc__,
        epilog="example: utils/fix_data_dir.sh --images data/mini/images/train data/mini/speech/train_en",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", help="the speech set")
    parser.add_argument("--images", help="image set that it belongs to: utterances of other images go")
    parser.add_argument("--feats", action="store_true", help="utterances without features go")
    parser.add_argument("--check-audio", action="store_true", help="utterances whose sound file is missing or empty go")
    add_files_options(parser)
    args = parser.parse_args()

    from vgspeech.dataset_tools.fix import fix_set, say

    source = find_set(args.set, args)
    report = fix_set(source, images=args.images, features=args.feats, check_audio=args.check_audio)
    print("\n".join(say(report, source)))


if __name__ == "__main__":
    run_main(main)
