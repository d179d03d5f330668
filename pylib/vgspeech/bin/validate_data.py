"""Check data directories: speech sets (folders with wav.scp) and image sets (folders with images.scp)."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main

VERSION = 1
APART = "speech set of another split: no image may be in both (may be repeated)"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="validate_data_dir.sh",
        description=__doc__,
        epilog="example: utils/validate_data_dir.sh --images data/mini/images/train data/mini/speech/train_en",
    )
    parser.add_argument("sets", nargs="+", type=Path, help="folders to check")
    parser.add_argument("--images", help="image set that the speech sets belong to")
    parser.add_argument("--feats", action="store_true", help="features, or packed images, must be there")
    parser.add_argument("--no-spk-sort", action="store_true", help="speaker ids need not be prefixes of utterance ids")
    parser.add_argument("--apart-from", action="append", default=[], metavar="SET", help=APART)
    args = parser.parse_args()

    from vgspeech.validation import validate_image_set, validate_speech_set

    for folder in args.sets:
        if (folder / "images.scp").exists() and not (folder / "wav.scp").exists():
            print(validate_image_set(folder, packed=args.feats))
        else:
            rules = {"images": args.images, "features": args.feats, "apart_from": args.apart_from}
            print(validate_speech_set(folder, spk_sort=not args.no_spk_sort, **rules))


if __name__ == "__main__":
    run_main(main)
