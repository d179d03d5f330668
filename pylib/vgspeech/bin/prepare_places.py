"""Write the data directories of Places Audio: English, Hindi, or both joined by image."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.corpora.options import add_common_options, say, settings_of
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import prepare
from vgspeech.corpora.truth import Truth, read_truth
from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    """Parse the command line, prepare, and say what was written."""
    args = _parser().parse_args()
    if not (args.english or args.hindi):
        raise UsageError("which release? give --english DIR, --hindi DIR or both")
    releases = [read_hindi(args.hindi)] if args.hindi else []
    releases += [read_english(args.english)] if args.english else []
    truth = read_truth(args.truth) if args.truth else Truth()
    say(args.data, prepare(releases[0], releases[1:], args.data, settings_of(args, args.images), truth))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--english", type=Path, metavar="DIR", help="release of Places Audio English")
    parser.add_argument("--hindi", type=Path, metavar="DIR", help="release of Places Hindi; its splits count")
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="word times, object boxes and lexicon, if there are any"
    )
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    run_main(main)
