"""Turn a released DAVEnet or ResDAVEnet-VQ checkpoint pair into a model directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import UsageError, run_main

VERSION = 1


def positions(text: str) -> tuple[int, ...] | None:
    """``auto``, ``none`` or numbers with commas between them."""
    if text == "auto":
        return None
    if text == "none":
        return ()
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--quantizers is '{text}'", hint="give auto, none, or positions such as 2,3") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", default="en", help="of the captions")
    parser.add_argument("--similarity", choices=["SISA", "MISA", "SIMA"], help="default: as released")
    parser.add_argument("--last-pool", choices=["true", "false"], default="true", help="DAVEnet: its fourth pooling")
    parser.add_argument(
        "--quantizers", default="auto", help="positions in use, such as 2,3 (default: those in the file)"
    )
    parser.add_argument("--compat", choices=["true", "false"], default="true", help="compute as the released code does")
    parser.add_argument("audio", type=Path, help="state dict of the audio net")
    parser.add_argument("image", type=Path, help="state dict of the image net")
    parser.add_argument("out", type=Path, help="model directory to make")
    args = parser.parse_args()

    from vgspeech.models.imported import Choices, import_released

    choices = Choices(
        args.language, args.similarity, args.last_pool == "true", positions(args.quantizers), args.compat == "true"
    )
    model, skipped = import_released(args.audio, args.image, args.out, choices)
    for key in skipped:
        print(f"not used: {key}")
    config = model.config
    quantised = f", quantisers {','.join(map(str, config.audio.quantizers))}" if config.audio.quantizers else ""
    kind = f"{config.audio.type} + {config.image.type}{quantised}, {config.similarity.type}"
    print(f"Imported {args.out}: {kind}, compat {str(config.compat).lower()}; {len(skipped)} tensors not used")


if __name__ == "__main__":
    run_main(main)
