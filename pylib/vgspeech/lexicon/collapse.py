"""The one-dimensional peak detector, a contrast to the cells of ``peaks``.

The similarity of two captions is collapsed to one curve a caption, each frame's best match with the other caption (as in
the feature alignment of Pirlogeanu et al. 2026). Stretches where the curve is high are words; a stretch of one caption and
one of the other belong together when each one's best match lies in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

JUMP = 2
"""A stretch ends where the best match moves further than this many frames from one frame to the next: there, another word
begins. Without this, 31 to 34 instead of 36 concepts of the mini corpus are found, since neighbouring words melt together."""


@dataclass(frozen=True)
class CollapseOptions:
    """How stretches are found; fractions are of the curve's maximum. Chosen on the mini corpus."""

    high: float = 0.5
    """A stretch rises to at least this fraction somewhere ..."""
    low: float = 0.25
    """... and stays above this one all along (hysteresis). Lower, the pauses behind Hindi words count as theirs; higher, words
    start too late."""
    min_duration_s: float = 0.2
    """Shorter stretches are dropped."""


def pick_segments(
    similarity: Array, shifts_s: tuple[float, float], options: CollapseOptions
) -> tuple[Array, Array, Array]:
    """Stretches of two captions that are each other's best match.

    Args:
        similarity: (Ta, Tb) float32, responses to unrelated captions subtracted.
        shifts_s: seconds from one frame to the next in the two captions.
        options: thresholds.

    Returns:
        (frames a (N, 3), frames b (N, 3), scores (N,)), sorted by frame a; the three columns are the peak, and start and
        end of the stretch in fractions of a frame. The score is the similarity of the two peaks.
    """
    curve_a, curve_b = smooth_curve(similarity.max(1)), smooth_curve(similarity.max(0))
    match_a, match_b = similarity.argmax(1), similarity.argmax(0)
    found_a = segments(curve_a, match_a, shifts_s[0], options)
    found_b = segments(curve_b, match_b, shifts_s[1], options)
    rows_a, rows_b, scores = [], [], []
    for a in found_a:
        partner = match_a[int(a[0])]
        for b in found_b:
            if b[1] <= partner <= b[2] and a[1] <= match_b[int(b[0])] <= a[2]:
                rows_a.append(a)
                rows_b.append(b)
                scores.append(similarity[int(a[0]), int(b[0])])
    return np.array(rows_a).reshape(-1, 3), np.array(rows_b).reshape(-1, 3), np.array(scores, np.float32)


def smooth_curve(curve: Array) -> Array:
    """Weights [.25 .5 .25] over time; the first and last value repeat."""
    padded = np.pad(curve, 1, mode="edge")
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


def segments(curve: Array, match: Array, shift_s: float, options: CollapseOptions) -> list[tuple[float, float, float]]:
    """Stretches of a curve by two thresholds: (peak, start, end), ends half a frame outside the outer frames.

    Args:
        curve: (T,) best match of every frame.
        match: (T,) which frame of the other caption that is.
        shift_s: seconds from one frame to the next.
        options: thresholds.
    """
    top = float(curve.max())
    if top <= 0:
        return []
    above = curve >= options.low * top
    starts = above & ~np.concatenate([[False], above[:-1] & (np.abs(np.diff(match)) <= JUMP)])
    number = np.cumsum(starts)
    found = []
    for run in range(1, int(number[-1]) + 1):
        frames = np.flatnonzero(above & (number == run))
        peak = int(frames[curve[frames].argmax()])
        if curve[peak] >= options.high * top and len(frames) * shift_s >= options.min_duration_s:
            found.append((float(peak), frames[0] - 0.5, frames[-1] + 0.5))
    return found
