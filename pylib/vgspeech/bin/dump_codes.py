"""Write the codes of every caption of a split: of the model's quantiser, or of k-means over one of its layers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import DataError, run_main
from vgspeech.files import read_json, write_json
from vgspeech.units.clock import CodeClock
from vgspeech.units.codes import encode, learn_codebook, write_codes
from vgspeech.units.runs import collapse, read_runs, write_ctm_of_runs, write_runs

VERSION = 2


def dump(args: argparse.Namespace) -> tuple[dict[str, Any], int, int]:
    """Write codes (and the codebook of k-means).

    Returns:
        (contents of codes.json, captions, codes that occur)
    """
    config = load_config(ExperimentConfig, args.model / "config.yaml")
    quantizers = config.audio.quantizers
    layer = args.layer or (f"codes{max(quantizers)}" if quantizers else "output")
    times = read_json(args.embed / "embed.json")
    if args.language not in times["frame_shift_s"]:
        raise DataError(f"no embeddings of '{args.language}'", where=str(args.embed), hint="embed the split (stage 5)")
    about: dict[str, Any] = {"language": args.language, "layer": layer}
    shift, offset = (float(times[key][args.language]) for key in ("frame_shift_s", "frame_offset_s"))
    frames: Any = ArchiveReader(args.embed / f"{args.language}.scp")
    ordered: Iterator[tuple[str, Any]] = iter(frames.items())
    if layer != "output":
        from vgspeech.units.layers import LayerOutputs, model_and_features

        model, features = model_and_features(args.model, args.data, args.split, args.language, args.device)
        frames = LayerOutputs(model, args.language, features, layer)
        ordered = frames.batches()
        shift = frames.clock.shift_s
    if layer.startswith("codes"):
        num_codes = config.audio.codebook_size
        about |= {"method": "quantiser", "num_codes": num_codes}
        codes: Iterator[tuple[str, Any]] = ((utt, sequence.astype(np.int32)) for utt, sequence in ordered)
    else:
        codebook = learn_codebook(frames, args.num_codes, args.seed)
        with ArchiveWriter(args.out / "codebook.ark", args.out / "codebook.scp") as archive:
            archive.write("codebook", codebook)
        num_codes = len(codebook)
        about |= {"method": "k-means", "num_codes": num_codes, "seed": args.seed}
        codes = encode(ordered, codebook)
    about |= {"frame_shift_s": shift, "frame_offset_s": offset}
    return about, *write_codes(args.out, codes, num_codes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--embed", type=Path, required=True, help="embedding directory of the split")
    parser.add_argument("--data", type=Path, required=True, help="data directory of the corpus")
    parser.add_argument("--split", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument(
        "--layer", default="", help="codes<n>, stem, stage<n> or output (default: the last quantiser's)"
    )
    parser.add_argument("--num-codes", type=int, default=128, help="K of k-means")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ctm", action="store_true", help="also write codes.ctm, the times of all runs as text")
    parser.add_argument("out", type=Path, help="folder for codes.scp, runs.scp (with their archives) and codes.json")
    args = parser.parse_args()

    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        about, captions, used = dump(args)
    codes = ArchiveReader(args.out / "codes.scp")
    runs = write_runs(args.out, ((utt, collapse(sequence)) for utt, sequence in codes.items()))
    if args.ctm:
        write_ctm_of_runs(args.out / "codes.ctm", read_runs(args.out), CodeClock.of(about))
    write_json(args.out / "codes.json", about)
    print(
        f"dump_codes: {captions} captions in {used} of {about['num_codes']} codes ({about['method']}, "
        f"{about['layer']}), {runs} runs"
    )


if __name__ == "__main__":
    run_main(main)
