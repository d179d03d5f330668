"""Score retrieval in every direction between images and languages, from embeddings on disk."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import run_main
from vgspeech.files import write_json

VERSION = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("model", type=Path, help="model directory (config.yaml)")
    parser.add_argument("embed", type=Path, help="embed/ folder of the split")
    parser.add_argument("data", type=Path, help="corpus directory, data/<corpus>")
    parser.add_argument("split")
    parser.add_argument("out", type=Path, help="results.json")
    args = parser.parse_args()

    from vgspeech.embedding import load_embedded
    from vgspeech.retrieval import TIE_RULE, evaluate, format_table, ranks_of_queries
    from vgspeech.stats.rank_files import write_ranks

    config = load_config(ExperimentConfig, args.model / "config.yaml")
    pooled_only = config.similarity.type == "SISA"
    images, captions, left_out = load_embedded(args.embed, args.data, args.split, pooled_only)
    table = evaluate(images, captions, config.similarity, draws=args.draws, seed=args.seed)
    counts = {language: len(side.image_ids) for language, side in captions.items()}
    results = {
        "model": args.model.name,
        "corpus": args.data.name,
        "split": args.split,
        "similarity": dataclasses.asdict(config.similarity),
        "ties": TIE_RULE,
        "interval": f"95 % percentile bootstrap over images, {args.draws} draws, seed {args.seed}",
        "images": len(images.image_ids),
        "captions": counts,
        "captions_without_image": left_out,
        **table.as_dict(),
    }
    write_ranks(args.out.with_name("ranks.tsv"), ranks_of_queries(table, images, captions))
    write_json(args.out, results)
    print(format_table(table))
    parts = ", ".join(f"{count} captions in {language}" for language, count in counts.items())
    absent = sum(left_out.values())
    note = f"; {absent} captions without an image left out" if absent else ""
    print(f"Retrieval on {args.data.name}/{args.split}: {len(images.image_ids)} images, {parts}{note}.")


if __name__ == "__main__":
    run_main(main)
