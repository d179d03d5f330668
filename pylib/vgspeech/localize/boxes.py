"""Do words look at the objects they name? Scores against object boxes, for corpora that come with them.

Two questions, each with its chance level:

noun in box
    The frames of a noun are averaged (word times known) and compared by raw dot product with the cells of the image; is
    the centre of the best cell inside the noun's object? Chance is the share of cells inside it. Random weights score
    above chance, because random features already tell objects from background, so the untrained model is the honest
    baseline.
top frame
    The strongest frame of the subtracted matchmap, found without word times: does it lie inside a content word, and is
    its best cell inside what that word names?
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vgspeech.config import ImageEncoderConfig
from vgspeech.datadir import SceneObject, Word
from vgspeech.errors import DataError
from vgspeech.localize.matchmaps import FrameTimes, choose_unrelated, frame_cell_scores, subtracted_matchmap

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """The part of an original image that the model sees in evaluation, in original pixels (x1, y1 exclusive)."""

    x0: float
    y0: float
    x1: float
    y1: float

    def cell_centres(self, shape: tuple[int, int]) -> np.ndarray:
        """Centres of the cells of an (H, W) grid in original pixels, row by row: (H*W, 2) as x, y."""
        height, width = shape
        x = self.x0 + (np.arange(width) + 0.5) * (self.x1 - self.x0) / width
        y = self.y0 + (np.arange(height) + 0.5) * (self.y1 - self.y0) / height
        return np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Fractions of the view as a point in original pixels."""
        return self.x0 + x * (self.x1 - self.x0), self.y0 + y * (self.y1 - self.y0)

    def fractions(self, box: Box) -> Box:
        """A box in original pixels as fractions of the view."""
        width, height = self.x1 - self.x0, self.y1 - self.y0
        x0, y0, x1, y1 = box
        return (x0 - self.x0) / width, (y0 - self.y0) / height, (x1 - self.x0) / width, (y1 - self.y0) / height


def visible_part(width: int, height: int, settings: ImageEncoderConfig) -> View:
    """Undo the evaluation transform: shorter side to ``resize``, then the centre square of ``image_size``.

    Args:
        width: of the original image, in pixels.
        height: of the original image, in pixels.
        settings: of the image encoder.
    """
    side = settings.image_size * min(width, height) / settings.resize
    x0, y0 = (width - side) / 2, (height - side) / 2
    return View(x0, y0, x0 + side, y0 + side)


def cells_in_boxes(centres: np.ndarray, boxes: Iterable[Box]) -> np.ndarray:
    """Which of the points (C, 2) lie in at least one box: (C,) bool."""
    inside = np.zeros(len(centres), bool)
    for x0, y0, x1, y1 in boxes:
        x, y = centres[:, 0], centres[:, 1]
        inside |= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return inside


@dataclass
class NounScore:
    """Counts of the noun-in-box score; ``chance`` is the mean share of cells inside the box."""

    nouns: int = 0
    correct: int = 0
    outside_view: int = 0
    chance: float = 0.0
    accuracy: float | None = None


@dataclass
class TopFrameScore:
    """Counts and rates of the top-frame score, over captions.

    ``in_content_word_raw`` is the same without subtraction; ``content_word_share`` is the chance level of
    ``in_content_word``; ``in_box`` and ``in_box_chance`` are over captions whose top frame lies in a content word.
    """

    captions: int = 0
    content_word_share: float = 0.0
    in_content_word: float | None = None
    in_content_word_raw: float | None = None
    in_box: float | None = None
    in_box_chance: float | None = None


@dataclass(frozen=True)
class Scene:
    """One caption with its image, ready to be scored."""

    frames: np.ndarray
    cells: np.ndarray
    centres: np.ndarray
    words: Sequence[Word]
    objects: Sequence[SceneObject]


def score_nouns(scenes: Iterable[Scene], times: FrameTimes, concepts_of: Callable[[str], set[str]]) -> NounScore:
    """The noun-in-box score of one language.

    A noun counts when its object is in the image; objects with no cell centre inside (too small, or cropped away)
    cannot be hit by any model and are counted in ``outside_view`` instead. Several objects of one concept all count.

    Args:
        scenes: captions with frames (T, D), cells (C, D), cell centres (C, 2), words and objects.
        times: when the frames are.
        concepts_of: from a word to the concepts it may name.
    """
    score, chances = NounScore(), []
    for scene in scenes:
        for word in scene.words:
            concepts = concepts_of(word.text)
            boxes = [o.box for o in scene.objects if o.concept in concepts]
            if not boxes:
                continue
            inside = cells_in_boxes(scene.centres, boxes)
            if not inside.any():
                score.outside_view += 1
                continue
            span = times.inside(word.start_s, word.end_s, len(scene.frames))
            best = frame_cell_scores(scene.frames[span].mean(axis=0, keepdims=True), scene.cells).argmax()
            score.nouns += 1
            score.correct += bool(inside[best])
            chances.append(float(inside.mean()))
    if score.nouns:
        score.accuracy = score.correct / score.nouns
        score.chance = float(np.mean(chances))
    return score


