"""When code frames are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class CodeClock(NamedTuple):
    """When code frames are: frame f is centred at f * shift_s + offset_s seconds (released definition: shift_s / 2)."""

    shift_s: float
    offset_s: float

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> CodeClock:
        """The clock that ``codes.json`` holds."""
        return cls(float(about["frame_shift_s"]), float(about["frame_offset_s"]))

    def centres(self, count: int) -> Array:
        """(count,) seconds of the first frames' centres, in the released code's order of operations.

        That order decides the ties between a window's edge and a word's, which are many at rounded times.
        """
        return (np.arange(count) + self.offset_s / self.shift_s) * self.shift_s

    def starts(self, frames: Array) -> Array:
        """Seconds at which frames begin, half a shift before their centres, 0 at the least.

        Args:
            frames: whole numbers of any shape; the number of frames gives the end of the last one.
        """
        return np.maximum(np.asarray(frames) * self.shift_s + (self.offset_s - self.shift_s / 2), 0.0)
