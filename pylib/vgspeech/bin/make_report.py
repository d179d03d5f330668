"""Make the report of a model: one page with curves, tables, matchmaps and the picture dictionary."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main
from vgspeech.report.inputs import ReportInput
from vgspeech.report.page import make_report

VERSION = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory, exp/<model>")
    parser.add_argument("--results", type=Path, help="folder of eval/ and lexicon/ (default: the model directory)")
    parser.add_argument("--data", type=Path, required=True, help="corpus directory, data/<corpus>")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--no-audio", action="store_true", help="leave all recordings out")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that wav.scp holds")
    args = parser.parse_args()

    source = ReportInput(
        args.model, args.data, args.results or args.model, audio=not args.no_audio, allow_pipes=args.allow_pipes
    )
    files, titles = make_report(source, args.out)
    size = sum(path.stat().st_size for path in files) / 1e6
    kind = "one file" if len(files) == 1 else f"{len(files)} files"
    print(f"report: {len(titles)} sections, {kind}, {size:.1f} MB: {files[-1]}")


if __name__ == "__main__":
    run_main(main)
