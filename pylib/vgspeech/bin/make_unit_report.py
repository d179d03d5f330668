"""Make the page of units: layers or models side by side, their detectors to listen to, and captions over time."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import UsageError, run_main
from vgspeech.report.inputs import ReportInput
from vgspeech.report.unit_page import make_unit_page
from vgspeech.report.unit_source import UnitFolder

VERSION = 1


def folders_of(arguments: list[str]) -> list[UnitFolder]:
    """Folders from ``[NAME=]DIR`` arguments.

    Raises:
        UsageError: two have one name.
    """
    folders = []
    for argument in arguments:
        name, _, path = argument.rpartition("=")
        folder = UnitFolder(name, Path(path))
        folders.append(
            folder if name else UnitFolder(f"{folder.about['layer']} ({folder.about['method']})", Path(path))
        )
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        raise UsageError(f"two of the units have one name: {', '.join(names)}", hint="name them: NAME=DIR")
    return folders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="corpus directory, data/<corpus>")
    parser.add_argument("--split", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the page")
    parser.add_argument("--no-audio", action="store_true", help="leave all recordings out")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that wav.scp holds")
    parser.add_argument("units", nargs="+", help="[NAME=]DIR, folders of codes of this split, of any layers or models")
    args = parser.parse_args()

    source = ReportInput(args.model, args.data, args.model, audio=not args.no_audio, allow_pipes=args.allow_pipes)
    folders = folders_of(args.units)
    page = make_unit_page(source, args.split, args.language, folders, args.out)
    print(f"make_unit_report: {len(folders)} kinds of units, {page.stat().st_size / 1e6:.1f} MB: {page}")


if __name__ == "__main__":
    run_main(main)
