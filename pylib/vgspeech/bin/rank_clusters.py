"""Test every cluster of one language, rank them by the evidence, and score them against what is known."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from vgspeech.datadir import SpeechSet, read_lexicon
from vgspeech.errors import run_main
from vgspeech.files import read_json
from vgspeech.lexicon.captions import mean_frame
from vgspeech.lexicon.inputs import load_cells, load_language
from vgspeech.lexicon.one_language import pair_within, rank_clusters
from vgspeech.lexicon.storage import read_peaks
from vgspeech.lexicon.write_words import WordResult, write_words_result

VERSION = 1


def summary(scores: dict[str, Any]) -> str:
    """The closing sentence."""
    words = scores["words"]
    text = f"rank_clusters: {words['all']} word clusters, {words['significant']} of them significant"
    truth = scores.get("truth", {})
    if "words_right" in truth:
        right, concepts = truth["words_right"], truth["concepts"]
        text += (
            f"; {right['all']['right']} and {right['significant']['right']} stand for a word of the dictionary, "
            f"{concepts['found']} and {concepts['found_significant']} of {concepts['of']} concepts; "
            f"{truth['same_concept']['rate']:.3f} of {scores['peaks']} peaks join the same concept "
            f"(chance {truth['same_concept']['chance']:.3f})"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fdr", type=float, default=0.05, help="false discovery rate of significant clusters")
    parser.add_argument(
        "--lexicon", type=Path, help="true lexicon (default: lexicon.tsv of the corpus, if there is one)"
    )
    parser.add_argument(
        "--evidence-embed", type=Path, help="embeddings of a split that was not trained on, for the evidence"
    )
    parser.add_argument("--evidence-speech", type=Path, metavar="SET", help="its speech set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("embed", type=Path, help="embedding directory of the split that was searched")
    parser.add_argument("speech", type=Path, help="its speech set")
    parser.add_argument("out", type=Path, help="folder with peaks.tsv; gets lexicon.tsv, exemplars.tsv, scores.json")
    args = parser.parse_args()
    if bool(args.evidence_embed) != bool(args.evidence_speech):
        parser.error("--evidence-embed and --evidence-speech go together")

    speech = SpeechSet.load(args.speech)
    searched = load_language(args.embed, speech)
    tested = searched
    if args.evidence_embed:
        tested = load_language(args.evidence_embed, SpeechSet.load(args.evidence_speech))
    frames = tested.comparable_frames(mean_frame(searched.frames, args.seed))
    peaks, (clusters, _) = read_peaks(args.out, (searched.language,))
    search = read_json(args.out / "search.json")
    peaks.n_pairs = search["pairs"]
    pairs = pair_within(tested, load_cells(args.evidence_embed or args.embed, search["captions_of"]))
    truth = args.lexicon or args.speech.parent.parent / "lexicon.tsv"
    with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
        found = rank_clusters(peaks, clusters, pairs, frames, tested.utt2spk, args.fdr)
    result = WordResult(
        language=searched.language,
        peaks=peaks,
        clusters=clusters,
        found=found,
        utt2spk=speech.utt2spk,
        ctm=speech.ctm,
        lexicon=read_lexicon(truth) if args.lexicon or truth.exists() else None,
        settings={**search, "words": {"fdr": args.fdr}},
        evidence=str(args.evidence_embed or args.embed),
    )
    scores = write_words_result(args.out, result)
    for warning in scores["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(summary(scores))


if __name__ == "__main__":
    run_main(main)
