"""Command-line options that the tools share. Imports nothing that a Python without the environment lacks, for --help."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vgspeech.dataset_tools.layout import SpeechFiles


def add_files_options(parser: argparse.ArgumentParser) -> None:
    """Options for files that the set's layout does not know."""
    for unit, name in (("utt", "utterances"), ("spk", "speakers")):
        parser.add_argument(
            f"--{unit}-extra-files",
            default="",
            metavar="NAMES",
            help=f"further files of the set whose lines start with ids of {name}; {unit}2* are known",
        )


def find_set(path: str, args: argparse.Namespace) -> SpeechFiles:
    """The set's files; says on standard error which ones are not taken along.

    Raises:
        DataError, UsageError: see `SpeechFiles.find`.
    """
    from vgspeech.dataset_tools.layout import SpeechFiles

    found = SpeechFiles.find(path, args.utt_extra_files.split(), args.spk_extra_files.split())
    if warning := found.warning():
        print(warning, file=sys.stderr)
    return found
