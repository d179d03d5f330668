"""Learning curves and small bars as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vgspeech.report.html import text

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 14, 38


@dataclass(frozen=True)
class Curve:
    """One line of a chart: its name in the key, points (x, y), and CSS class."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str


@dataclass(frozen=True)
class _Axes:
    """Where values lie in a chart; both axes start at 0."""

    x_max: float
    y_max: float
    y_step: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / self.x_max
        return across, TOP + (HEIGHT - TOP - BOTTOM) * (1 - y / self.y_max)

    def svg(self, x_label: str, as_text: Callable[[float], str]) -> str:
        """Grid lines and labels."""
        parts = []
        for i in range(round(self.y_max / self.y_step) + 1):
            _, y = self.place(0, i * self.y_step)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            label = as_text(i * self.y_step)
            parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>')
        for tick in range(0, int(self.x_max) + 1, max(1, round(_round_step(self.x_max / 5)))):
            x, _ = self.place(tick, 0)
            parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{tick}</text>')
        label = f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{text(x_label)}</text>'
        return "".join([*parts, label])


def chart(title: str, curves: Sequence[Curve], x_label: str, shares: bool = False) -> str:
    """A line chart with its title, key and axis labels; hovering over a point shows its values.

    Args:
        title: what is shown, in words.
        curves: lines; those without points are left out.
        x_label: what the horizontal axis counts.
        shares: the values are shares, shown in percent on an axis from 0 to 1.
    """
    curves = [curve for curve in curves if curve.points]
    x_max = max((x for curve in curves for x, _ in curve.points), default=1.0) or 1.0
    highest = max((y for curve in curves for _, y in curve.points), default=1.0) or 1.0
    step = 0.25 if shares else _round_step(highest / 4)
    axes = _Axes(x_max, 1.0 if shares else step * math.ceil(highest / step), step)
    grid = axes.svg(x_label, lambda value: f"{100 * value:.0f}" if shares else f"{value:g}")
    lines = "".join(_line(curve, axes, x_label, shares) for curve in curves)
    key = "".join(f'<span class="key {curve.style}">{text(curve.name)}</span>' for curve in curves)
    return (
        f'<figure class="chart"><figcaption>{text(title)}<span class="keys">{key}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">{grid}{lines}</svg></figure>'
    )


def _line(curve: Curve, axes: _Axes, x_label: str, shares: bool) -> str:
    """One curve with its points."""
    places = [axes.place(x, y) for x, y in curve.points]
    parts = [f'<polyline class="{curve.style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>']
    for (x, y), (at, value) in zip(places, curve.points, strict=True):
        shown = f"{100 * value:.1f} %" if shares else f"{value:.4g}"
        tip = f"<title>{text(f'{curve.name}, {x_label} {at:g}: {shown}')}</title>"
        parts.append(f'<circle class="{curve.style}" cx="{x:.1f}" cy="{y:.1f}" r="1.8">{tip}</circle>')
    return "".join(parts)


def _round_step(rough: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.9999)


def share_bar(value: float, interval: Sequence[float] | None, marks: Sequence[tuple[str, float]]) -> str:
    """A bar from 0 to 1 with its 95 % interval, and marks where baselines and chance lie.

    Args:
        value: the share.
        interval: lower and upper end, or None.
        marks: name and share of what to compare with.
    """
    parts = ['<rect class="track" width="100" height="8" y="3"/>']
    parts.append(f'<rect class="bar" width="{100 * value:.1f}" height="8" y="3"/>')
    if interval:
        low, high = (100 * end for end in interval)
        parts.append(f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="7" y2="7"/>')
    for name, share in marks:
        tip = f"<title>{text(name)}: {100 * share:.1f} %</title>"
        parts.append(f'<line class="mark" x1="{100 * share:.1f}" x2="{100 * share:.1f}" y1="0" y2="14">{tip}</line>')
    view = 'viewBox="0 0 100 14" preserveAspectRatio="none"'
    return f'<svg class="share" {view} aria-hidden="true">{"".join(parts)}</svg>'
