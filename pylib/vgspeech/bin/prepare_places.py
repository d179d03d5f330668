"""Write the data directories of Places Audio: English, Hindi, Japanese, or several of them joined by image."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.corpora.japanese import read_japanese
from vgspeech.corpora.options import add_common_options, finish, settings_of
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import prepare
from vgspeech.corpora.published import PLACES, compare
from vgspeech.corpora.truth import Truth, read_truth
from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    """Parse the command line, prepare, and say what was written."""
    args = _parser().parse_args()
    if not (args.english or args.hindi or args.japanese):
        raise UsageError("which release? give --english DIR, --hindi DIR, --japanese DIR or several")
    settings = settings_of(args, args.images)
    releases = [read_hindi(args.hindi)] if args.hindi else []
    releases += [read_japanese(args.japanese)] if args.japanese else []
    releases += [read_english(args.english)] if args.english else []
    if not args.truth:  # what has its truth beside it was made, not published
        releases[0].notes.extend(compare(releases, PLACES))
    truth = read_truth(args.truth) if args.truth else Truth()
    finish(args.data, prepare(releases[0], releases[1:], args.data, settings, truth))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--english", type=Path, metavar="DIR", help="release of Places Audio English")
    parser.add_argument("--hindi", type=Path, metavar="DIR", help="release of Places Hindi; its splits count")
    parser.add_argument("--japanese", type=Path, metavar="DIR", help="release of Places Japanese; Hindi's splits come first")
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="word times, object boxes and lexicon, if there are any"
    )
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    run_main(main)
