"""The data page: one HTML file that shows what a prepared corpus holds. It needs no network and no script."""

from __future__ import annotations

import base64
import hashlib
import io
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.errors import DataError
from vgspeech.images import read_pixels
from vgspeech.stats.durations import LARGEST_BIN_S
from vgspeech.stats.page_parts import STYLE, cards, figure, table, whole

EXAMPLES = 6
_MINI_NOTE = (
    "The built-in mini corpus: drawn scenes and synthetic voices. It shows that everything works and says nothing "
    "about accuracy on real speech."
)
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
<title>Data: {name}</title><style>{STYLE}</style></head><body><main>
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
    items = [(whole(sum(one["utterances"] for one in speech)), "captions")]
    items += [(f"{sum(one['hours'] for one in speech):,.1f}", "hours")]
    clips = sum(one.get("clips", 0) for one in images)
    items += [(whole(clips), "clips")] if clips else []
    items += [(whole(sum(one["images"] for one in images)), "images")]
    items += [(" + ".join(map(escape, languages)), "language" if len(languages) == 1 else "languages")]
    unusable = sum(one["rejected"] for one in [*speech, *images])
    items += [(whole(unusable), "rejected")] if unusable else []
    return cards(items)


def _speech_table(speech: dict[str, Any]) -> str:
    header = ["set", "captions", "speakers", "images", "per image", "hours", "median", "5 – 95 %", "longest"]
    header += ["words", "word times", "frames", "rejected"]
    rows = []
    for name, one in _in_order(speech):
        times, features = one["duration_s"], one["features"]
        rows.append([
            escape(name), whole(one["utterances"]), whole(one["speakers"]), whole(one["images"]),
            f"{one['captions_per_image']['mean']:.2f}", f"{one['hours']:,.2f}", f"{times['median']:.1f} s",
            f"{times['p5']:.1f} – {times['p95']:.1f} s", f"{times['max']:.1f} s", whole(one["words"]),
            whole(one["utterances_with_word_times"]), whole(features["frames"]) if features else "–",
            whole(one["rejected"]),
        ])  # fmt: skip
    return table(header, rows)


def _image_table(images: dict[str, Any]) -> str:
    header = ["split", "images", "median size", "smallest", "largest", "objects", "rejected"]
    rows = []
    for name, one in _in_order(images):
        sizes = [f"{one['width'][key]:.0f} × {one['height'][key]:.0f}" for key in ("median", "min", "max")]
        rows.append([escape(name), whole(one["images"]), *sizes, whole(one["objects"]), whole(one["rejected"])])
    return table(header, rows)


def _in_order(sets: dict[str, Any]) -> list[tuple[str, Any]]:
    """Training sets first, then development and test sets."""
    kinds = ("train", "dev", "test")
    return sorted(
        sets.items(), key=lambda item: next((n for n, kind in enumerate(kinds) if item[0].startswith(kind)), 3)
    )


def _duration_figure(speech: dict[str, Any]) -> str:
    series: dict[str, dict[int, int]] = {}
    for one in speech.values():
        bins = series.setdefault(one["language"], {})
        for second, count in enumerate(one["duration_histogram"]):
            bins[second] = bins.get(second, 0) + count
    longest = max(max(bins) for bins in series.values())
    last = f", the last bar {LARGEST_BIN_S - 1} s and more" if longest == LARGEST_BIN_S - 1 else ""
    return figure(series, f"Length of captions in seconds (bars of one second{last})", shift=0.5)


def _caption_figure(speech: dict[str, Any]) -> str:
    series: dict[str, dict[int, int]] = {}
    for one in speech.values():
        counts = series.setdefault(one["language"], {})
        for captions, images in one["captions_per_image"]["histogram"].items():
            counts[int(captions)] = counts.get(int(captions), 0) + images
    return figure(series, "Captions per image (number of images)", shift=0.0)


def _examples(data: Path, numbers: dict[str, Any]) -> str:
    """A few images of the first split with a caption in every language; nothing where no caption that may be shown has a
    transcript."""
    split = "train" if "train" in numbers["images"] else next(iter(numbers["images"]))
    images = ImageSet.load(data / "images" / split)
    captions: dict[str, list[tuple[str, str]]] = {}
    for name, one in numbers["speech"].items():
        if one["split"] == split and one["transcripts"]:
            speech = SpeechSet.load(data / "speech" / name)
            for utterance, text in speech.text.items():
                if text and speech.may_share(utterance):
                    captions.setdefault(speech.utt2image[utterance], []).append((one["language"], text))
    cards: list[str] = []
    for image in sorted(captions, key=lambda image: (-len(dict(captions[image])), _hash(image))):
        thumbnail = _thumbnail(images.paths[images.shown(image)])
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
        small = Image.fromarray(read_pixels(path))
    except DataError:
        return ""
    small.thumbnail((224, 224))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=80)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
