"""Matchmaps with the response to unrelated images subtracted.

A matchmap holds the dot product of every frame of a caption with every cell of an image (Harwath et al. 2018). Its
largest values need not mark words: silence and function words also have a best cell in any image, and often a high
one. What a frame owes to *this* image is what exceeds its best score against images that have nothing to do with the
caption. On the mini corpus the most active frame lies inside a content word for half of the captions by the plain dot
product, and for nearly all of them after the subtraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgspeech.errors import DataError

UNRELATED_IMAGES = 20


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of an encoder's output are.

    Attributes:
        shift_s: seconds from one frame to the next.
        offset_s: centre of frame 0 in seconds.
    """

    shift_s: float
    offset_s: float

    def centres(self, count: int) -> np.ndarray:
        """Centres of the first ``count`` frames, in seconds (count,)."""
        return self.offset_s + self.shift_s * np.arange(count)

    def inside(self, start_s: float, end_s: float, count: int) -> np.ndarray:
        """Indices of the frames whose centre lies in [start_s, end_s); the nearest one frame when there is none."""
        centres = self.centres(count)
        frames = np.flatnonzero((centres >= start_s) & (centres < end_s))
        if frames.size == 0:
            frames = np.array([np.abs(centres - (start_s + end_s) / 2).argmin()])
        return frames


def frame_cell_scores(frames: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Raw dot products of frames (T, D) and cells (C, D): (T, C) float32."""
    return np.asarray(frames, np.float32) @ np.asarray(cells, np.float32).T


def choose_unrelated(image: str, images: Sequence[str], count: int = UNRELATED_IMAGES) -> list[str]:
    """Images to compare with, spread evenly over the set, the same ones in every run and for any number of jobs.

    Args:
        image: the caption's own image.
        images: ids of the whole set, sorted.
        count: how many; all others when there are fewer.

    Raises:
        DataError: the set holds no other image.
    """
    if image not in images:
        raise DataError("the caption's image is not in the set", where=image)
    others = len(images) - 1
    if others == 0:
        raise DataError("no other image to compare with: the set holds this one only", where=image)
    count = min(count, others)
    start = images.index(image)
    steps = 1 + ((np.arange(count) + 0.5) * others / count).astype(int)  # distinct, in 1..others, away from neighbours
    return [images[(start + int(step)) % len(images)] for step in steps]


def unrelated_response(frames: np.ndarray, unrelated: Sequence[np.ndarray]) -> np.ndarray:
    """What every frame scores against images that are not described: mean over the images of the best cell.

    Args:
        frames: (T, D).
        unrelated: grids (C_i, D) of unrelated images.

    Returns:
        (T,) float32.
    """
    best = [frame_cell_scores(frames, cells).max(axis=1) for cells in unrelated]
    return np.stack(best).mean(axis=0, dtype=np.float32)


def subtracted_matchmap(frames: np.ndarray, cells: np.ndarray, unrelated: Sequence[np.ndarray]) -> np.ndarray:
    """The matchmap minus, in every frame, the response to unrelated images.

    Args:
        frames: caption (T, D), not normalised.
        cells: grid of the caption's image (C, D), not normalised.
        unrelated: grids (C_i, D) of unrelated images.

    Returns:
        (T, C) float32; positive where a frame likes a cell better than the best cell of an average unrelated image.
    """
    return frame_cell_scores(frames, cells) - unrelated_response(frames, unrelated)[:, None]


def span_map(matchmap: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """What a stretch of speech lights up: mean over the frames listed of a (T, C) matchmap: (C,)."""
    return matchmap[frames].mean(axis=0)


def active_spans(matchmap: np.ndarray, times: FrameTimes, duration_s: float, count: int) -> list[tuple[float, float]]:
    """Stretches around the strongest frames, for captions without word times.

    Peaks are local maxima over time of the best cell's score; the strongest ``count`` are kept, and each reaches to
    where the curve falls below half of its height, or to the lowest frame before its neighbour.

    Args:
        matchmap: subtracted matchmap (T, C).
        times: when its frames are.
        duration_s: the caption's length.
        count: how many spans at most.

    Returns:
        (start_s, end_s) in time order; none when no frame is above zero.
    """
    curve = matchmap.max(axis=1)
    padded = np.concatenate(([-np.inf], curve, [-np.inf]))
    is_peak = (curve > 0) & (curve > padded[:-2]) & (curve >= padded[2:])
    strongest = sorted(np.flatnonzero(is_peak).tolist(), key=lambda t: -curve[t])[:count]
    peaks = [-1, *sorted(strongest), len(curve)]
    spans = []
    for before, peak, after in zip(peaks, peaks[1:], peaks[2:], strict=False):
        left, right = _reach(curve, peak, -1, before), _reach(curve, peak, +1, after)
        start_s, end_s = (times.offset_s + times.shift_s * edge for edge in (left - 0.5, right + 0.5))
        spans.append((max(0.0, start_s), min(duration_s, end_s)))
    return spans


def _reach(curve: np.ndarray, peak: int, step: int, neighbour: int) -> int:
    """The last frame from ``peak`` on, going by ``step``, above half the peak and not yet rising to the neighbour."""
    t = peak
    while t + step != neighbour and 0 <= t + step < len(curve):
        if curve[t + step] < curve[peak] / 2 or curve[t + step] > curve[t]:
            break
        t += step
    return t
