"""Sub-word events of a network without codes: moments at which a layer's activation tells that the sound turns.

Two curves, whose peaks are the events: the length of the activation vector ("norm"; diphone transitions stand out in it
by Harwath & Glass, ICASSP 2019), and the length of its change from one frame to the next ("change"). The stretches
between events are segments, which k-means makes codes.

On the mini corpus's model the norm peaks *inside* the sounds (phone boundaries worse than chance) while the change finds
them, so the change is the default; docs/design.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.signal import find_peaks

from vgspeech.stats.kmeans import assign
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import Runs

Array = np.ndarray[Any, np.dtype[Any]]


Event = Literal["change", "norm"]
EVENTS: tuple[Event, ...] = ("change", "norm")


class EventFinder(NamedTuple):
    """How events are found.

    Attributes:
        event: the curve whose peaks they are.
        prominence: how far a peak must stand out, in standard deviations of the utterance's curve.
    """

    event: Event
    prominence: float

    def curve(self, frames: Array) -> Array:
        """(T,) of frames (T, C); the change at frame t is that from t - 1, and 0 at the start."""
        frames = frames.astype(np.float32)
        if self.event == "norm":
            return np.linalg.norm(frames, axis=1)
        return np.r_[np.float32(0), np.linalg.norm(np.diff(frames, axis=0), axis=1)][: len(frames)]

    def events(self, frames: Array) -> Array:
        """Frames at which the curve peaks."""
        curve = self.curve(frames)
        spread = float(curve.std()) if len(curve) else 0.0
        if spread == 0:
            return np.zeros(0, np.int64)
        found, _ = find_peaks(curve, prominence=self.prominence * spread)
        return found.astype(np.int64)

    def clock(self, frames: CodeClock) -> CodeClock:
        """The clock by which a segment begins when its event is: at a frame's centre, or between two frames."""
        if self.event == "change":
            return frames
        return CodeClock(frames.shift_s, frames.offset_s + frames.shift_s / 2)

    def segments(self, frames: Array) -> tuple[Array, Array]:
        """Lengths (S,) int32 in frames of the segments between events, and their mean frames (S, C) float32."""
        first = np.r_[0, self.events(frames)] if len(frames) else np.zeros(0, np.int64)
        lengths = np.diff(np.r_[first, len(frames)])[: len(first)]
        if not len(first):
            return lengths.astype(np.int32), np.zeros((0, frames.shape[1]), np.float32)
        means = np.add.reduceat(frames.astype(np.float32), first, axis=0) / lengths[:, None].astype(np.float32)
        return lengths.astype(np.int32), means


class SegmentMeans(Mapping[str, Array]):
    """Utterance -> (S, C) float32 mean frame of every segment between events; computed when asked for."""

    def __init__(self, frames: Mapping[str, Array], finder: EventFinder) -> None:
        self._frames, self._finder = frames, finder

    def __getitem__(self, utt: str) -> Array:
        return self._finder.segments(self._frames[utt])[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)


def encode_segments(
    frames: Iterable[tuple[str, Array]], codebook: Array, finder: EventFinder
) -> Iterator[tuple[str, Runs]]:
    """Every utterance's segments as runs; a segment's code is the centroid nearest to its mean frame."""
    for utt, matrix in frames:
        lengths, means = finder.segments(matrix)
        yield utt, Runs(assign(means, codebook)[0].astype(np.int32), lengths)
