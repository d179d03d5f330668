"""Search the captions and images of an embedded split for recorded words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.archive import ArchiveReader
from vgspeech.config import FrontEndConfig, load_config
from vgspeech.datadir import ImageSet, SpeechSet, read_lexicon
from vgspeech.errors import run_main
from vgspeech.files import write_json
from vgspeech.lexicon.captions import CaptionFrames, mean_frame
from vgspeech.lexicon.inputs import language_of, load_language
from vgspeech.lexicon.query_scores import Asked, score_captions, score_images
from vgspeech.lexicon.voice_query import Hits, embed_queries, query_vectors, search_captions, search_images
from vgspeech.order import shuffled
from vgspeech.tables import write_tsv

VERSION = 2
Array = np.ndarray[Any, np.dtype[Any]]
CAPTIONS_HEADER = ("query", "word", "rank", "caption", "score", "at", "start", "end")
IMAGES_HEADER = ("query", "word", "rank", "image", "score")


def best_captions(queries: SpeechSet, hits: Hits, searched: SpeechSet, count: int) -> Iterator[Sequence[str]]:
    """Rows of captions.tsv, of queries and captions that may be shown."""
    shown = np.array([c for c, utt in enumerate(hits.captions) if searched.may_share(utt)], np.int64)
    for n, query in enumerate(queries.ids):
        if not queries.may_share(query):
            continue
        best = shown[np.argsort(-hits.scores[n, shown], kind="stable")[:count]]
        for rank, c in enumerate(best.tolist(), start=1):
            times = (f"{x:.3f}" for x in hits.times[n, c])
            yield (query, queries.text.get(query, "-"), str(rank), hits.captions[c], f"{hits.scores[n, c]:.4f}", *times)


def best_images(queries: SpeechSet, images: Sequence[str], scores: Array, count: int) -> Iterator[Sequence[str]]:
    """Rows of images.tsv, of queries that may be shown."""
    for n, query in enumerate(queries.ids):
        if not queries.may_share(query):
            continue
        for rank, i in enumerate(np.argsort(-scores[n], kind="stable")[:count], start=1):
            yield query, queries.text.get(query, "-"), str(rank), images[i], f"{scores[n, i]:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--top", type=int, default=10, help="captions and images listed for each query")
    parser.add_argument("--background", type=int, default=20, help="captions the usual response is over")
    parser.add_argument("--lexicon", type=Path, help="true lexicon (default: lexicon.tsv of the corpus, if any)")
    parser.add_argument("--others-only", action="store_true", help="score without captions of the query's own image")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that wav.scp may hold")
    parser.add_argument("model", type=Path)
    parser.add_argument("embed", type=Path, help="embedding directory of the split to search")
    parser.add_argument("data", type=Path, help="corpus directory")
    parser.add_argument("split")
    parser.add_argument("language", help="language of the captions to search")
    parser.add_argument("queries", type=Path, help="speech set of recorded words, in a language of the model")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()

    import torch

    from vgspeech import embedding
    from vgspeech.models import load_model

    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    embedding.full_float32()
    model = load_model(args.model)
    queries = SpeechSet.load(args.queries)
    spoken = language_of(queries)
    sets = {tag: SpeechSet.load(args.data / "speech" / f"{args.split}_{tag}") for tag in {spoken, args.language}}
    sides = {tag: load_language(args.embed, speech) for tag, speech in sets.items()}
    means = {tag: mean_frame(side.frames, seed=1) for tag, side in sides.items()}
    about = sets[spoken].path / "feats" / f"{model.config.front_end}.yaml"
    embedding.check_front_end(about, model.config)
    target = sides[args.language]
    asked = embed_queries(
        model, queries, spoken, load_config(FrontEndConfig, about), sides[spoken].clock, args.allow_pipes
    )
    known = sides[spoken].comparable_frames(means[spoken])
    usual = [known[utt] for utt in shuffled(known, seed=1)[: args.background]]
    vectors = query_vectors(CaptionFrames(asked.frames, means[spoken], asked.speech))
    hits = search_captions(vectors, target.comparable_frames(means[args.language]), usual, target.clock)
    images, image_scores = search_images(asked, ArchiveReader(args.embed / "images.scp"))
    write_tsv(args.out / "captions.tsv", CAPTIONS_HEADER, best_captions(queries, hits, sets[args.language], args.top))
    write_tsv(args.out / "images.tsv", IMAGES_HEADER, best_images(queries, images, image_scores, args.top))

    summary = f"query_by_voice: {len(queries)} queries in {spoken}, {len(hits.captions)} captions in {args.language}"
    truth = args.lexicon or args.data / "lexicon.tsv"
    if queries.text and (args.lexicon or truth.exists()):
        lexicon = read_lexicon(truth)
        known_words = Asked.of(queries, spoken, lexicon, args.others_only)
        shown = ImageSet.load(args.data / "images" / args.split)
        scores = {"captions": score_captions(known_words, hits, sets[args.language], args.language, lexicon)}
        if shown.objects():
            scores["images"] = score_images(known_words, images, image_scores, shown)
        write_json(args.out / "scores.json", {"queries": spoken, "captions_in": args.language, **scores})
        for kind, found in scores.items():
            listed = ", ".join(f"{key} {value:.3f}" for key, value in found.items() if isinstance(value, float))
            summary += f"; {kind}: {listed}"
    print(summary)


if __name__ == "__main__":
    run_main(main)
