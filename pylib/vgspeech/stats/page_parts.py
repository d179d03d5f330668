"""Parts of the pages that show data: style, cards, tables and bars. They need no network and no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

COLOURS = ("#2a78b5", "#d9822b", "#3d9970", "#8e5ea2", "#c0504d")

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #66727f; --line: #e3e8ee; --card: #fff; --ground: #f6f8fa; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Noto Sans",
  "Noto Sans Devanagari", "Nirmala UI", "Kohinoor Devanagari", "Segoe UI", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 30px 0 10px; }
p.note { color: var(--soft); margin: 0 0 14px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 18px;
  min-width: 108px; }
.card b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; } .card span { color: var(--soft); }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 9px; font-size: 14px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; font-size: 13px; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; } td.bad { color: #b3261e; font-weight: 600; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px 14px; } figcaption { color: var(--soft); font-size: 13px; }
svg text { font-size: 11px; fill: var(--soft); } .key i { display: inline-block; width: 10px; height: 10px;
  border-radius: 2px; margin: 0 5px 0 12px; } .key span { white-space: nowrap; }
@media (max-width: 560px) { svg text { font-size: 17px; } .card { padding: 8px 12px; min-width: 84px; } }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
.example { display: flex; gap: 12px; padding: 10px; } .example img { width: 112px; height: 112px; object-fit: cover;
  border-radius: 5px; flex: none; } .example p { margin: 0 0 6px; font-size: 14px; overflow-wrap: anywhere; }
.example small { color: var(--soft); display: block; font-size: 11px; }
"""


def cards(items: Iterable[tuple[str, str]]) -> str:
    """Large numbers in a row: (number, what it counts), both HTML."""
    return f'<div class="cards">{"".join(f"<div class=card><b>{a}</b><span>{b}</span></div>" for a, b in items)}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose last column counts what was rejected."""
    lines = ["".join(f"<th>{cell}</th>" for cell in header)]
    for row in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in row[:-1])
        lines.append(f"{cells}<td{'' if row[-1] == '0' else ' class=bad'}>{row[-1]}</td>")
    return f'<div class="panel"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def figure(series: dict[str, dict[int, int]], caption: str, shift: float, unit: float = 1) -> str:
    """Bars of several series side by side.

    Args:
        series: name (a language) -> bin -> how many.
        caption: what is counted.
        shift: puts a tick at a bar's middle (0) or left edge (0.5).
        unit: what a bin is wide, for the numbers at the ticks.
    """
    width, height, left, bottom, top = 470, 220, 46, 24, 10
    low = min(min(bins) for bins in series.values())
    slots = max(max(bins) for bins in series.values()) - low + 1
    highest = max(max(bins.values()) for bins in series.values()) or 1
    slot = (width - left - 8) / max(slots, 6)
    bar = 0.84 * slot / len(series)
    parts = []
    for fraction in (0.0, 0.5, 1.0):
        y = height - bottom - fraction * (height - bottom - top)
        parts.append(f'<line x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8ee"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{whole(round(fraction * highest))}</text>'
        )
    for number, (_, bins) in enumerate(sorted(series.items())):
        for value, count in sorted(bins.items()):
            tall = count / highest * (height - bottom - top)
            x = left + (value - low + 0.08) * slot + number * bar
            parts.append(
                f'<rect x="{x:.1f}" y="{height - bottom - tall:.1f}" width="{bar:.1f}" height="{tall:.1f}" '
                f'fill="{COLOURS[number % len(COLOURS)]}"><title>{value}: {count}</title></rect>'
            )
    step = max(1, -(-slots // 12))
    for value in range(low, low + slots, step):
        x = left + (value - low + 0.5 - shift) * slot
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{value * unit:g}</text>')
    key = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(language)}</span>'
        for number, language in enumerate(sorted(series))
    )
    return (
        f'<figure class="panel"><svg viewBox="0 0 {width} {height}" width="100%" role="img">{"".join(parts)}</svg>'
        f'<figcaption>{escape(caption)} <span class="key">{key}</span></figcaption></figure>'
    )


def whole(value: float) -> str:
    """A whole number with commas between groups of three digits."""
    return f"{value:,.0f}"
