"""How often discovery calls anything significant where there is nothing to find: captions given to images at random. A script,
not a test (a run of the mini corpus takes seconds, 200 take a quarter of an hour).

OMP_NUM_THREADS=1 python tests/bench/bench_calibration.py EMBED SPEECH_A [SPEECH_B] [--runs 200] [--first-seed 1]
e.g.: EMBED exp/mini/eval/mini/train/embed, the speech sets data/mini/speech/train_en and data/mini/speech/train_hi

In each run the images of the second language are permuted, captions of one image staying together; with one language, every
caption gets the image of another. All that depends on who is paired with whom is done anew: peaks, clusters, the marks of every
caption (by these clusters), links and tests. Frames, mean frames and silence belong to a caption alone and are kept. Where the
test is right, at most a few of 100 runs have a significant link, or with one language a significant cluster; with more than 10
in 100 the script fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from vgspeech.datadir import SpeechSet
from vgspeech.lexicon.discover import DiscoveryOptions, LanguageInput, discover
from vgspeech.lexicon.inputs import load_cells, load_language
from vgspeech.lexicon.one_language import choose_pairing, discover_within

LIMIT = 0.1
"""Share of the runs that may have anything significant."""


def in_memory(side: LanguageInput) -> LanguageInput:
    """The same with its frames and silences read."""
    speech = None if side.speech is None else dict(side.speech)
    return replace(side, frames=dict(side.frames), speech=speech)


def permuted(utt2image: Mapping[str, str], seed: int) -> dict[str, str]:
    """The captions of every image given to another image as a whole."""
    images = sorted(set(utt2image.values()))
    order = np.random.default_rng(seed).permutation(len(images))
    new = {image: images[i] for image, i in zip(images, order.tolist(), strict=True)}
    return {utt: new[image] for utt, image in utt2image.items()}


def links_of(a: LanguageInput, b: LanguageInput, seed: int) -> tuple[int, np.ndarray, str]:
    """Significant links between two languages, the q of all links, and what else was found."""
    wrong = replace(b, utt2image=permuted(b.embedded_images(), seed))
    peaks, clusters, found = discover(a, wrong, DiscoveryOptions())
    counts = f"{len(peaks)} peaks, {len(clusters[0])} and {len(clusters[1])} clusters, {len(found.links)} links"
    return int(found.significant.sum()), found.q, counts


def words_of(side: LanguageInput, cells: Mapping[str, np.ndarray] | None, seed: int) -> tuple[int, np.ndarray, str]:
    """Significant clusters of one language, the q of all clusters, and what else was found."""
    utts = sorted(side.frames)
    images = np.random.default_rng(seed).permutation([side.utt2image[utt] for utt in utts]).tolist()
    wrong = replace(side, utt2image=dict(zip(utts, images, strict=True)))
    peaks, clusters, found = discover_within(wrong, DiscoveryOptions(), cells)
    return int(found.significant.sum()), found.q, f"{len(peaks) // 2} peaks, {len(clusters[0])} clusters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1, help="of the permutations, one more each run")
    parser.add_argument("embed", type=Path, help="embedding directory of the split")
    parser.add_argument("speech", type=Path, nargs="+", help="its speech sets, of two languages or of one")
    args = parser.parse_args()
    if len(args.speech) > 2:
        parser.error("one or two speech sets")
    sides = [in_memory(load_language(args.embed, SpeechSet.load(path))) for path in args.speech]
    cells = load_cells(args.embed, choose_pairing(sides[0])) if len(sides) == 1 else None
    called = tested = 0
    for seed in range(args.first_seed, args.first_seed + args.runs):
        with threadpool_limits(1):
            significant, q, counts = links_of(*sides, seed) if len(sides) == 2 else words_of(sides[0], cells, seed)
        called += significant > 0
        tested += len(q)
        lowest = f"{q.min():.3g}" if len(q) else "-"
        print(f"seed {seed}: {counts}, {significant} significant, lowest q {lowest}", flush=True)
    kind = "link" if len(sides) == 2 else "cluster"
    print(f"{called} of {args.runs} runs have a significant {kind} ({tested / args.runs:.1f} {kind}s a run)")
    if called > LIMIT * args.runs:
        sys.exit(f"more than {100 * LIMIT:.0f} %: the test calls too much")


if __name__ == "__main__":
    main()
