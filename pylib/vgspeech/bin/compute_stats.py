"""Compute the statistics of a prepared corpus and write its data page."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main
from vgspeech.files import atomic_write, write_json
from vgspeech.stats.data_page import data_page
from vgspeech.stats.durations import describe_corpus

VERSION = 1


def main() -> None:
    """Parse the command line, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-utterances", type=int, default=2000, metavar="N", help="a set, for features; 0: all")
    parser.add_argument("data", type=Path, help="data/<corpus>")
    args = parser.parse_args()
    numbers = describe_corpus(args.data, args.max_utterances)
    write_json(args.data / "stats" / "stats.json", numbers)
    with atomic_write(args.data / "stats" / "index.html") as stream:
        stream.write(data_page(args.data, numbers))
    speech = numbers["speech"].values()
    print(
        f"statistics of {args.data}: {len(speech)} speech sets, {sum(one['utterances'] for one in speech)} utterances, "
        f"{sum(one['hours'] for one in speech):.2f} h; page {args.data / 'stats' / 'index.html'}"
    )


if __name__ == "__main__":
    run_main(main)
