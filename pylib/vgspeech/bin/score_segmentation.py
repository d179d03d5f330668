"""Score runs of codes as a segmentation into words and phones, and how much a code tells about the word and the phone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vgspeech.errors import DataError, run_main
from vgspeech.files import read_json, write_json
from vgspeech.stats.aligned_words import AlignedWords
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import read_runs
from vgspeech.units.segmentation import score_units, shuffled

VERSION = 1
ALIGNMENTS = {"words": "ctm", "phones": "ctm_phones"}


def report_lines(kind: str, scores: dict[str, Any]) -> list[str]:
    """What is printed of one alignment: a line for each tolerance and one for the agreement."""
    lines = []
    for row, chance in zip(scores["codes"]["segmentation"], scores["chance"]["segmentation"], strict=True):
        b, t = row["boundary"], row["token"]
        lines.append(
            f"{kind}, tolerance {1000 * row['tolerance_s']:g} ms: boundary P {b['precision']:.3f} R {b['recall']:.3f} "
            f"F1 {b['f1']:.3f} (chance {chance['boundary']['f1']:.3f}), over-segmentation {b['over_segmentation']:.2f}, "
            f"R-value {b['r_value']:.3f}; token P {t['precision']:.3f} R {t['recall']:.3f} F1 {t['f1']:.3f}"
        )
    agreement, by_chance = scores["codes"]["agreement"], scores["chance"]["agreement"]
    lines.append(
        f"{kind}, frames outside silence: NMI {agreement['nmi_mean']:.3f} (over the mean entropy; chance "
        f"{by_chance['nmi_mean']:.3f}), purity {agreement['purity']:.3f} (chance {by_chance['purity']:.3f})"
    )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tolerance", type=float, action="append", help="seconds; may be repeated (default: 0.02 and 0.04)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random order that gives chance")
    parser.add_argument("speech", type=Path, help="speech set with word times (ctm) or phone times (ctm_phones)")
    parser.add_argument("units", type=Path, help="folder of runs.scp and codes.json; gets segmentation.json")
    args = parser.parse_args()

    about = read_json(args.units / "codes.json")
    clock, tolerances = CodeClock.of(about), args.tolerance or [0.02, 0.04]
    present = {kind: args.speech / name for kind, name in ALIGNMENTS.items() if (args.speech / name).exists()}
    if not present:
        raise DataError("no word or phone times", where=str(args.speech), hint="segmentations need an alignment (ctm)")
    result: dict[str, Any] = {}
    for kind, path in present.items():
        words = AlignedWords.read(path)
        runs = [(utt, found) for utt, found in read_runs(args.units) if utt in words]
        chance = list(shuffled(runs, args.seed))
        result[kind] = {"captions": len(runs)} | {
            name: score_units(these, words, about["num_codes"], clock, tolerances)
            for name, these in (("codes", runs), ("chance", chance))
        }
        print("\n".join(report_lines(kind, result[kind])))
    write_json(args.units / "segmentation.json", {**about, **result})
    print(f"score_segmentation: {' and '.join(result)}, tolerances {', '.join(f'{1000 * t:g}' for t in tolerances)} ms")


if __name__ == "__main__":
    run_main(main)
