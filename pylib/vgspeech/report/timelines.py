"""A caption over time: its waveform, its words, and the codes of several layers, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vgspeech.datadir import Word
from vgspeech.report.html import text
from vgspeech.report.unit_source import Stretch

WIDTH, LABEL, WAVE, LANE = 1040, 110, 56, 24
"""Pixels: of the whole, of the names at the left, heights of the waveform and of a lane."""
_BINS = 460
_TEXT_FROM = 20
"""Codes are written into their stretch when it is at least so wide."""


def timeline(
    wave: np.ndarray | None,
    duration_s: float,
    words: Sequence[Word],
    lanes: Mapping[str, Sequence[Stretch]],
    meanings: Mapping[str, Mapping[int, str]],
) -> str:
    """The picture as SVG.

    Args:
        wave: float (N,); None where sound is left out.
        duration_s: of the caption.
        words: with their times.
        lanes: name of a layer -> its codes' stretches.
        meanings: name of a layer -> code -> the word that it detects, for the tooltips.
    """
    scale = (WIDTH - LABEL) / max(duration_s, 1e-6)
    top = WAVE if wave is not None else 0
    parts = [_wave(wave)] if wave is not None else []
    parts += [_name("words", top)]
    for word in words:
        x, width = LABEL + word.start_s * scale, (word.end_s - word.start_s) * scale
        parts.append(
            f'<g><title>{text(word.text)} {word.start_s:.2f} to {word.end_s:.2f} s</title><rect class="said" x="{x:.1f}"'
            f' y="{top + 2}" width="{max(width - 1, 1):.1f}" height="{LANE - 4}"/>'
            f'<text x="{x + 3:.1f}" y="{top + LANE - 8}">{text(word.text)}</text></g>'
        )
    for row, (name, stretches) in enumerate(lanes.items(), start=1):
        y = top + row * LANE
        parts.append(_name(name, y))
        parts += [_stretch(one, y, scale, meanings.get(name, {})) for one in stretches if one.start_s < duration_s]
    height = top + (len(lanes) + 1) * LANE
    return f'<svg class="timeline-units" viewBox="0 0 {WIDTH} {height}" role="img">{"".join(parts)}</svg>'


def _name(name: str, y: int) -> str:
    return f'<text class="name" x="0" y="{y + LANE - 8}">{text(name)}</text>'


def _wave(wave: np.ndarray) -> str:
    """The waveform's outline: largest and smallest sample of every column."""
    edges = np.linspace(0, len(wave), _BINS + 1).astype(int)
    starts = np.minimum(edges[:-1], max(len(wave) - 1, 0))
    loudest = max(float(np.abs(wave).max(initial=0.0)), 1e-6)
    high, low = (ufunc.reduceat(wave, starts) / loudest for ufunc in (np.maximum, np.minimum))
    x = LABEL + (np.arange(_BINS) + 0.5) * (WIDTH - LABEL) / _BINS
    middle, half = WAVE / 2, WAVE / 2 - 2
    points = [*zip(x, middle - half * high, strict=True), *zip(x[::-1], middle - half * low[::-1], strict=True)]
    return f'<polygon class="wave" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'


def _stretch(one: Stretch, y: int, scale: float, meanings: Mapping[int, str]) -> str:
    """A code as a box; its colour is the code's, so that the same code is seen to come again."""
    x, width = LABEL + one.start_s * scale, (one.end_s - one.start_s) * scale
    hue = one.code * 137 % 360
    meaning = f", detects {meanings[one.code]}" if one.code in meanings else ""
    label = f'<text x="{x + 2:.1f}" y="{y + LANE - 8}">{one.code}</text>' if width >= _TEXT_FROM else ""
    return (
        f"<g><title>code {one.code}{text(meaning)}, {one.start_s:.2f} to {one.end_s:.2f} s</title>"
        f'<rect x="{x:.1f}" y="{y + 2}" width="{max(width - 0.6, 0.6):.1f}" height="{LANE - 4}" '
        f'fill="hsl({hue} 52% 80%)"/>{label}</g>'
    )