def score_top_frames(
    scenes: Iterable[tuple[Scene, Sequence[np.ndarray]]], times: FrameTimes, concepts_of: Callable[[str], set[str]]
) -> TopFrameScore:
    """The top-frame score of one language; a content word is one that names a concept.

    Args:
        scenes: captions, each with the grids (C_i, D) of unrelated images.
        times: when the frames are.
        concepts_of: from a word to the concepts it may name.
    """
    content, raw, share, hits, chances = [], [], [], [], []
    for scene, unrelated in scenes:
        content_words = [word for word in scene.words if concepts_of(word.text)]
        centres = times.centres(len(scene.frames))
        matchmap = subtracted_matchmap(scene.frames, scene.cells, unrelated)
        top, cell = np.unravel_index(matchmap.argmax(), matchmap.shape)
        word = _word_at(content_words, centres[top])
        raw_top = int(frame_cell_scores(scene.frames, scene.cells).max(axis=1).argmax())
        content.append(word is not None)
        raw.append(_word_at(content_words, centres[raw_top]) is not None)
        share.append(np.mean([_word_at(content_words, centre) is not None for centre in centres]))
        if word is None:
            continue
        concepts = concepts_of(word.text)
        inside = cells_in_boxes(scene.centres, [o.box for o in scene.objects if {o.concept, o.colour} & concepts])
        hits.append(bool(inside[cell]))
        chances.append(float(inside.mean()))
    return TopFrameScore(
        captions=len(content),
        content_word_share=_mean(share) or 0.0,
        in_content_word=_mean(content),
        in_content_word_raw=_mean(raw),
        in_box=_mean(hits),
        in_box_chance=_mean(chances),
    )


def _word_at(words: Sequence[Word], time_s: float) -> Word | None:
    return next((word for word in words if word.start_s <= time_s < word.end_s), None)


def _mean(values: Sequence[Any]) -> float | None:
    return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class Embedded:
    """What a model makes of one split: mappings from ids to arrays, all that localisation needs.

    Attributes:
        frames: utterance to frames (T, D), for one language.
        grids: image to cells (H*W, D).
        shapes: image to (H, W).
    """

    frames: Mapping[str, np.ndarray]
    grids: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, int]]


def read_grid_shapes(table: Mapping[str, str], where: str) -> dict[str, tuple[int, int]]:
    """Parse a ``grid_shape`` table (image, ``H W``).

    Raises:
        DataError: a value is not two whole numbers.
    """
    shapes = {}
    for image, text in table.items():
        match = re.fullmatch(r"(\d+) (\d+)", text.strip())
        if not match:
            raise DataError(f"expected 'image H W', got '{image} {text}'", where=where)
        shapes[image] = (int(match[1]), int(match[2]))
    return shapes


@dataclass(frozen=True)
class Truth:
    """What is known of one language's captions and their images.

    Attributes:
        utt2image: which image a caption describes.
        words: utterance to its words and their times.
        objects: image to the objects in it.
        views: the part of every image that the model sees.
        concepts_of: from a word of this language to the concepts it may name.
    """

    utt2image: Mapping[str, str]
    words: Mapping[str, Sequence[Word]]
    objects: Mapping[str, Sequence[SceneObject]]
    views: Mapping[str, View]
    concepts_of: Callable[[str], set[str]]


def score_language(embedded: Embedded, times: FrameTimes, truth: Truth, top_frames: bool = True) -> dict[str, Any]:
    """Both scores of one language, ready for JSON; captions without words or objects are counted, not scored.

    Args:
        embedded: frames and grids; grids are read once and kept.
        times: when the frames are.
        truth: words, objects, and what names what.
        top_frames: also score the top frame of the subtracted matchmap.
    """
    grids = {image: np.asarray(embedded.grids[image]) for image in embedded.grids}
    images = sorted(grids)
    image_of = truth.utt2image
    usable = [
        utt
        for utt in embedded.frames
        if utt in truth.words and image_of[utt] in truth.objects and image_of[utt] in grids
    ]

    def scene(utt: str) -> Scene:
        image = image_of[utt]
        centres = truth.views[image].cell_centres(embedded.shapes[image])
        return Scene(np.asarray(embedded.frames[utt]), grids[image], centres, truth.words[utt], truth.objects[image])

    result: dict[str, Any] = {
        "captions": len(usable),
        "captions_without_words_or_objects": len(embedded.frames) - len(usable),
        "noun_in_box": asdict(score_nouns(map(scene, usable), times, truth.concepts_of)),
    }
    if top_frames and len(images) > 1:
        pairs = ((scene(utt), [grids[i] for i in choose_unrelated(image_of[utt], images)]) for utt in usable)
        result["top_frame"] = asdict(score_top_frames(pairs, times, truth.concepts_of))
    return result
