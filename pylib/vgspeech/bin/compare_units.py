"""Word detectors of two kinds of units of one split side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vgspeech.errors import DataError, run_main
from vgspeech.files import read_json, write_json

VERSION = 1
COMPARED = ("method", "layer", "num_codes", "words_with_f1_at_least_0.5", "mean_f1_of_top_words", "codes_used")
ALIKE = ("language", "captions", "stop_words", "min_occurrences", "precision")


def compare(first: Path, second: Path) -> dict[str, Any]:
    """What the scores of two folders of units say, and the ratio of the words that they detect.

    Raises:
        DataError: they were scored on other captions or by other rules.
    """
    scores = [read_json(folder / "scores.json") for folder in (first, second)]
    for key in ALIKE:
        if scores[0][key] != scores[1][key]:
            what = f"{key} is {scores[0][key]} there, {scores[1][key]} in {second}"
            raise DataError(what, where=str(first), hint="score both on the same split with the same options")
    words = [score["words_with_f1_at_least_0.5"] for score in scores]
    return {
        **{key: scores[0][key] for key in ALIKE},
        "units": [{key: score[key] for key in COMPARED} for score in scores],
        "ratio": words[0] / words[1] if words[1] else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="folder of units with scores.json")
    parser.add_argument("second", type=Path, help="another, what the first one is measured by")
    parser.add_argument("out", type=Path, help="folder for comparison.json")
    args = parser.parse_args()

    found = compare(args.first, args.second)
    write_json(args.out / "comparison.json", found)
    told = [
        f"{unit['words_with_f1_at_least_0.5']} words with F1 >= .5 by {unit['method']} "
        f"({unit['num_codes']} codes, {unit['layer']})"
        for unit in found["units"]
    ]
    print(f"{found['language']}: {', '.join(told)}")


if __name__ == "__main__":
    run_main(main)
