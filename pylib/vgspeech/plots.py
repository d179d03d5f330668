"""Pictures of matchmaps, sounds and scores: arrays in, arrays or image bytes out.

Pictures hold no words: a font that lacks a script, or that cannot join its letters, would print wrong text. The report
sets the words beside the pictures, where the browser shapes them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from vgspeech.localize.boxes import View
from vgspeech.localize.captions import PicturedCaption

PAPER = (232, 232, 228)
"""Colour of the veil over the parts of a picture that a word does not light up (in report/script.js too)."""
ACCENT = "#b4532a"
VEIL = 0.86
"""Opacity of the veil where a word lights up nothing."""


PANEL_SIDE = 160
"""Pixels of a panel of `picture_of_caption`, about as many as it takes there."""


def view_of(pixels: np.ndarray, view: View, side: int) -> np.ndarray:
    """A square part of an image, resized for display.

    Args:
        pixels: the original image, uint8 (H, W, 3).
        view: which part, in its pixels.
        side: length of the result's sides in pixels.

    Returns:
        uint8 (side, side, 3).
    """
    box = (view.x0, view.y0, view.x1, view.y1)
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def heat(values: np.ndarray, scale: float, side: int) -> np.ndarray:
    """A grid of scores as a smooth picture: negative scores are 0, ``scale`` and above are 1.

    Args:
        values: scores (H, W).
        scale: the score shown as 1; when it is not positive everything is 0.
        side: length of the result's sides in pixels.

    Returns:
        float32 (side, side) in [0, 1].
    """
    shown = np.clip(values / scale, 0, 1) if scale > 0 else np.zeros_like(values)
    smooth = Image.fromarray(shown.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth), 0, 1)


def veil(lit: np.ndarray) -> np.ndarray:
    """The pale overlay that leaves visible what is lit: uint8 RGBA (H, W, 4) from values (H, W) in [0, 1]."""
    rgba = np.empty((*lit.shape, 4), np.uint8)
    rgba[..., :3] = PAPER
    rgba[..., 3] = np.round(255 * VEIL * (1 - lit))
    return rgba


def under_veil(scene: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) with the veil over it, as the report's pages show it: uint8 like the picture."""
    opacity = VEIL * (1 - lit[..., None])
    return np.round(scene * (1 - opacity) + np.array(PAPER) * opacity).astype(np.uint8)


def mosaic(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Square pictures in rows on white, from the left: one picture. Axes of its own for each would take ten times as long.

    Args:
        panels: uint8 (S, S, 3) each.
        columns: pictures in a row.

    Returns:
        uint8 (rows, columns, 3) in pixels, a gap of S / 20 between panels.
    """
    side = len(panels[0])
    step = side + side // 20
    rows = -(-len(panels) // columns)
    paper = np.full((rows * step, columns * step, 3), 255, np.uint8)
    for number, panel in enumerate(panels):
        top, left = step * (number // columns), step * (number % columns)
        paper[top : top + side, left : left + side] = panel
    return paper[: rows * step - side // 20, : columns * step - side // 20]


def spectrogram(features: np.ndarray) -> np.ndarray:
    """Log-mel features as a grey picture, dark where there is energy, low frequencies at the bottom.

    Args:
        features: (T, bins).

    Returns:
        uint8 (bins, T).
    """
    low, high = np.percentile(features, [5, 99.5])
    shade = np.clip((features - low) / max(high - low, 1e-6), 0, 1) ** 1.3
    return np.round(255 * (1 - 0.9 * shade)).astype(np.uint8).T[::-1]


def encode_image(pixels: np.ndarray, kind: Literal["jpeg", "png"]) -> bytes:
    """Image file bytes of a uint8 array (H, W), (H, W, 3) or (H, W, 4)."""
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    if kind == "jpeg":
        image.save(stream, "JPEG", quality=85)
    else:
        image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def picture_of_caption(caption: PicturedCaption, scene: np.ndarray, sound: np.ndarray) -> bytes:
    """One caption as a picture: the scene, what each of its words lights up, and the sound with the activation curve.

    Args:
        caption: what to show.
        scene: what the model sees of its image, uint8 (S, S, 3).
        sound: its spectrogram, uint8 (bins, T).

    Returns:
        PNG bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    small = view_of(scene, View(0, 0, *scene.shape[:2]), PANEL_SIDE)
    panels = [small, *(under_veil(small, heat(span.grid, caption.scale, PANEL_SIDE)) for span in caption.spans)]
    columns = min(8, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * 1.5, rows * 1.5 + 1.2), dpi=110)
    FigureCanvasAgg(figure)
    layout = figure.add_gridspec(
        2, 1, height_ratios=[1.5 * rows, 1.2], hspace=0.06, left=0.005, right=0.995, top=0.995, bottom=0.01
    )
    axes = figure.add_subplot(layout[0], anchor="W")
    axes.imshow(mosaic(panels, columns))
    axes.set_axis_off()
    _draw_sound(figure.add_subplot(layout[1]), caption, sound)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw_sound(axes: Any, caption: PicturedCaption, sound: np.ndarray) -> None:
    """The spectrogram, marks where spans start and end, and the best cell's score over time."""
    axes.imshow(sound, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=(0, caption.duration_s, 0, 1), alpha=0.5)
    for span in caption.spans:
        axes.plot([span.start_s, span.end_s], [0.03, 0.03], color=ACCENT, linewidth=3, solid_capstyle="butt")
        axes.axvline(span.start_s, color="white", linewidth=0.8)
    curve = np.clip(caption.matchmap.max(axis=(1, 2)), 0, None)
    height = 0.08 + 0.86 * curve / max(float(curve.max()), 1e-9)
    axes.plot(caption.times.centres(len(curve)), height, color=ACCENT, linewidth=1.6)
    axes.set(xlim=(0, caption.duration_s), ylim=(0, 1))
    axes.set_axis_off()


def picture_of_detectors(precision: np.ndarray, recall: np.ndarray, curve: Mapping[float, int]) -> bytes:
    """Word detectors as a picture: precision against recall of the best, and how many words pass each F1 threshold.

    Args:
        precision, recall: (N,) 0 to 1 of the best words.
        curve: F1 threshold to number of words.

    Returns:
        PNG bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.0), dpi=110)
    FigureCanvasAgg(figure)
    scatter, steps = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.14, top=0.92, wspace=0.2)
    for f1 in (0.3, 0.5, 0.7, 0.9):  # lines of equal F1: R = F1 P / (2 P - F1)
        line = np.linspace(f1 / (2 - f1), 1, 100)
        scatter.plot(line, f1 * line / (2 * line - f1), color="0.85", linewidth=0.8, zorder=0)
    scatter.scatter(precision, recall, s=14, color=ACCENT, alpha=0.6, linewidths=0)
    scatter.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="precision", ylabel="recall", title=f"best {len(recall)} words")
    passed = {threshold: words for threshold, words in curve.items() if words}
    steps.semilogy(list(passed), list(passed.values()), color=ACCENT, marker="o", markersize=3)
    steps.set(xlim=(0, 1), xlabel="F1 threshold", ylabel="words detected")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
