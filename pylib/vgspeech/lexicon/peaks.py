"""Peaks: where two captions of one image, one in each language, say something similar.

The similarity of every frame of one caption with every frame of the other (the cosine, Azuh, Harwath & Glass 2019) is
high wherever both say the same word, but also wherever one of them says what goes with anything: silence, function
words. So each frame's mean best response to captions of *other* images is subtracted (negative evidence; Pirlogeanu et
al. 2026). What stands out then, in its row and in its column, is a peak.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vgspeech.lexicon.captions import FrameClock, ImageCaptions, windowed
from vgspeech.lexicon.collapse import CollapseOptions, pick_segments

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PeakOptions:
    """How peaks are found."""

    detector: Literal["2d", "1d"] = "2d"
    """``2d``: cells of the similarity (``pick_peaks``); ``1d``: stretches of collapsed curves (``collapse``). Of the options
    below, the 1-D detector uses ``background`` and ``per_pair``."""
    background: int = 20
    """Images whose captions give the response to unrelated captions; 0 subtracts nothing."""
    relative: float = 0.3
    """A peak is at least this fraction of the pair's maximum ..."""
    deviations: float = 1.0
    """... and this many standard deviations above the pair's mean, and above 0."""
    per_pair: int = 8
    """At most this many, the highest."""
    extent: float = 0.15
    """A peak's interval reaches as far as the similarity stays above this fraction of the peak (on the mini corpus 0.05
    to 0.2 give the same error of starts and ends, 0.5 makes words 100 ms too short)."""
    collapse: CollapseOptions = field(default_factory=CollapseOptions)
    """Thresholds of the 1-D detector."""


@dataclass
class Peaks:
    """Found peaks, one row each, sorted by (utterance a, utterance b, time a, time b).

    Attributes:
        image, utt_a, utt_b: ids.
        times_a, times_b: (N, 3) float64 seconds in each caption: the peak, start and end of its interval.
        scores: (N,) float32, similarity above the response to unrelated captions.
        vectors_a, vectors_b: (N, D) float32 of unit length: the frames around the peak, each in its own caption.
        n_pairs: caption pairs that were searched.
    """

    image: list[str] = field(default_factory=list)
    utt_a: list[str] = field(default_factory=list)
    utt_b: list[str] = field(default_factory=list)
    times_a: Array = field(default_factory=lambda: np.zeros((0, 3)))
    times_b: Array = field(default_factory=lambda: np.zeros((0, 3)))
    scores: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    vectors_a: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    vectors_b: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    n_pairs: int = 0

    def __len__(self) -> int:
        return len(self.scores)


def find_peaks(
    blocks: Sequence[Sequence[ImageCaptions]],
    frames_a: Mapping[str, Array],
    frames_b: Mapping[str, Array],
    clocks: tuple[FrameClock, FrameClock],
    options: PeakOptions,
) -> Peaks:
    """Peaks of all caption pairs of every image of the blocks.

    Args:
        blocks: of ``options.background + 1`` images each (``caption_blocks``); a block's result depends on it alone.
        frames_a, frames_b: (T, D) unit-length frame embeddings by utterance id.
        clocks: times of their frames.
        options: thresholds.
    """
    parts: list[Peaks] = []
    for block in blocks:
        parts.extend(_block_peaks(block, frames_a, frames_b, clocks, options))
    return concatenate(parts)


def concatenate(parts: Sequence[Peaks]) -> Peaks:
    """All rows of ``parts``, sorted."""
    filled = [part for part in parts if len(part)]
    total = sum(part.n_pairs for part in parts)
    if not filled:
        return Peaks(n_pairs=total)
    utt_a, utt_b = [x for part in filled for x in part.utt_a], [x for part in filled for x in part.utt_b]
    image = [x for part in filled for x in part.image]
    times_a, times_b = (np.concatenate([getattr(part, name) for part in filled]) for name in ("times_a", "times_b"))
    order = sorted(range(len(image)), key=lambda i: (utt_a[i], utt_b[i], times_a[i, 0], times_b[i, 0]))
    return Peaks(
        image=[image[i] for i in order],
        utt_a=[utt_a[i] for i in order],
        utt_b=[utt_b[i] for i in order],
        times_a=times_a[order],
        times_b=times_b[order],
        scores=np.concatenate([part.scores for part in filled])[order],
        vectors_a=_rows([part.vectors_a for part in filled], order),
        vectors_b=_rows([part.vectors_b for part in filled], order),
        n_pairs=total,
    )


def _rows(parts: Sequence[Array], order: Sequence[int]) -> Array:
    """Rows of all parts in an order; nothing where the parts hold nothing."""
    joined = np.concatenate(parts)
    return joined[order] if len(joined) else joined


