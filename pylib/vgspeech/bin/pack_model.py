"""Pack a trained model into one file that can be handed on: weights, configuration, front end, scores, licence, version."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech import __version__
from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="pack_model.sh", description=__doc__)
    parser.add_argument("--licence", default="not stated", help="of the weights, in a few words, such as CC-BY-4.0")
    parser.add_argument("model", type=Path, help="model directory, exp/<model>")
    parser.add_argument("out", type=Path, help="file to write; its name ends in .safetensors")
    args = parser.parse_args()
    if args.out.suffix != ".safetensors":
        raise UsageError(f"the file's name must end in .safetensors, as its format is: {args.out}")

    from vgspeech.models.stored import pack_directory

    about = pack_directory(args.model, args.out, args.licence, __version__)
    if args.licence == "not stated":
        print("No licence is stated in it; --licence states one.")
    scored = f"scores of {', '.join(about.results)}" if about.results else "no retrieval scores"
    print(f"Packed {args.model} as {args.out}: {args.out.stat().st_size:,} bytes, {len(about.metrics)} epochs, {scored}.")


if __name__ == "__main__":
    run_main(main)
