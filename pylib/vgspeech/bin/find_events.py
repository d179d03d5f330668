"""Segment captions where a layer's activation changes most (or is largest), and give each segment a code by k-means."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.archive import ArchiveWriter
from vgspeech.errors import UsageError, run_main
from vgspeech.files import write_json
from vgspeech.units.clock import CodeClock
from vgspeech.units.codes import learn_codebook
from vgspeech.units.events import EVENTS, EventFinder, SegmentMeans, encode_segments
from vgspeech.units.runs import read_runs, write_codes_of_runs, write_ctm_of_runs

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="data directory of the corpus")
    parser.add_argument("--split", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--layer", default="stem", help="whose activation is looked at (%(default)s)")
    parser.add_argument("--event", choices=EVENTS, default="change", help="peaks of what (%(default)s)")
    parser.add_argument("--prominence", type=float, default=0.1, help="of a peak, in standard deviations (%(default)s)")
    parser.add_argument("--num-codes", type=int, default=128, help="K of k-means (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ctm", action="store_true", help="also write codes.ctm")
    parser.add_argument("out", type=Path, help="folder for codes.scp, runs.scp, codebook.scp and codes.json")
    args = parser.parse_args()
    if args.layer.startswith("codes"):
        raise UsageError(f"'{args.layer}' are codes, which have no norm", hint="choose a layer: stem, stage<n>, output")

    from threadpoolctl import threadpool_limits

    from vgspeech.units.layers import LayerOutputs, model_and_features

    finder = EventFinder(args.event, args.prominence)
    with threadpool_limits(1):
        model, features = model_and_features(args.model, args.data, args.split, args.language, args.device)
        frames = LayerOutputs(model, args.language, features, args.layer)
        codebook = learn_codebook(SegmentMeans(frames, finder), args.num_codes, args.seed)
        with ArchiveWriter(args.out / "codebook.ark", args.out / "codebook.scp") as archive:
            archive.write("codebook", codebook)
        runs = encode_segments(frames.batches(), codebook, finder)
        utterances, segments = write_codes_of_runs(args.out, runs)
    clock = finder.clock(frames.clock)
    about = {"language": args.language, "layer": args.layer, "method": "events", "num_codes": len(codebook)}
    about |= {"seed": args.seed, "event": args.event, "prominence": args.prominence}
    about |= {"frame_shift_s": clock.shift_s, "frame_offset_s": clock.offset_s}
    write_json(args.out / "codes.json", about)
    if args.ctm:
        write_ctm_of_runs(args.out / "codes.ctm", read_runs(args.out), CodeClock.of(about))
    print(f"find_events: {utterances} captions in {segments} segments, {args.layer}, {len(codebook)} codes")


if __name__ == "__main__":
    run_main(main)
