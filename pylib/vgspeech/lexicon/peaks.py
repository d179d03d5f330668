"""Peaks: where two captions of one image, one in each language, say something similar.

The similarity of every frame of one caption with every frame of the other (the cosine, Azuh, Harwath & Glass 2019) is
high wherever both say the same word, but also wherever one of them says what goes with anything: silence, function
words. So each frame's mean best response to captions of *other* images is subtracted (negative evidence; Pirlogeanu et
al. 2026). What stands out then, in its row and in its column, is a peak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vgspeech.lexicon.captions import CaptionFrames, FrameClock, ImageCaptions, windowed
from vgspeech.lexicon.collapse import CollapseOptions, pick_segments
from vgspeech.lexicon.detect import CellOptions, Found, highest, pick_peaks
from vgspeech.lexicon.responses import FrameStack, Similarities

Array = np.ndarray[Any, np.dtype[Any]]


NO_VECTORS: Array = np.zeros((0, 0), np.float32)
UNSUBTRACTED_BLOCK = 16
"""Images that are searched together where no response is subtracted: then a block only saves overhead."""


@dataclass(frozen=True)
class PeakOptions:
    """How peaks are found."""

    detector: Literal["2d", "1d"] = "2d"
    """``2d``: cells of the similarity (``detect``); ``1d``: stretches of collapsed curves (``collapse``). Of the options
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
    rough_from: int = 10_000
    """From this many images on, responses come from products of bfloat16 where the processor is faster at them."""

    def cells(self) -> CellOptions:
        """Those of the 2-D detector."""
        return CellOptions(self.relative, self.deviations, self.per_pair, self.extent)

    def block_size(self) -> int:
        """Images in a block (``caption_blocks``)."""
        return self.background + 1 if self.background else UNSUBTRACTED_BLOCK


@dataclass
class Peaks:
    """Found peaks, one row each, sorted by (utterance a, utterance b, time a, time b).

    Attributes:
        image, utt_a, utt_b: ids.
        times_a, times_b: (N, 3) float64 seconds in each caption: the peak, start and end of its interval.
        scores: (N,) float32, similarity above the response to unrelated captions.
        vectors_a, vectors_b: (N, D) float32 of unit length: the frames around the peak, each in its own caption.
        places_a, places_b: (N, 4) float64: row and column of the image's cell that each side looks at, its x and y as
            fractions of what the model sees (``places``); NaN where not known, (0, 4) when known for none.
        n_pairs: caption pairs that were searched.
    """

    image: list[str] = field(default_factory=list)
    utt_a: list[str] = field(default_factory=list)
    utt_b: list[str] = field(default_factory=list)
    times_a: Array = field(default_factory=lambda: np.zeros((0, 3)))
    times_b: Array = field(default_factory=lambda: np.zeros((0, 3)))
    scores: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    vectors_a: Array = field(default_factory=lambda: NO_VECTORS)
    vectors_b: Array = field(default_factory=lambda: NO_VECTORS)
    places_a: Array = field(default_factory=lambda: np.zeros((0, 4)))
    places_b: Array = field(default_factory=lambda: np.zeros((0, 4)))
    n_pairs: int = 0

    def __len__(self) -> int:
        return len(self.scores)


def find_peaks(
    blocks: Sequence[Sequence[ImageCaptions]],
    frames_a: CaptionFrames,
    frames_b: CaptionFrames,
    clocks: tuple[FrameClock, FrameClock],
    options: PeakOptions,
    rough: bool = False,
) -> Peaks:
    """Peaks of all caption pairs of every image of the blocks (``peaks_of_blocks``), in memory."""
    return concatenate(list(peaks_of_blocks(blocks, frames_a, frames_b, clocks, options, rough)))


def peaks_of_blocks(
    blocks: Sequence[Sequence[ImageCaptions]],
    frames_a: CaptionFrames,
    frames_b: CaptionFrames,
    clocks: tuple[FrameClock, FrameClock],
    options: PeakOptions,
    rough: bool = False,
) -> Iterator[Peaks]:
    """Peaks of one block after the other, which are gone from memory when they are no longer needed.

    Args:
        blocks: of ``options.background + 1`` images each (``caption_blocks``); a block's result depends on it alone.
        frames_a, frames_b: frame embeddings.
        clocks: times of their frames.
        options: thresholds.
        rough: responses of a lower precision (``Similarities``).
    """
    similarities = Similarities(options.background > 0, rough)
    for block in blocks:
        pairs = similarities.of_block(block, (frames_a, frames_b))
        yield _peaks_of(block, pairs, similarities.stacks, clocks, options)


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
        places_a=_rows([part.places_a for part in filled], order),
        places_b=_rows([part.places_b for part in filled], order),
        n_pairs=total,
    )


def _rows(parts: Sequence[Array], order: Sequence[int]) -> Array:
    """Rows of all parts in an order; nothing where the parts hold nothing."""
    joined = np.concatenate(parts)
    return joined[order] if len(joined) else joined


def _peaks_of(
    block: Sequence[ImageCaptions],
    pairs: Sequence[tuple[tuple[int, int], Array]],
    stacks: tuple[FrameStack, FrameStack],
    clocks: tuple[FrameClock, FrameClock],
    options: PeakOptions,
) -> Peaks:
    """Peaks of a block's pairs of captions: numbers in the stacks, and similarities."""
    found = _detect([similarity for _, similarity in pairs], clocks, options)
    utts_a, utts_b = [utt for image in block for utt in image.a], [utt for image in block for utt in image.b]
    image_of = [image.image for image in block for _ in image.a]
    numbers = [pairs[i][0] for i in found.maps]
    sides = zip(stacks, zip(*numbers, strict=True) if numbers else ((), ()), found[1:3], strict=True)
    vectors_a, vectors_b = (_vectors(stack, captions, frames) for stack, captions, frames in sides)
    return Peaks(
        image=[image_of[k] for k, _ in numbers],
        utt_a=[utts_a[k] for k, _ in numbers],
        utt_b=[utts_b[m] for _, m in numbers],
        times_a=clocks[0].seconds(found.frames_a),
        times_b=clocks[1].seconds(found.frames_b),
        scores=found.scores,
        vectors_a=vectors_a,
        vectors_b=vectors_b,
        n_pairs=len(pairs),
    )


def _vectors(stack: FrameStack, captions: Sequence[int], frames: Array) -> Array:
    """(N, D) the frames around peaks.

    Args:
        stack: the frames.
        captions: (N,) the caption of every peak.
        frames: (N, 3) whose first column is the peak.
    """
    ends = np.array(stack.ends)
    numbers = np.array(captions, np.int64)
    first, last = ends[numbers], ends[numbers + 1] - 1
    return windowed(stack.frames, first + frames[:, 0].astype(np.int64), (first, last))


def _detect(maps: Sequence[Array], clocks: tuple[FrameClock, FrameClock], options: PeakOptions) -> Found:
    """Peaks of a block's similarities by the detector that was asked for."""
    if options.detector == "2d":
        return pick_peaks(maps, options.cells())
    shifts = (clocks[0].shift_s, clocks[1].shift_s)
    found = [pick_segments(similarity, shifts, options.collapse) for similarity in maps]
    number = np.repeat(np.arange(len(maps)), [len(scores) for *_, scores in found])
    frames_a, frames_b, scores = (np.concatenate(columns) for columns in zip(*found, strict=True))
    best = highest(number, frames_a[:, 0], frames_b[:, 0], scores, options.per_pair)
    return Found(number[best], frames_a[best], frames_b[best], scores[best])
