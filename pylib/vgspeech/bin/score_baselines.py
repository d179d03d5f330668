"""Score baselines beside a model: the untrained model, an oracle that knows colours only, and DTW on log-mel."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main
from vgspeech.files import write_json

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--untrained-embed", type=Path, help="embeddings of the untrained model")
    parser.add_argument("--dtw-images", type=int, default=400, help="images whose captions DTW compares (%(default)s)")
    parser.add_argument("embed", type=Path, help="embed/ folder of the split")
    parser.add_argument("data", type=Path, help="corpus directory, data/<corpus>")
    parser.add_argument("split")
    parser.add_argument("out", type=Path, help="baselines.json")
    args = parser.parse_args()

    from vgspeech.baselines.score import EvaluatedSplit, score_baselines

    split = EvaluatedSplit.load(args.embed, args.data, args.split)
    result = score_baselines(split, args.untrained_embed, args.dtw_images)
    write_json(args.out, result)
    scored = [name for name in ("untrained", "colours_only", "dtw") if name in result]
    for name in scored:
        for direction, scores in result[name]["directions"].items():
            recalls = "".join(f"{100 * scores[key]:7.1f}" for key in ("r1", "r5", "r10"))
            print(f"{name:<14}{direction.replace('>', ' > '):<14}{recalls}{scores['median']:8g}")
    absent = "".join(f"; {name}: {reason}" for name, reason in result["missing"].items())
    print(f"baselines, {args.split}: {', '.join(scored) or 'none'} scored{absent}")


if __name__ == "__main__":
    run_main(main)
