"""A small ABX case without random numbers: the same on every platform, and hard enough that errors are between 0 and 1."""

from __future__ import annotations

import numpy as np

from vgspeech.units.abx_items import Item

PHONES, SPEAKERS, FILES, SOUNDS, DIM, FREQUENCY = 4, 3, 18, 10, 6, 100


def wave(*numbers: float) -> float:
    """A number in [-1, 1] that looks random."""
    return float(np.cos(sum((i + 1.37) * 12.9898 * n for i, n in enumerate(numbers, start=1))))


def case(positive: bool = False) -> tuple[list[Item], dict[str, np.ndarray]]:
    """Items and (T, D) features at 100 frames a second, centred half a frame late; probabilities when ``positive``."""
    items, features = [], {}
    for f in range(FILES):
        end, rows = 0.0, []
        for k in range(SOUNDS):
            phone, frames = (f * 7 + k * k) % PHONES, 4 + (f * 5 + k * 3) % 6
            onset, end = end, end + frames / FREQUENCY
            labels = (f"p{phone}", f"l{k % 2}", f"r{(f + k) % 2}", f"s{f % SPEAKERS}")
            items.append(Item(f"file{f:02d}", round(onset, 4), round(end, 4), *labels))
            for t in range(frames):
                noise = [1.2 * wave(f, k, t, d) for d in range(DIM)]
                rows.append([wave(phone, d, 2 * t / frames) + noise[d] for d in range(DIM)])
        matrix = np.array(rows)
        features[f"file{f:02d}"] = (_softmax(matrix) if positive else matrix).astype(np.float32)
    return items, features


def _softmax(matrix: np.ndarray) -> np.ndarray:
    shares = np.exp(matrix)
    return shares / shares.sum(1, keepdims=True)
