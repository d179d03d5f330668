"""Score the baselines of one split, each on the captions and images that the model was scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from vgspeech.archive import ArchiveReader
from vgspeech.baselines.colours import Bag, colour_scores, named_colours
from vgspeech.baselines.dtw import dtw_costs, dtw_features
from vgspeech.baselines.ranking import score_pair, with_mean
from vgspeech.config import SimilarityConfig
from vgspeech.datadir import ImageSet, Lexicon, SpeechSet, read_lexicon
from vgspeech.embedding import load_embedded
from vgspeech.errors import DataError
from vgspeech.features import LogMels
from vgspeech.files import read_json
from vgspeech.retrieval import IMAGE, evaluate


class Unavailable(Exception):
    """A baseline cannot be scored on this corpus; the message says what it lacks."""


@dataclass(frozen=True)
class EvaluatedSplit:
    """What a model was scored on.

    Attributes:
        data: data/<corpus>.
        split: its name.
        speech: language to its speech set.
        captions: language to the captions with an embedded image, sorted.
        images: the embedded images with a caption, sorted.
    """

    data: Path
    split: str
    speech: dict[str, SpeechSet]
    captions: dict[str, list[str]]
    images: list[str]

    @classmethod
    def load(cls, embed: Path, data: Path, split: str) -> EvaluatedSplit:
        """From the ids in an ``embed/`` folder."""
        grids = ArchiveReader(embed / "images.scp")
        speech, captions = {}, {}
        for lang in read_json(embed / "embed.json")["frame_shift_s"]:
            speech[lang] = SpeechSet.load(data / "speech" / f"{split}_{lang}")
            utt2image = speech[lang].utt2image
            captions[lang] = [utt for utt in ArchiveReader(embed / f"{lang}.scp") if utt2image.get(utt) in grids]
        described = {speech[lang].utt2image[utt] for lang, utts in captions.items() for utt in utts}
        return cls(data, split, speech, captions, [image for image in grids if image in described])


def score_baselines(split: EvaluatedSplit, untrained_embed: Path | None, dtw_images: int) -> dict[str, Any]:
    """All baselines that the corpus allows, for ``baselines.json``.

    Args:
        split: what to score on.
        untrained_embed: embeddings of the untrained model, if there are any.
        dtw_images: images whose captions DTW compares.

    Returns:
        ``untrained``, ``colours_only``, ``dtw``: directions and means as in ``results.json``; ``missing``: the others,
        with the reason.
    """
    attempts = {
        "untrained": lambda: score_untrained(untrained_embed, split.data, split.split),
        "colours_only": lambda: score_colours(split),
        "dtw": lambda: score_dtw(split, dtw_images),
    }
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, attempt in attempts.items():
        try:
            found[name] = attempt()
        except Unavailable as reason:
            missing[name] = str(reason)
    return {"split": split.split, **found, "missing": missing}


def score_untrained(embed: Path | None, data: Path, split: str) -> dict[str, Any]:
    """The untrained model, scored by the trained one's own code.

    Raises:
        Unavailable: no embeddings of it.
    """
    if embed is None:
        raise Unavailable("no embeddings of the untrained model were given")
    similarity = SimilarityConfig(**read_json(embed / "embed.json")["similarity"])
    images, captions, _ = load_embedded(embed, data, split, similarity.type == "SISA")
    return evaluate(images, captions, similarity, draws=0).as_dict()


def score_colours(split: EvaluatedSplit) -> dict[str, Any]:
    """The colours-only oracle in all directions.

    Raises:
        Unavailable: the corpus says neither what words mean nor what images show.
    """
    objects = ImageSet.load(split.data / "images" / split.split).objects()
    if not (split.data / "lexicon.tsv").exists() or not objects:
        raise Unavailable("needs lexicon.tsv and objects.tsv")
    lexicon = read_lexicon(split.data / "lexicon.tsv")
    colours = {thing.colour for things in objects.values() for thing in things}
    bags: dict[str, list[Bag]] = {IMAGE: [Bag(thing.colour for thing in objects.get(i, [])) for i in split.images]}
    images: dict[str, list[str]] = {IMAGE: split.images}
    for lang, utts in split.captions.items():
        bags[lang] = _bags_of_captions(split.speech[lang], lang, utts, lexicon, colours)
        images[lang] = [split.speech[lang].utt2image[utt] for utt in utts]
    directions: dict[str, Any] = {}
    for a, b in combinations(bags, 2):
        directions |= score_pair((a, b), colour_scores(bags[a], bags[b]), (images[a], images[b]))
    return with_mean(directions)


def _bags_of_captions(
    speech: SpeechSet, lang: str, utts: Sequence[str], lexicon: Lexicon, colours: set[str]
) -> list[Bag]:
    """The colours that each caption names, by its word times or else its transcript."""
    if not speech.ctm and not speech.text:
        raise Unavailable(f"needs text or ctm of {lang}")

    def concepts_of(word: str) -> set[str]:
        return lexicon.concepts_of(lang, word)

    bags = []
    for utt in utts:
        words = [word.text for word in speech.ctm.get(utt, [])] or speech.text.get(utt, "").split()
        bags.append(named_colours(words, concepts_of, colours))
    return bags


def score_dtw(split: EvaluatedSplit, limit: int) -> dict[str, Any]:
    """DTW between the languages, on the first caption of at most ``limit`` images that have one in all, evenly spread.

    Raises:
        Unavailable: one language only, or no common image.
    """
    if len(split.captions) < 2:
        raise Unavailable("needs two languages")
    of_image = {
        lang: {split.speech[lang].utt2image[utt]: utt for utt in reversed(utts)}
        for lang, utts in split.captions.items()
    }
    shared = sorted(set.intersection(*(set(captions) for captions in of_image.values())))
    if not shared:
        raise Unavailable("needs images with captions in all languages")
    count = min(limit, len(shared))
    images = [shared[i * len(shared) // count] for i in range(count)]
    features = {}
    for lang, captions in of_image.items():
        path = split.speech[lang].path / "feats.scp"
        if not path.exists():
            raise DataError("no features", where=str(path), hint="run stage 1")
        mel = LogMels(path)
        features[lang] = [dtw_features(mel[captions[image]]) for image in images]
    directions: dict[str, Any] = {}
    for a, b in combinations(features, 2):
        directions |= score_pair((a, b), -dtw_costs(features[a], features[b]), (images, images))
    return with_mean(directions)
