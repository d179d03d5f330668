"""The data page: one HTML file that shows what a prepared corpus holds. It needs no network and no script."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.stats.durations import LARGEST_BIN_S

EXAMPLES = 6
_MINI_NOTE = (
    "The built-in mini corpus: drawn scenes and synthetic voices. It shows that everything works and says nothing "
    "about accuracy on real speech."
)
COLOURS = ("#2a78b5", "#d9822b", "#3d9970", "#8e5ea2", "#c0504d")

_STYLE = """
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
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px 14px; } figcaption { color: var(--soft); font-size: 13px; }
svg text { font-size: 11px; fill: var(--soft); } .key i { display: inline-block; width: 10px; height: 10px;
  border-radius: 2px; margin: 0 5px 0 12px; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
.example { display: flex; gap: 12px; padding: 10px; } .example img { width: 112px; height: 112px; object-fit: cover;
  border-radius: 5px; flex: none; } .example p { margin: 0 0 6px; font-size: 14px; overflow-wrap: anywhere; }
.example small { color: var(--soft); display: block; font-size: 11px; }
"""


def data_page(data: Path, numbers: dict[str, Any]) -> str:
    """The page as HTML text.

    Args:
        data: ``data/<corpus>``, for example images and captions.
        numbers: what ``describe_corpus`` returns.
    """
    name = escape(numbers["corpus"])
    synthetic = f'<p class="note">{_MINI_NOTE}</p>' if numbers["corpus"] == "mini" else ""
    examples = _examples(data, numbers)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data: {name}</title><style>{_STYLE}</style></head><body><main>
<h1>Data: {name}</h1>
{synthetic}{_cards(numbers)}
<h2>Speech</h2>{_speech_table(numbers["speech"])}
<h2>Images</h2>{_image_table(numbers["images"])}
<h2>Distributions</h2><div class="two">{_duration_figure(numbers["speech"])}{_caption_figure(numbers["speech"])}</div>
{examples}
</main></body></html>
"""


def _cards(numbers: dict[str, Any]) -> str:
    speech, images = numbers["speech"].values(), numbers["images"].values()
    languages = sorted({one["language"] for one in speech})
    cards = [(_whole(sum(one["utterances"] for one in speech)), "captions")]
    cards += [(f"{sum(one['hours'] for one in speech):,.1f}", "hours")]
    cards += [(_whole(sum(one["images"] for one in images)), "images")]
    cards += [(" + ".join(map(escape, languages)), "language" if len(languages) == 1 else "languages")]
    unusable = sum(one["rejected"] for one in [*speech, *images])
    cards += [(_whole(unusable), "rejected")] if unusable else []
    return f'<div class="cards">{"".join(f"<div class=card><b>{a}</b><span>{b}</span></div>" for a, b in cards)}</div>'


def _speech_table(speech: dict[str, Any]) -> str:
    header = ["set", "captions", "speakers", "images", "per image", "hours", "median", "5 – 95 %", "longest"]
    header += ["words", "word times", "frames", "rejected"]
    rows = []
    for name, one in _in_order(speech):
        times, features = one["duration_s"], one["features"]
        rows.append([
            escape(name), _whole(one["utterances"]), _whole(one["speakers"]), _whole(one["images"]),
            f"{one['captions_per_image']['mean']:.2f}", f"{one['hours']:,.2f}", f"{times['median']:.1f} s",
            f"{times['p5']:.1f} – {times['p95']:.1f} s", f"{times['max']:.1f} s", _whole(one["words"]),
            _whole(one["utterances_with_word_times"]), _whole(features["frames"]) if features else "–",
            _whole(one["rejected"]),
        ])  # fmt: skip
    return _table(header, rows)


def _image_table(images: dict[str, Any]) -> str:
    header = ["split", "images", "median size", "smallest", "largest", "objects", "rejected"]
    rows = []
    for name, one in _in_order(images):
        sizes = [f"{one['width'][key]:.0f} × {one['height'][key]:.0f}" for key in ("median", "min", "max")]
        rows.append([escape(name), _whole(one["images"]), *sizes, _whole(one["objects"]), _whole(one["rejected"])])
    return _table(header, rows)


def _in_order(sets: dict[str, Any]) -> list[tuple[str, Any]]:
    """Training sets first, then development and test sets."""
    kinds = ("train", "dev", "test")
    return sorted(
        sets.items(), key=lambda item: next((n for n, kind in enumerate(kinds) if item[0].startswith(kind)), 3)
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose last column counts what was rejected."""
    lines = ["".join(f"<th>{cell}</th>" for cell in header)]
    for row in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in row[:-1])
        lines.append(f"{cells}<td{'' if row[-1] == '0' else ' class=bad'}>{row[-1]}</td>")
    return f'<div class="panel"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def _duration_figure(speech: dict[str, Any]) -> str:
    series: dict[str, dict[int, int]] = {}
    for one in speech.values():
        bins = series.setdefault(one["language"], {})
        for second, count in enumerate(one["duration_histogram"]):
            bins[second] = bins.get(second, 0) + count
    longest = max(max(bins) for bins in series.values())
    last = f", the last bar {LARGEST_BIN_S - 1} s and more" if longest == LARGEST_BIN_S - 1 else ""
    return _figure(series, f"Length of captions in seconds (bars of one second{last})", shift=0.5)


def _caption_figure(speech: dict[str, Any]) -> str:
    series: dict[str, dict[int, int]] = {}
    for one in speech.values():
        counts = series.setdefault(one["language"], {})
        for captions, images in one["captions_per_image"]["histogram"].items():
            counts[int(captions)] = counts.get(int(captions), 0) + images
    return _figure(series, "Captions per image (number of images)", shift=0.0)


def _figure(series: dict[str, dict[int, int]], caption: str, shift: float) -> str:
    """Bars of several languages side by side; ``shift`` puts a tick at a bar's middle (0) or left edge (0.5)."""
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
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_whole(round(fraction * highest))}</text>'
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
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{value}</text>')
    key = "".join(
        f'<i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(language)}'
        for number, language in enumerate(sorted(series))
    )
    return (
        f'<figure class="panel"><svg viewBox="0 0 {width} {height}" width="100%" role="img">{"".join(parts)}</svg>'
        f'<figcaption>{escape(caption)} <span class="key">{key}</span></figcaption></figure>'
    )


def _examples(data: Path, numbers: dict[str, Any]) -> str:
    """A few images of the first split with a caption in every language; nothing where no caption has a transcript."""
    split = "train" if "train" in numbers["images"] else next(iter(numbers["images"]))
    images = ImageSet.load(data / "images" / split)
    captions: dict[str, list[tuple[str, str]]] = {}
    for name, one in numbers["speech"].items():
        if one["split"] == split and one["transcripts"]:
            speech = SpeechSet.load(data / "speech" / name)
            for utterance, text in speech.text.items():
                if text:
                    captions.setdefault(speech.utt2image[utterance], []).append((one["language"], text))
    cards: list[str] = []
    for image in sorted(captions, key=lambda image: (-len(dict(captions[image])), _hash(image))):
        thumbnail = _thumbnail(images.paths[image])
        if thumbnail and len(cards) < EXAMPLES:
            cards.append(_example(thumbnail, dict(captions[image])))
        if len(cards) == EXAMPLES:
            break
    if not cards:
        return ""
    return f'<h2>Examples from {escape(split)}</h2><div class="examples">{"".join(cards)}</div>'


def _example(thumbnail: str, captions: dict[str, str]) -> str:
    texts = "".join(
        f'<p lang="{escape(language)}"><small>{escape(language)}</small>{escape(text[:160])}</p>'
        for language, text in sorted(captions.items())
    )
    return f'<div class="panel example"><img src="data:image/jpeg;base64,{thumbnail}" alt=""><div>{texts}</div></div>'


def _thumbnail(path: str) -> str:
    """A small JPEG in base64; empty when the image cannot be read (stage 2 lists it)."""
    try:
        with Image.open(path) as image:
            small = ImageOps.exif_transpose(image.convert("RGB"))
            small.thumbnail((224, 224))
            stream = io.BytesIO()
            small.save(stream, "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _whole(value: float) -> str:
    return f"{value:,.0f}"