def _block_peaks(
    block: Sequence[ImageCaptions],
    frames_a: Mapping[str, Array],
    frames_b: Mapping[str, Array],
    clocks: tuple[FrameClock, FrameClock],
    options: PeakOptions,
) -> list[Peaks]:
    """One ``Peaks`` for every caption pair of a block."""
    read_a = [[frames_a[utt] for utt in image.a] for image in block]
    read_b = [[frames_b[utt] for utt in image.b] for image in block]
    similarities, response_a, response_b = _similarities(read_a, read_b, subtract=options.background > 0)
    parts = []
    for i, image in enumerate(block):
        ends_a, ends_b = _ends(read_a[i]), _ends(read_b[i])
        for k, m in image.compared():
            rows, columns = slice(ends_a[k], ends_a[k + 1]), slice(ends_b[m], ends_b[m + 1])
            excess = similarities[i][rows, columns]
            excess = excess - 0.5 * (response_a[i][rows, None] + response_b[i][columns])
            at_a, at_b, scores = _detect(excess, clocks, options)
            utt_a, utt_b = ([utt] * len(scores) for utt in (image.a[k], image.b[m]))
            found = Peaks([image.image] * len(scores), utt_a, utt_b, n_pairs=1)
            found.times_a, found.times_b, found.scores = clocks[0].seconds(at_a), clocks[1].seconds(at_b), scores
            found.vectors_a = windowed(read_a[i][k], at_a[:, 0].astype(np.int64))
            found.vectors_b = windowed(read_b[i][m], at_b[:, 0].astype(np.int64))
            parts.append(found)
    return parts


def _detect(excess: Array, clocks: tuple[FrameClock, FrameClock], options: PeakOptions) -> tuple[Array, Array, Array]:
    """Peaks of one pair of captions by the detector that was asked for."""
    if options.detector == "2d":
        return pick_peaks(excess, options)
    frames_a, frames_b, scores = pick_segments(excess, (clocks[0].shift_s, clocks[1].shift_s), options.collapse)
    best = _highest(frames_a[:, 0], frames_b[:, 0], scores, options.per_pair)
    return frames_a[best], frames_b[best], scores[best]


def _highest(rows: Array, columns: Array, scores: Array, count: int) -> Array:
    """Which ``count`` peaks are the highest, in the order in which they were."""
    return np.sort(np.lexsort((columns, rows, -scores))[:count])


def _ends(arrays: Sequence[Sized]) -> list[int]:
    """0 and the running sum of lengths."""
    return [0, *np.cumsum([len(x) for x in arrays]).tolist()]


def _similarities(
    captions_a: Sequence[Sequence[Array]], captions_b: Sequence[Sequence[Array]], subtract: bool
) -> tuple[list[Array], list[Array], list[Array]]:
    """Similarities within every image, and every frame's response to the captions of the block's other images.

    One product of all frames of one language with all of the other gives all three, so the responses to R unrelated
    captions cost R + 1 products a pair for both languages together.

    Args:
        captions_a, captions_b: frames of the captions of each image, (T, D).
        subtract: False leaves the responses at 0.

    Returns:
        For each image, captions one after the other: (Ta, Tb) cosines; (Ta,) and (Tb,) responses: the mean over the
        captions of other images of the maximum over their frames.
    """
    joined_a, joined_b = [_joined(x) for x in captions_a], [_joined(x) for x in captions_b]
    if not subtract or len(joined_a) == 1:
        similarities = [a @ b.T for a, b in zip(joined_a, joined_b, strict=True)]
        return (
            similarities,
            [np.zeros(len(a), np.float32) for a in joined_a],
            [np.zeros(len(b), np.float32) for b in joined_b],
        )
    product = np.concatenate(joined_a) @ np.concatenate(joined_b).T
    images_a, images_b = _slices(joined_a), _slices(joined_b)
    # .copy(): a view would keep the whole product alive
    similarities = [product[rows, columns].copy() for rows, columns in zip(images_a, images_b, strict=True)]
    best_in_b = np.maximum.reduceat(product, _caption_starts(captions_b), axis=1)
    best_in_a = np.maximum.reduceat(product, _caption_starts(captions_a), axis=0).T
    return similarities, _responses(best_in_b, images_a, captions_b), _responses(best_in_a, images_b, captions_a)


def _joined(captions: Sequence[Array]) -> Array:
    """All frames of an image's captions, one after the other; not copied where there is one caption."""
    return captions[0] if len(captions) == 1 else np.concatenate(captions)


