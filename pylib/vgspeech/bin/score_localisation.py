"""Score whether words look at the objects they name: noun in box, and the top frame of the subtracted matchmap."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import run_main
from vgspeech.files import write_json
from vgspeech.localize.inputs import EmbedDir
from vgspeech.localize.score import score_split

VERSION = 1


def summary(result: dict[str, Any]) -> str:
    """The closing sentence."""
    parts = []
    for lang, scores in result["languages"].items():
        nouns = scores.get("noun_in_box", {})
        if nouns.get("accuracy") is not None:
            untrained = f", untrained {nouns['untrained']:.3f}" if nouns.get("untrained") is not None else ""
            share = f"{nouns['accuracy']:.3f} of {nouns['nouns']} nouns look at their object"
            parts.append(f"{lang} {share} (chance {nouns['chance']:.3f}{untrained})")
    return "; ".join(parts) or f"not scored: {result.get('missing', 'no word times')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--untrained-embed", type=Path, help="embeddings of the untrained model, to compare with")
    parser.add_argument("model", type=Path, help="model directory (config.yaml)")
    parser.add_argument("embed", type=Path, help="embed/ folder of the split")
    parser.add_argument("data", type=Path, help="corpus directory, data/<corpus>")
    parser.add_argument("split")
    parser.add_argument("out", type=Path, help="localisation.json")
    args = parser.parse_args()

    config = load_config(ExperimentConfig, args.model / "config.yaml")
    untrained = EmbedDir.load(args.untrained_embed) if args.untrained_embed else None
    result = score_split(EmbedDir.load(args.embed), untrained, args.data, args.split, config)
    write_json(args.out, result)
    print(f"localisation, {args.split}: {summary(result)}")


if __name__ == "__main__":
    run_main(main)
