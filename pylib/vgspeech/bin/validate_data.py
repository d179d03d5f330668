"""Check data directories: speech sets (folders with wav.scp) and image sets (folders with images.scp)."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main
from vgspeech.validation import validate_image_set, validate_speech_set

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", type=Path, help="folders to check")
    parser.add_argument("--images", help="image set that the speech sets belong to")
    parser.add_argument("--feats", action="store_true", help="features, or packed images, must be there")
    parser.add_argument("--no-spk-sort", action="store_true", help="speaker ids need not be prefixes of utterance ids")
    args = parser.parse_args()
    for folder in args.sets:
        if (folder / "images.scp").exists() and not (folder / "wav.scp").exists():
            print(validate_image_set(folder, packed=args.feats))
        else:
            spk_sort = not args.no_spk_sort
            print(validate_speech_set(folder, images=args.images, features=args.feats, spk_sort=spk_sort))


if __name__ == "__main__":
    run_main(main)
