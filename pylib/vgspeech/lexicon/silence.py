"""Which frames are silence: it is alike in all captions and languages, and must never become a peak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.features import LogMels
from vgspeech.lexicon.captions import FrameClock

Array = np.ndarray[Any, np.dtype[Any]]

LEVEL = 0.4
"""A feature frame is silent below this share of the way from a caption's quiet (5 %) to its loud (95 %) frames. On the
mini corpus it finds 71 to 93 % of the pauses between words at 80 ms a frame, and takes 4 to 10 % of the word frames,
most of them stop closures."""


def speech_frames(features: Array, feature_shift_s: float, clock: FrameClock, count: int) -> Array:
    """Embedding frames in which somebody speaks.

    A frame is silent when more than half of the feature frames that it spans are; a caption's level is the mean over
    its log-mel bins, so the scale of the features (nats, dB) does not matter.

    Args:
        features: (N, F) log-mel features of a caption.
        feature_shift_s: seconds from one to the next.
        clock: times of the embedding frames.
        count: T, how many there are.

    Returns:
        (T,) bool.
    """
    level = features.mean(1)
    quiet, loud = np.percentile(level, [5, 95])
    spoken = np.concatenate([[0], np.cumsum(level > quiet + LEVEL * (loud - quiet))])
    centres = np.arange(count) * clock.shift_s + clock.offset_s
    edges = np.stack([centres - clock.shift_s / 2, centres + clock.shift_s / 2]) / feature_shift_s
    first, last = np.clip(np.round(edges).astype(int), 0, len(level))
    speaks: Array = 2 * (spoken[last] - spoken[first]) >= np.maximum(last - first, 1)
    return speaks


class SpeechActivity(Mapping[str, Array]):
    """``speech_frames`` of every caption of a speech set, computed from its default features when asked for."""

    def __init__(self, speech_set: Path, frames: Mapping[str, Array], clock: FrameClock) -> None:
        """``frames``: the embeddings, which say how many frames a caption has; ``clock``: their times."""
        self._features = LogMels(speech_set / "feats.scp")
        self._shift_s = self._features.front_end.frame_shift_ms / 1000
        self._frames = frames
        self._clock = clock

    def __getitem__(self, utt: str) -> Array:
        return speech_frames(self._features[utt], self._shift_s, self._clock, len(self._frames[utt]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)
