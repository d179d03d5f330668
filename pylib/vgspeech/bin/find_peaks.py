"""Find the peaks of one job's share of the caption pairs of two languages, or of one."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from threadpoolctl import threadpool_limits

from vgspeech.datadir import SpeechSet
from vgspeech.errors import UsageError, run_main
from vgspeech.lexicon.collapse import CollapseOptions
from vgspeech.lexicon.discover import DiscoveryOptions, search_blocks
from vgspeech.lexicon.inputs import load_cells, load_language, missing_captions
from vgspeech.lexicon.one_language import choose_pairing, search_within
from vgspeech.lexicon.peaks import PeakOptions
from vgspeech.lexicon.places import ImageGrids, with_places
from vgspeech.lexicon.storage import write_job
from vgspeech.localize.inputs import EmbedDir

VERSION = 3


def main() -> None:
    defaults = PeakOptions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=int, default=1, help="this job's number, from 1")
    parser.add_argument("--num-jobs", type=int, default=1, help="jobs that share the work")
    parser.add_argument(
        "--pairs",
        choices=("auto", "shared", "nearest"),
        default="auto",
        help="captions of one image, or of images alike; auto: shared, but in one language whose images mostly have "
        "captions of one speaker: nearest",
    )
    parser.add_argument("--detector", choices=("2d", "1d"), default=defaults.detector, help="2d: cells; 1d: curves")
    parser.add_argument("--high", type=float, default=defaults.collapse.high, help="1d: fraction a stretch rises to")
    parser.add_argument("--low", type=float, default=defaults.collapse.low, help="1d: fraction it stays above")
    parser.add_argument(
        "--min-duration", type=float, default=defaults.collapse.min_duration_s, help="1d: shortest stretch in seconds"
    )
    parser.add_argument(
        "--background", type=int, default=defaults.background, help="unrelated images a response is over"
    )
    parser.add_argument("--relative", type=float, default=defaults.relative, help="least fraction of a pair's maximum")
    parser.add_argument("--deviations", type=float, default=defaults.deviations, help="least deviations above the mean")
    parser.add_argument("--per-pair", type=int, default=defaults.per_pair, help="most peaks of a pair of captions")
    parser.add_argument(
        "--rough-from", type=int, default=defaults.rough_from, help="images from which on responses may be of bfloat16"
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses the unrelated captions")
    parser.add_argument("embed", type=Path, help="embedding directory of the split")
    parser.add_argument("speech", type=Path, nargs="+", help="speech sets of both languages, or of the only one")
    parser.add_argument("out", type=Path, help="folder for peaks.JOB.tsv and archives")
    args = parser.parse_args()
    if not 1 <= args.job <= args.num_jobs:
        raise UsageError(f"--job {args.job} is not in 1 to --num-jobs {args.num_jobs}")
    if len(args.speech) > 2:
        parser.error(f"one or two speech sets, not {len(args.speech)}")

    sides = [load_language(args.embed, SpeechSet.load(path)) for path in args.speech]
    pairs = args.pairs
    if pairs == "auto":
        pairs = choose_pairing(sides[0]) if len(sides) == 1 else "shared"
    peak_options = PeakOptions(
        detector=args.detector,
        background=args.background,
        relative=args.relative,
        deviations=args.deviations,
        per_pair=args.per_pair,
        rough_from=args.rough_from,
        collapse=CollapseOptions(args.high, args.low, args.min_duration),
    )
    settings = {
        "captions_of": pairs,
        "peaks": asdict(peak_options),
        "seed": args.seed,
        "captions_without_embedding": {side.language: missing_captions(side) for side in sides},
    }
    languages = [side.language for side in sides]
    with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
        options = DiscoveryOptions(peaks=peak_options, seed=args.seed)
        share = (options, args.job, args.num_jobs, load_cells(args.embed, pairs))
        found = iter([search_within(sides[0], *share)]) if len(sides) == 1 else search_blocks(sides[0], sides[1], *share)
        if (args.embed / "images.scp").exists():
            embedded = EmbedDir.load(args.embed)
            grids = ImageGrids(embedded.grids, embedded.shapes)
            images = (sides[0].utt2image, sides[-1].utt2image)
            found = (with_places(part, images, grids) for part in found)
        peaks, compared = write_job(args.out, args.job, found, languages, settings)
    print(f"find_peaks: {peaks // 2 if len(sides) == 1 else peaks} peaks in {compared} pairs of captions")


if __name__ == "__main__":
    run_main(main)
