"""Write the data directories of Places Audio: English, Hindi, or both joined by image."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import Prepared, Settings, prepare
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
    settings = Settings(
        images=args.images,
        max_bad=args.max_bad,
        allow_overlap=args.allow_overlap,
        require_all_languages=args.require_all_languages,
        subset=args.subset,
        jobs=args.nj,
    )
    truth = read_truth(args.truth) if args.truth else Truth()
    _say(args.data, prepare(releases[0], releases[1:], args.data, settings, truth))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--english", type=Path, metavar="DIR", help="release of Places Audio English")
    parser.add_argument("--hindi", type=Path, metavar="DIR", help="release of Places Hindi; its splits count")
    parser.add_argument("--images", type=Path, metavar="DIR", required=True, help="root of the images")
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="word times, object boxes and lexicon, if there are any"
    )
    parser.add_argument("--max-bad", type=float, default=0.01, metavar="X", help="largest fraction of unusable inputs")
    parser.add_argument("--allow-overlap", type=_boolean, default=False, metavar="BOOL", help="splits may share images")
    parser.add_argument("--require-all-languages", type=_boolean, default=True, metavar="BOOL")
    parser.add_argument("--subset", type=int, default=0, metavar="N", help="images a split at most; 0: all")
    parser.add_argument("--nj", type=int, default=1, metavar="N", help="worker processes that read headers")
    parser.add_argument("data", type=Path, help="where to write: data/<corpus>")
    return parser


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, not '{text}'")
    return text == "true"


def _say(out: Path, done: Prepared) -> None:
    for note in done.notes:
        print(f"note: {note}")
    for made in done.sets:
        duplicates = f", {made.duplicates} duplicates left out" if made.duplicates else ""
        print(
            f"{made.name}: {made.utterances} utterances, {made.speakers} speakers, {made.images} images, "
            f"{made.hours:.2f} h; {made.rejected} rejected{duplicates}"
        )
    utterances, rejected = (sum(getattr(made, key) for made in done.sets) for key in ("utterances", "rejected"))
    listed = f", listed with reasons in {out}/speech/*/rejected" if rejected else ""
    print(
        f"prepared {out}: {len(done.sets)} speech sets and {done.image_sets} image sets, {utterances} utterances, "
        f"{rejected} rejected{listed}"
    )


if __name__ == "__main__":
    run_main(main)
