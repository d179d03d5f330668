"""The section on matchmaps: a card for each scene, with what the words of its captions light up, and their sound."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgspeech.archive import ArchiveReader
from vgspeech.files import read_json
from vgspeech.localize.matchmaps import FrameTimes, span_map
from vgspeech.plots import encode_image, heat, veil
from vgspeech.report.assets import Assets
from vgspeech.report.html import Section, language_name, missing, spoken, text
from vgspeech.report.inputs import ReportInput

TITLE = "What words light up"
PANEL_PIXELS = 40
"""Side of a veil picture; the browser enlarges it smoothly."""
LABEL_FROM = 0.2
"""Words are written under the spectrogram when they light up at least this share of the brightest word."""
NOTE = (
    "Each small picture is the scene as one word lights it up: in full colour where the word's frames match the image "
    "better than they match {count} unrelated images, pale elsewhere. Words like <i>the</i> should leave it pale. The "
    "curve over the spectrogram is the best cell's score at every moment. Play a caption to see the light move, or "
    "press a word. The captions were chosen by their place in the list, not by their scores."
)
NOT_TIMED = " This corpus has no word times: the pictures show the most active stretches instead of words."

Entry = Mapping[str, Any]


def matchmap_section(source: ReportInput, assets: Assets) -> Section:
    """Build the section from the ``matchmaps/`` folder (stage 7) of the first split that has one.

    Args:
        source: the model and its corpus.
        assets: takes the pictures and sounds.
    """
    folders = {split: source.eval_folder(split) / "matchmaps" for split in source.eval_splits()}
    split = next((split for split, folder in folders.items() if (folder / "captions.json").exists()), None)
    if split is None:
        return Section("matchmaps", TITLE, missing("No matchmap pictures: run stage 7."))
    folder = folders[split]
    about, maps = read_json(folder / "captions.json"), ArchiveReader(folder / "maps.scp")
    captions = [entry for entry in about["captions"] if source.may_show(split, entry["lang"], entry["utt"])]
    scenes: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for entry in captions:
        wave = source.sound(split, entry["lang"], entry["utt"])
        spectrogram = (folder / entry["sound"]).read_bytes()
        scenes.setdefault(entry["image"], []).append(Lane(entry, spectrogram, maps[entry["utt"]], assets).html(wave))
        files[entry["image"]] = assets.add((folder / entry["scene"]).read_bytes(), ".jpg")
    note = NOTE.format(count=int(about["unrelated_images"]))
    if not any(entry["timed"] for entry in captions):
        note += NOT_TIMED
    cards = [card(files[image], f'<p class="id">{text(image)}</p>', lanes) for image, lanes in scenes.items()]
    return Section("matchmaps", TITLE, f'<p class="note">{note}</p>{"".join(cards)}')


def card(scene: str, beside: str, lanes: Sequence[str]) -> str:
    """One scene with captions that light it up.

    Args:
        scene: the picture's mark (`Assets.add`).
        beside: HTML that stands with the picture.
        lanes: from `Lane.html`.
    """
    return f"""<article class="scene" style="--scene:url({scene})">
<div class="view"><div class="picture"><canvas width="160" height="160"></canvas></div>
{beside}</div>
<div class="lanes">{"".join(lanes)}</div></article>"""


@dataclass(frozen=True)
class Lane:
    """One caption of a card.

    Attributes:
        entry: as in ``captions.json`` (`caption_entry`).
        spectrogram: PNG bytes.
        matchmap: the subtracted one, (T, H*W).
        assets: takes the pictures and sounds.
        curve: (T,) drawn over the spectrogram; by default the best cell's score.
    """

    entry: Entry
    spectrogram: bytes
    matchmap: np.ndarray
    assets: Assets
    curve: np.ndarray | None = None

    @property
    def times(self) -> FrameTimes:
        """When the frames are."""
        return FrameTimes(float(self.entry["frame_shift_s"]), float(self.entry["frame_offset_s"]))

    def html(self, wave: np.ndarray | None) -> str:
        """Play button, spectrogram with curve and words, and the pictures of the words."""
        entry, spans = self.entry, self.entry["spans"]
        lang, (height, width) = str(entry["lang"]), entry["grid"]
        player = ""
        if wave is not None:
            player = (
                f'<audio preload="none" src="{self.assets.add_sound(wave)}"></audio>'
                f'<button class="play" aria-label="play the caption"></button>'
            )
        said = spoken(entry["text"], lang) if entry["text"] else '<span class="none">no transcript</span>'
        spectrogram = self.assets.add(self.spectrogram, ".png")
        return f"""
<div class="lane" data-map="{self._bytes()}" data-h="{int(height)}" data-w="{int(width)}"
 data-shift="{self.times.shift_s}" data-offset="{self.times.offset_s}" data-duration="{float(entry["duration_s"])}">
<p class="head">{player}<b class="lang">{text(language_name(lang))}</b> {said}</p>
<div class="timeline"><div class="sound"><img alt="" src="{spectrogram}">{self._curve()}<i class="now"></i></div>
<div class="words">{"".join(self._label(span) for span in spans)}</div></div>
<div class="panels">{"".join(self._panel(span) for span in spans)}</div>
<p class="id">{text(entry["utt"])} · speaker {text(entry["speaker"])}</p></div>"""

    def _bytes(self) -> str:
        """The matchmap for the page's script: 0 to 255 a frame and cell, base64."""
        lit = np.clip(self.matchmap / max(float(self.matchmap.max()), 1e-9), 0, 1)
        return base64.b64encode(np.round(255 * lit).astype(np.uint8).tobytes()).decode("ascii")

    def _curve(self) -> str:
        """The activation curve over time, as SVG stretched over the spectrogram."""
        best = self.matchmap.max(axis=1) if self.curve is None else self.curve
        x = 100 * self.times.centres(len(best)) / float(self.entry["duration_s"])
        y = 94 - 84 * np.clip(best / max(float(best.max()), 1e-9), 0, 1)
        points = " ".join(f"{a:.2f},{b:.1f}" for a, b in zip(x, y, strict=True))
        return f'<svg viewBox="0 0 100 100" preserveAspectRatio="none"><polyline points="{points}"/></svg>'

    def _label(self, span: Entry) -> str:
        """A line as long as the word, and its text when it lights up something."""
        length, scale = float(self.entry["duration_s"]), float(self.entry["scale"])
        left, width = 100 * span["start_s"] / length, 100 * (span["end_s"] - span["start_s"]) / length
        strength = span.get("strength", span["score"] / scale if scale > 0 else 0.0)
        strength = min(1.0, max(0.0, strength))
        word = spoken(span["text"], self.entry["lang"]) if span["text"] and strength >= LABEL_FROM else ""
        return f'<span style="left:{left:.2f}%;width:{width:.2f}%;--s:{strength:.2f}">{word}</span>'

    def _panel(self, span: Entry) -> str:
        """The scene as one word lights it up."""
        inside = self.times.inside(span["start_s"], span["end_s"], len(self.matchmap))
        grid = span_map(self.matchmap, inside).reshape(self.entry["grid"])
        shade = encode_image(veil(heat(grid, float(self.entry["scale"]), PANEL_PIXELS)), "png")
        word = spoken(span["text"], self.entry["lang"]) if span["text"] else f"{span['start_s']:.1f} s"
        return (
            f'<button class="panel" data-start="{span["start_s"]:.3f}" data-end="{span["end_s"]:.3f}">'
            f'<span class="lit"><img alt="" src="{self.assets.add(shade, ".png")}"></span>'
            f'<span class="word">{word}</span></button>'
        )