def _responses(best: Array, images: Sequence[slice], others: Sequence[Sequence[Array]]) -> list[Array]:
    """Mean best match of each image's frames with the other language's captions of other images.

    Args:
        best: (frames, captions of the other language) highest similarity.
        images: frames of every image.
        others: the other language's captions of every image.
    """
    captions = _slices(others)
    responses = []
    for frames, own in zip(images, captions, strict=True):
        weights = np.full(best.shape[1], 1 / (best.shape[1] - (own.stop - own.start)), np.float32)
        weights[own] = 0
        responses.append(best[frames] @ weights)
    return responses


def _caption_starts(captions: Sequence[Sequence[Array]]) -> list[int]:
    """First frame of every caption of a block."""
    return _ends([caption for image in captions for caption in image])[:-1]


def _slices(arrays: Sequence[Sized]) -> list[slice]:
    """Where each of some arrays lies when they are put one after the other."""
    return [slice(start, stop) for start, stop in itertools.pairwise(_ends(arrays))]


def smooth(similarity: Array) -> Array:
    """3 x 3 smoothing with weights [.25 .5 .25] along both axes; edges repeat."""
    for axis in (0, 1):
        view = similarity if axis == 0 else similarity.T
        result = 0.5 * view
        result[1:] += 0.25 * view[:-1]
        result[0] += 0.25 * view[0]
        result[:-1] += 0.25 * view[1:]
        result[-1] += 0.25 * view[-1]
        similarity = result if axis == 0 else result.T
    return similarity


def pick_peaks(similarity: Array, options: PeakOptions) -> tuple[Array, Array, Array]:
    """Cells of the smoothed similarity that are the maximum of their row, their column and their 3 x 3 neighbourhood.

    Args:
        similarity: (Ta, Tb) float32, responses to unrelated captions subtracted.
        options: thresholds.

    Returns:
        (frames a (N, 3), frames b (N, 3), scores (N,)), sorted by frame a; the three columns are the peak, and start and
        end of its interval in fractions of a frame.
    """
    smoothed = smooth(similarity)
    row_best, column_best = smoothed.argmax(1), smoothed.argmax(0)
    rows = np.flatnonzero(column_best[row_best] == np.arange(len(row_best)))
    columns = row_best[rows]
    scores = smoothed[rows, columns]
    floor = max(options.relative * smoothed.max(), smoothed.mean() + options.deviations * smoothed.std())
    keep = (scores >= floor) & (scores > 0)
    rows, columns, scores = rows[keep], columns[keep], scores[keep]
    keep = scores >= _neighbourhood_maximum(smoothed, rows, columns)
    rows, columns, scores = rows[keep], columns[keep], scores[keep]
    if len(scores) > options.per_pair:
        best = _highest(rows, columns, scores, options.per_pair)
        rows, columns, scores = rows[best], columns[best], scores[best]
    level = options.extent * scores
    frames_a = extents(smoothed[:, columns], rows, level)
    frames_b = extents(smoothed[rows].T, columns, level)
    return frames_a, frames_b, scores


def _neighbourhood_maximum(smoothed: Array, rows: Array, columns: Array) -> Array:
    """(N,) maximum of the 3 x 3 cells around each cell."""
    step = np.array([-1, 0, 1])
    near_rows = np.clip(rows[:, None, None] + step[:, None], 0, smoothed.shape[0] - 1)
    near_columns = np.clip(columns[:, None, None] + step, 0, smoothed.shape[1] - 1)
    return smoothed[near_rows, near_columns].max((1, 2))


def extents(profiles: Array, at: Array, level: Array) -> Array:
    """(N, 3) peak, start and end of the run around it whose profile stays at or above ``level``.

    Frame t is at t, and reaches from t - 0.5 to t + 0.5. Between the last frame above and the first one below, the profile
    is taken to be a straight line, which gives ends finer than a frame; at the ends of the caption there is none below.

    Args:
        profiles: (T, N) similarity over time, one column a peak.
        at: (N,) frame of each peak.
        level: (N,) lowest similarity that still belongs to it.
    """
    time = np.arange(len(profiles))[:, None]
    below = profiles < level
    first = np.where(below & (time < at), time, -1).max(0, initial=-1) + 1
    last = np.where(below & (time > at), time, len(profiles)).min(0, initial=len(profiles)) - 1
    start = first - _share_above(profiles, first, first - 1, level)
    return np.stack([at, start, last + _share_above(profiles, last, last + 1, level)], axis=1)


def _share_above(profiles: Array, inner: Array, outer: Array, level: Array) -> Array:
    """(N,) how far the profile stays above ``level`` on its way from frame ``inner`` to its neighbour ``outer``."""
    peak = np.arange(len(inner))
    inside = profiles[inner, peak]
    outside = profiles[np.clip(outer, 0, len(profiles) - 1), peak]
    known = inside > outside
    return np.where(known, (inside - level) / np.where(known, inside - outside, 1.0), 0.5)
