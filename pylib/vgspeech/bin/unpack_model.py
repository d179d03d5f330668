"""Say what is in a packed model and, where a second argument names a folder, make a model directory of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="unpack_model.sh", description=__doc__)
    parser.add_argument("file", type=Path, help="what pack_model.sh wrote")
    parser.add_argument("model", type=Path, nargs="?", help="model directory to make, such as exp/mini")
    args = parser.parse_args()
    if not args.file.is_file():
        raise UsageError("no such file", where=str(args.file))

    from vgspeech.models.stored import describe_packed, unpack_directory

    print(describe_packed(args.file))
    if args.model is not None:
        unpack_directory(args.file, args.model)
        print(f"Unpacked {args.file} as {args.model}: every step that takes a model directory takes it.")


if __name__ == "__main__":
    run_main(main)
