"""Search by a shown image or a recording: the best captions and images, and which part of each answers.

=====================  =================================================  ====================================================
the query              captions are ranked by                             images are ranked by
=====================  =================================================  ====================================================
an image               the model's similarity (or ``simtype``)            the similarity of the mean cells
a recorded word        their best frame (`lexicon.voice_query`)           their best cell
a recorded sentence    the similarity of the mean frames, as in           the model's similarity (or ``simtype``)
                       retrieval between languages
=====================  =================================================  ====================================================

Items are found in three steps: bounds on all scores (`rough`), exact scores of those that may be among the best, and for
the best ones what in them answers: matchmaps, from which the response to images that do not resemble the query is
subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vgspeech.config import SimilarityType
from vgspeech.errors import UsageError
from vgspeech.lexicon.captions import FrameClock
from vgspeech.lexicon.voice_query import Queries, answers, query_vectors, search_captions, search_images
from vgspeech.loaded import Caption, Picture
from vgspeech.localize.matchmaps import UNRELATED_IMAGES, active_spans, choose_unrelated, span_map, subtracted_matchmap
from vgspeech.search.index import CaptionSide, Side
from vgspeech.search.rough import Bounds, best_of_item, best_of_query, contenders, pooled_bounds, word_bounds
from vgspeech.search.searched_set import SearchedSet
from vgspeech.similarity import pool_frames, pool_grid

Array = np.ndarray[Any, np.dtype[Any]]
Stretch = tuple[float, float]

STRETCHES = 3
"""Parts of a caption that are shown, at most."""


@dataclass(frozen=True)
class FoundCaption:
    """A caption of the set.

    Attributes:
        language, utt, image: which.
        score: by which it was ranked.
        answer: (T,) how each frame answers to the query.
        stretches: start and end, in seconds of the caption, of the parts that answer, in time order.
        best: the part that answers most; None where no part does.
        matchmap: (T, H, W), what each frame lights up in the shown image or, for a recording, in the caption's own image.
    """

    language: str
    utt: str
    image: str
    score: float
    answer: Array
    stretches: list[Stretch]
    best: Stretch | None
    matchmap: Array


@dataclass(frozen=True)
class FoundImage:
    """An image of the set; ``lit`` (H, W) is what in it answers to the query."""

    image: str
    score: float
    lit: Array


@dataclass(frozen=True)
class Found:
    """What a search found, and how many captions and images it searched.

    Captions come language by language, the best of each first.
    """

    captions: list[FoundCaption]
    images: list[FoundImage]
    searched_captions: int
    searched_images: int


def search_by_image(
    of: SearchedSet, shown: Picture, languages: Sequence[str], top: int, simtype: SimilarityType | None = None
) -> Found:
    """Captions that describe an image, and images that resemble it.

    Args:
        of: the set.
        shown: the image.
        languages: of the captions.
        top: captions of each language, and images, at most.
        simtype: instead of the model's similarity.
    """
    config = of.model.config.similarity
    kind = simtype or config.type
    pooled = pool_grid(torch.from_numpy(shown.cells)[None])[0].numpy()

    def bounds(side: CaptionSide) -> Bounds:
        if kind == "SISA":
            return pooled_bounds(side, pooled, config)
        return (best_of_query if kind == "MISA" else best_of_item)(side, shown.flat, config.normalise)

    def exact(side: CaptionSide, utts: list[str]) -> Array:
        return np.array([of.model.similarity(of.caption(side.name, utt), shown, kind) for utt in utts])

    resembling = pooled_bounds(of.index.images, pooled, config)
    unrelated = _unrelated(of, resembling.low)
    best = _best_captions(of, languages, top, bounds, None if kind == "SISA" else exact)
    captions = [_caption_of_image(of, found, shown, unrelated) for found in best]
    images = [
        FoundImage(image, score, _alike(of.picture(image), shown, unrelated))
        for image, score in _best_images(of.index.images, resembling, top, None)
    ]
    return _found(of, languages, captions, images)


def search_by_word(of: SearchedSet, said: Caption, languages: Sequence[str], top: int) -> Found:
    """Captions in which a recorded word, or its translation, is said, and images that show it.

    Args:
        of: the set.
        said: the recording.
        languages: of the captions.
        top: captions of each language, and images, at most.
    """
    spoken = _spoken_frames(said)
    word = query_vectors({"": of.comparable(said.language, said.frames, spoken)})
    background = of.background(said.language)
    stretches: dict[tuple[str, str], Stretch] = {}

    def exact(side: CaptionSide, utts: list[str]) -> Array:
        frames = {utt: of.comparable(side.name, (c := of.caption(side.name, utt)).frames, c.spoken) for utt in utts}
        times = of.embed.times[side.name]
        hits = search_captions(word, frames, background, FrameClock(times.shift_s, times.offset_s))
        for utt, (_, start_s, end_s) in zip(hits.captions, hits.times[0].tolist(), strict=True):
            stretches[side.name, utt] = (start_s, end_s)
        return hits.scores[0]

    best = _best_captions(of, languages, top, lambda side: word_bounds(side, word[0], said.language), exact)
    captions = []
    for found in best:
        caption, stretch = of.caption(*found[:2]), stretches[found[:2]]
        answer = answers(word, of.comparable(found[0], caption.frames, caption.spoken), background)[:, 0]
        captions.append(_caption_of_sound(of, found, answer, [stretch], stretch))
    queries = Queries({"": said.frames}, {"": spoken})
    mean = said.frames[spoken].mean(0)
    ranked = _best_images(
        of.index.images,
        best_of_item(of.index.images, mean[None], False),
        top,
        lambda images: search_images(queries, {image: of.embed.grids[image] for image in images})[1][0],
    )
    return _found(of, languages, captions, _lit_images(of, ranked, said, spoken, whole=True))


def search_by_sentence(
    of: SearchedSet, said: Caption, languages: Sequence[str], top: int, simtype: SimilarityType | None = None
) -> Found:
    """Captions that say what a recording says, and images that it describes.

    Args: as of `search_by_word`; ``simtype``: instead of the model's similarity.
    """
    spoken = _spoken_frames(said)
    config = of.model.config.similarity
    kind = simtype or config.type
    pooled = pool_frames(torch.from_numpy(said.frames)[None], torch.tensor([len(said.frames)]))[0].numpy()
    best = _best_captions(of, languages, top, lambda side: pooled_bounds(side, pooled, config), None)
    query, background = of.comparable(said.language, said.frames, spoken), of.background(said.language)
    captions = []
    for found in best:
        caption = of.caption(*found[:2])
        frames = of.comparable(found[0], caption.frames, caption.spoken)
        alike = subtracted_matchmap(frames, query, background)
        spans, strongest = _stretches(alike, caption)
        captions.append(_caption_of_sound(of, found, alike.max(1), spans, strongest))
    side = of.index.images
    if kind == "SISA":
        ranked = _best_images(side, pooled_bounds(side, pooled, config), top, None)
    else:
        bounds = (best_of_item if kind == "MISA" else best_of_query)(side, said.frames, config.normalise)
        ranked = _best_images(
            side, bounds, top, lambda images: np.array([of.model.similarity(said, of.picture(i), kind) for i in images])
        )
    return _found(of, languages, captions, _lit_images(of, ranked, said, spoken, whole=False))


def languages_to_search(of: SearchedSet, wanted: str | None) -> list[str]:
    """The language that was asked for, or all.

    Raises:
        UsageError: the set has no captions in it.
    """
    if wanted is not None and wanted not in of.speech:
        raise UsageError(f"--lang: the set has no captions in '{wanted}' (it has: {', '.join(of.speech)})")
    return [wanted] if wanted is not None else list(of.speech)


# ---- ranking ----

Ranked = tuple[str, str, float]
"""Language, utterance and score."""


def _best_captions(
    of: SearchedSet,
    languages: Sequence[str],
    top: int,
    bounds: Callable[[CaptionSide], Bounds],
    exact: Callable[[CaptionSide, list[str]], Array] | None,
) -> list[Ranked]:
    """The best captions of each of some languages; equal scores in the order of ids.

    Languages are ranked apart: a word is more like itself than like its translations.

    Args:
        bounds: of the scores of a side's captions.
        exact: scores of some captions of a side, sorted by id; None where the bounds are exact.
    """
    found: list[Ranked] = []
    for language in languages:
        side = of.index.captions(language)
        limits = bounds(side)
        chosen = contenders(limits, of.may_be_found(language), top)
        utts = [side.ids[i] for i in chosen]
        scores = exact(side, utts) if exact is not None and utts else limits.low[chosen]
        ranked = [(language, utt, float(score)) for utt, score in zip(utts, scores, strict=True)]
        found += sorted(ranked, key=lambda item: (-item[2], item[1]))[:top]
    return found


def _best_images(
    side: Side, limits: Bounds, top: int, exact: Callable[[list[str]], Array] | None
) -> list[tuple[str, float]]:
    """The best images and their scores, as `_best_captions`."""
    chosen = contenders(limits, np.ones(len(side), bool), top)
    images = [side.ids[i] for i in chosen]
    scores = limits.low[chosen] if exact is None else exact(images)
    return sorted(zip(images, map(float, scores), strict=True), key=lambda item: (-item[1], item[0]))[:top]


def _unrelated(of: SearchedSet, resemblance: Array) -> list[Picture]:
    """Images that do not resemble the query: evenly spread over the less similar half.

    Args:
        resemblance: (I,) of every image with the query.
    """
    less = np.argsort(resemblance, kind="stable")[: len(resemblance) // 2]
    chosen = less[np.linspace(0, len(less) - 1, min(UNRELATED_IMAGES, len(less))).astype(int)]
    return [of.picture(of.index.images.ids[i]) for i in chosen]


# ---- what answers ----


def _caption_of_image(of: SearchedSet, found: Ranked, shown: Picture, unrelated: Sequence[Picture]) -> FoundCaption:
    """A caption found by an image: the parts that light something up in the shown image."""
    language, utt, score = found
    caption = of.caption(language, utt)
    matchmap = of.model.matchmap(caption, shown, unrelated)
    image, flat = of.speech[language].utt2image[utt], matchmap.reshape(len(matchmap), -1)
    return FoundCaption(language, utt, image, score, flat.max(1), *_stretches(flat, caption), matchmap)


def _caption_of_sound(
    of: SearchedSet, found: Ranked, answer: Array, spans: list[Stretch], strongest: Stretch | None
) -> FoundCaption:
    """A caption found by a recording, with what it lights up in its own image."""
    language, utt, score = found
    image = of.speech[language].utt2image[utt]
    ids = of.index.images.ids
    unrelated = [of.picture(other) for other in choose_unrelated(image, ids)] if len(ids) > 1 else []
    matchmap = of.model.matchmap(of.caption(language, utt), of.picture(image), unrelated)
    return FoundCaption(language, utt, image, score, answer, spans, strongest, matchmap)


def _stretches(matchmap: Array, caption: Caption) -> tuple[list[Stretch], Stretch | None]:
    """The parts of a caption that answer, and the one that answers most, by a (T, C) matchmap."""
    spans = active_spans(matchmap, caption.times, caption.duration_s, STRETCHES)

    def height(span: Stretch) -> float:
        return float(matchmap[caption.times.inside(*span, len(matchmap))].max())

    return spans, max(spans, key=height, default=None)


def _lit_images(
    of: SearchedSet, ranked: Sequence[tuple[str, float]], said: Caption, spoken: Array, whole: bool
) -> list[FoundImage]:
    """Images found by a recording, with what it lights up: ``whole``, as one word does, or in its most active parts."""
    pooled = said.frames[spoken].mean(0)
    unrelated = _unrelated(of, pooled_bounds(of.index.images, pooled, of.model.config.similarity).low)
    found = []
    for image, score in ranked:
        matchmap = of.model.matchmap(said, of.picture(image), unrelated)
        flat = matchmap.reshape(len(matchmap), -1)
        spans = [] if whole else _stretches(flat, said)[0]
        parts = [said.times.inside(*span, len(flat)) for span in spans] or [np.flatnonzero(spoken)]
        lit = np.max([span_map(flat, part) for part in parts], axis=0)
        found.append(FoundImage(image, score, lit.reshape(matchmap.shape[1:])))
    return found


def _alike(picture: Picture, shown: Picture, unrelated: Sequence[Picture]) -> Array:
    """(H, W): how far each cell of a found image exceeds, in its best match, what it finds in unrelated images."""
    others = [other.flat for other in unrelated]
    cells = subtracted_matchmap(picture.flat, shown.flat, others) if others else picture.flat @ shown.flat.T
    return cells.max(1).reshape(picture.cells.shape[:2])


def _spoken_frames(said: Caption) -> Array:
    """(T,) bool, the frames of a recording in which somebody speaks."""
    return np.ones(len(said.frames), bool) if said.spoken is None else said.spoken


def _found(of: SearchedSet, languages: Sequence[str], captions: list[FoundCaption], images: list[FoundImage]) -> Found:
    count = sum(int(of.may_be_found(lang).sum()) for lang in languages)
    return Found(captions, images, count, len(of.index.images))
