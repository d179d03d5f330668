"""ABX errors of a model's layers, beside those of the features that it reads, and bitrates of codes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgspeech.archive import ArchiveReader
from vgspeech.audio import frame_timing
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError, run_main
from vgspeech.features import LogMels
from vgspeech.files import atomic_write, read_json, write_json
from vgspeech.units.abx import MODES, Context, abx_errors, plan, tokens_of
from vgspeech.units.abx_items import Item, read_items, triphone_items, write_items
from vgspeech.units.bitrate import bitrates
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import collapse
from vgspeech.units.warping import METRICS, Metric

VERSION = 1
FEATURES = "logmel"
COLUMNS = ("layer", "metric", "frame_shift_s", *MODES, "bitrate", "rle_bitrate")


def items_of(args: argparse.Namespace) -> list[Item]:
    """The items of a file, or else the triphones of the split's phone times, which are then written beside the scores.

    Raises:
        DataError: there is neither.
    """
    if args.items:
        return read_items(args.items)
    speech = SpeechSet.load(args.data / "speech" / f"{args.split}_{args.language}")
    if not speech.ctm_phones:
        hint = "give an item file (--items), or put phone times beside the word times"
        raise DataError("no phone times", where=str(speech.path / "ctm_phones"), hint=hint)
    items = triphone_items(speech.ctm_phones, speech.utt2spk)
    write_items(args.out / "triphones.item", items)
    return items


def score(
    name: str,
    frames: Mapping[str, Any],
    clock: CodeClock,
    trials: tuple[list[Item], list[Context]],
    metric: Metric,
    segments: bool,
) -> dict[str, Any]:
    """One row of the table; codes are compared by edit distance and have bitrates too."""
    discrete = frames[trials[0][0].file].ndim == 1
    metric = "levenshtein" if discrete else metric
    errors = abx_errors(trials[1], tokens_of(*trials, frames, clock, metric, segments and discrete), metric)
    row: dict[str, Any] = {"layer": name, "metric": metric, "frame_shift_s": clock.shift_s}
    row |= {mode: result["error"] for mode, result in errors.items()}
    row["cells"] = {mode: result["cells"] for mode, result in errors.items()}
    if discrete:
        row["bitrates"] = bitrates((collapse(frames[utt]) for utt in frames), clock.shift_s)
    return row


def cells_of(row: Mapping[str, Any]) -> list[str]:
    """A row's cells in the table: errors in percent, bits a second; "-" where there is none."""
    rates = row.get("bitrates", {})
    numbers = [*(100 * row[mode] if mode in row else None for mode in MODES), rates.get("frame"), rates.get("rle")]
    return [
        row["layer"],
        row["metric"],
        f"{row['frame_shift_s']:g}",
        *("-" if x is None else f"{x:.2f}" for x in numbers),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="data directory of the corpus")
    parser.add_argument("--split", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--items", type=Path, help="ZeroSpeech item file (default: triphones from ctm_phones)")
    parser.add_argument("--layers", default="", help="names, separated by commas (default: all, and the features)")
    parser.add_argument("--units", type=Path, action="append", default=[], help="folder of codes; may be repeated")
    parser.add_argument("--metric", choices=METRICS[:3], default="angular", help="of frames (%(default)s)")
    parser.add_argument("--segments", action="store_true", help="collapse repeated codes first")
    parser.add_argument("--max-size-group", type=int, default=10, help="most sounds of one kind; 0 takes all")
    parser.add_argument("--max-x-across", type=int, default=5, help="most speakers of X; 0 takes all")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of sounds")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("out", type=Path, help="folder for abx.tsv and abx.json")
    args = parser.parse_args()

    from threadpoolctl import threadpool_limits

    from vgspeech.embedding import feature_scp
    from vgspeech.models.grounding import front_end_of
    from vgspeech.units.layers import LayerOutputs, layer_names, model_and_features

    items = items_of(args)
    trials = items, plan(items, MODES, args.max_size_group, args.max_x_across, args.seed)
    model, features = model_and_features(args.model, args.data, args.split, args.language, args.device)
    names = args.layers.split(",") if args.layers else [FEATURES, *layer_names(model, args.language, features)]
    rows = []
    with threadpool_limits(1):
        for name in names:
            frames: Mapping[str, Any] = LogMels(feature_scp(args.data, args.split, args.language, model.config))
            clock = CodeClock(*frame_timing(front_end_of(model.config)))
            if name != FEATURES:
                outputs = LayerOutputs(model, args.language, features, name)
                frames, clock = outputs, outputs.clock
            rows.append(score(name, frames, clock, trials, args.metric, args.segments))
            print("\t".join(cells_of(rows[-1])), flush=True)
        for folder in args.units:
            about, codes = read_json(folder / "codes.json"), ArchiveReader(folder / "codes.scp")
            name = f"{about['method']} {about['num_codes']} of {about['layer']}"
            rows.append(score(name, codes, CodeClock.of(about), trials, args.metric, args.segments))
            print("\t".join(cells_of(rows[-1])), flush=True)
    with atomic_write(args.out / "abx.tsv") as stream:
        stream.writelines("\t".join(cells) + "\n" for cells in (COLUMNS, *map(cells_of, rows)))
    settings = {name: getattr(args, name) for name in ("segments", "max_size_group", "max_x_across", "seed")}
    write_json(args.out / "abx.json", {"split": args.split, "language": args.language, **settings, "layers": rows})
    best = min(rows, key=lambda row: row.get("across", row.get("within", 1.0)))
    print(
        f"score_abx: lowest error of {len(rows)} layers: {best['layer']}, {100 * best.get('within', float('nan')):.1f} % "
        f"within and {100 * best.get('across', float('nan')):.1f} % across speakers ({len(items)} sounds)"
    )


if __name__ == "__main__":
    run_main(main)
