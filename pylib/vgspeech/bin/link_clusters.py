"""Link the clusters of two languages, test every link, and score the lexicon against what is known."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.datadir import ImageSet, SpeechSet, read_lexicon
from vgspeech.errors import run_main
from vgspeech.files import read_json
from vgspeech.lexicon.captions import mean_frame
from vgspeech.lexicon.discover import DiscoveryOptions, link, pair_languages
from vgspeech.lexicon.inputs import load_cells, load_language
from vgspeech.lexicon.place_scores import Scenes
from vgspeech.lexicon.storage import read_peaks
from vgspeech.lexicon.write import Result, write_result
from vgspeech.localize.inputs import EmbedDir, boxes_in_view
from vgspeech.stats.word_lists import Lemmas, read_lemmas, read_stop_words

VERSION = 3


def summary(scores: dict[str, Any]) -> str:
    """The closing sentence."""
    links = scores["links"]
    text = f"link_clusters: {links['all']} links, {links['significant']} of them significant"
    truth = scores.get("truth", {})
    if "links_right" in truth:
        right, concepts = truth["links_right"], truth["concepts"]
        text += (
            f"; {right['all']['right']} and {right['significant']['right']} right, "
            f"{concepts['found']} of {concepts['of']} concepts; {truth['same_concept']['rate']:.3f} of "
            f"{scores['peaks']} peaks join the same concept (chance {truth['same_concept']['chance']:.3f})"
        )
    text += "".join(f"; {sentence}" for sentence in (_places(truth), _without_stop_words(truth)) if sentence)
    return text


def _places(truth: dict[str, Any]) -> str:
    found = {tag: side for tag, side in truth.get("place_in_box", {}).items() if side["peaks"]}
    shares = ", ".join(f"{tag} {side['in_box']:.3f} (chance {side['chance']:.3f})" for tag, side in found.items())
    return f"peaks that look at what is said: {shares}" if shares else ""


def _without_stop_words(truth: dict[str, Any]) -> str:
    if "without_stop_words" not in truth:
        return ""
    left = truth["without_stop_words"]
    purities = ", ".join(
        f"{tag} {truth['clusters_against_words'][tag]['purity']:.3f} with and {side['purity']:.3f} without"
        for tag, side in left["clusters_against_words"].items()
    )
    same = f", same concept {left['same_concept']:.3f} without" if "same_concept" in left else ""
    return f"purity of clusters and stop words: {purities}{same}"


def load_scenes(embed: Path, images: Path) -> Scenes | None:
    """What is in the images, if the corpus says so, the images were embedded and their model's settings are at hand."""
    if not ((images / "objects.tsv").exists() and (embed / "images.scp").exists()):
        return None
    config = Path(read_json(embed / "embed.json")["model"]) / "config.yaml"
    if not config.exists():
        return None
    boxes = boxes_in_view(ImageSet.load(images), load_config(ExperimentConfig, config))
    return Scenes(boxes, EmbedDir.load(embed).shapes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by", choices=("dice", "cosine", "product"), default="dice", help="what links are chosen by")
    parser.add_argument("--partners", type=int, default=1, help="links a cluster may have; 1: mutual best only")
    parser.add_argument("--fdr", type=float, default=0.05, help="false discovery rate of significant links")
    parser.add_argument(
        "--lexicon", type=Path, help="true lexicon (default: lexicon.tsv of the corpus, if there is one)"
    )
    parser.add_argument(
        "--lemmas", type=Path, help="inflected forms and their lemmas (default: lemmas.tsv of the corpus, if there is one)"
    )
    parser.add_argument(
        "--stop-words", type=Path, nargs=2, metavar="FILE", help="both languages' words that a second set of scores leaves out"
    )
    parser.add_argument(
        "--evidence-embed", type=Path, help="embeddings of a split that was not trained on, for the evidence"
    )
    parser.add_argument("--evidence-speech", type=Path, nargs=2, metavar="SET", help="its two speech sets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("embed", type=Path, help="embedding directory of the split that was searched")
    parser.add_argument("speech_a", type=Path, help="its speech set of the first language")
    parser.add_argument("speech_b", type=Path, help="its speech set of the second language")
    parser.add_argument("out", type=Path, help="folder with peaks.tsv; gets lexicon.tsv, exemplars.tsv, scores.json")
    args = parser.parse_args()
    if bool(args.evidence_embed) != bool(args.evidence_speech):
        parser.error("--evidence-embed and --evidence-speech go together")
    if args.partners < 1:
        parser.error("--partners must be at least 1")

    speech = [SpeechSet.load(path) for path in (args.speech_a, args.speech_b)]
    searched = [load_language(args.embed, data) for data in speech]
    means = [mean_frame(side.frames, args.seed) for side in searched]
    tested = searched
    if args.evidence_embed:
        tested = [load_language(args.evidence_embed, SpeechSet.load(path)) for path in args.evidence_speech]
    frames_a, frames_b = (side.comparable_frames(mean) for side, mean in zip(tested, means, strict=True))
    languages = (searched[0].language, searched[1].language)
    peaks, clusters = read_peaks(args.out, languages)
    search = read_json(args.out / "search.json")
    peaks.n_pairs = search["pairs"]
    cells = load_cells(args.evidence_embed or args.embed, search["captions_of"])
    images = pair_languages(tested[0], tested[1], cells)
    options = DiscoveryOptions(link_by=args.by, partners=args.partners, fdr=args.fdr, seed=args.seed)
    data = args.speech_a.parent.parent
    truth, forms = args.lexicon or data / "lexicon.tsv", args.lemmas or data / "lemmas.tsv"
    lemmas = read_lemmas(forms) if args.lemmas or forms.exists() else Lemmas()
    split = args.speech_a.name.removesuffix(f"_{languages[0]}")
    scenes = load_scenes(args.embed, data / "images" / split)
    with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
        found = link(peaks, clusters, images, (frames_a, frames_b), options)
    result = Result(
        languages=languages,
        peaks=peaks,
        clusters=clusters,
        found=found,
        utt2spk=(speech[0].utt2spk, speech[1].utt2spk),
        ctms=(lemmas.words(languages[0], speech[0].ctm), lemmas.words(languages[1], speech[1].ctm)),
        lexicon=lemmas.lexicon(read_lexicon(truth)) if args.lexicon or truth.exists() else None,
        settings={**search, "links": {"by": args.by, "partners": args.partners, "fdr": args.fdr}},
        evidence=str(args.evidence_embed or args.embed),
        stop_words=(read_stop_words(args.stop_words[0]), read_stop_words(args.stop_words[1]))
        if args.stop_words
        else (frozenset(), frozenset()),
        scenes=(scenes, (speech[0].utt2image, speech[1].utt2image)) if scenes else None,
    )
    scores = write_result(args.out, result)
    for warning in scores["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(summary(scores))


if __name__ == "__main__":
    run_main(main)
