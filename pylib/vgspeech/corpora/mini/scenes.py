"""Scenes: which objects there are, where and how they look, and the picture."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vgspeech.corpora.mini.config import UNSEEN_SPLIT, MiniCorpusConfig, random_stream
from vgspeech.corpora.mini.glyphs import glyph_mask
from vgspeech.corpora.mini.vocabulary import COLOURS, NOUNS, Colour, Noun

_VISIBLE = 128
"""Coverage (of 255) from which a pixel counts as the object's."""


@dataclass(frozen=True)
class SceneItem:
    """An object of a scene, before it is drawn."""

    noun: Noun
    colour: Colour
    glyph: str
    rgb: tuple[int, int, int]
    centre: tuple[int, int]
    size: int
    angle: float
    flipped: bool


@dataclass(frozen=True)
class DrawnObject:
    """An object as it can be seen: what later objects cover is not part of it."""

    concept: str
    colour: str
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in pixels, x1 and y1 exclusive."""
    mask: np.ndarray
    """Bool (H, W)."""


def image_path(config: MiniCorpusConfig, split: str, index: int, items: list[SceneItem]) -> str:
    """Path of a scene's picture below the images folder, as in Places205: ``t/three_objects/gsun_<hex>.jpg``."""
    category = ("one_object", "two_objects", "three_objects", "four_objects")[len(items) - 1]
    digest = hashlib.sha256(f"{config.seed} {split} {index}".encode()).hexdigest()[:32]
    return f"{category[0]}/{category}/gsun_{digest}.jpg"


def plan_scene(config: MiniCorpusConfig, split: str, index: int) -> list[SceneItem]:
    """Choose a scene's objects: different nouns, colours independent of each other, each in its own quarter."""
    rng = random_stream(config, split, index, "scene")
    unseen = split == UNSEEN_SPLIT
    nouns = [noun for noun in NOUNS if noun.unseen_glyph] if unseen else list(NOUNS)
    count = int(rng.choice(config.objects))
    chosen = rng.permutation(len(nouns))[:count]
    quarters = rng.permutation(4)[:count]
    return [_plan_item(config, rng, nouns[n], int(q), unseen) for n, q in zip(chosen, quarters, strict=True)]


def _plan_item(config: MiniCorpusConfig, rng: np.random.Generator, noun: Noun, quarter: int, unseen: bool) -> SceneItem:
    colour = COLOURS[rng.integers(len(COLOURS))]
    glyph = noun.glyphs[rng.integers(len(noun.glyphs))]
    if unseen:
        assert noun.unseen_glyph is not None
        glyph = noun.unseen_glyph
    rgb = np.clip(np.rint(rng.normal(colour.rgb, config.colour_noise)), 0, 255).astype(int)
    jitter = rng.integers(-config.jitter, config.jitter + 1, size=2)
    side = config.image_size
    return SceneItem(
        noun=noun,
        colour=colour,
        glyph=glyph,
        rgb=(int(rgb[0]), int(rgb[1]), int(rgb[2])),
        centre=(_middle(side, quarter % 2) + int(jitter[0]), _middle(side, quarter // 2) + int(jitter[1])),
        size=int(rng.integers(config.glyph_size[0], config.glyph_size[1] + 1)),
        angle=float(rng.uniform(-config.rotation, config.rotation)),
        flipped=bool(rng.random() < config.flip_probability),
    )


def _middle(side: int, half: int) -> int:
    return side * (1 + 2 * half) // 4


def draw_scene(
    config: MiniCorpusConfig, split: str, index: int, items: list[SceneItem]
) -> tuple[Image.Image, list[DrawnObject]]:
    """Draw the objects over a noisy background, in order, and measure what remains visible of each.

    Returns:
        The picture (``image_size`` square, RGB) and the objects, in the order of ``items``.
    """
    picture = _background(config, random_stream(config, split, index, "background"))
    masks: list[np.ndarray] = []
    for item in items:
        coverage = _coverage(item, config.image_size)
        picture.paste(item.rgb, (0, 0), coverage)
        mask = np.asarray(coverage) >= _VISIBLE
        masks = [earlier & ~mask for earlier in masks] + [mask]
    return picture, [_drawn(item, mask) for item, mask in zip(items, masks, strict=True)]


def _background(config: MiniCorpusConfig, rng: np.random.Generator) -> Image.Image:
    """Base colour + soft clouds + pixel noise."""
    side = config.image_size
    values = np.empty((side, side, 3), dtype=np.float32)
    base = rng.uniform(config.background[0], config.background[1], size=3)
    for channel in range(3):
        coarse = rng.normal(0, config.cloud_noise, size=(8, 8)).astype(np.float32)
        clouds = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        values[:, :, channel] = base[channel] + np.asarray(clouds)
    values += rng.normal(0, config.pixel_noise, size=values.shape)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _coverage(item: SceneItem, side: int) -> Image.Image:
    """The object alone: 8-bit coverage of the whole picture, moved so that the object lies inside it."""
    glyph = glyph_mask(item.glyph, item.size)
    if item.flipped:
        glyph = glyph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    glyph = glyph.rotate(item.angle, Image.Resampling.BICUBIC, expand=True)
    x = min(max(item.centre[0] - glyph.width // 2, 0), side - glyph.width)
    y = min(max(item.centre[1] - glyph.height // 2, 0), side - glyph.height)
    canvas = Image.new("L", (side, side))
    canvas.paste(glyph, (x, y))
    return canvas


def _drawn(item: SceneItem, mask: np.ndarray) -> DrawnObject:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return DrawnObject(item.noun.concept, item.colour.concept, box, mask)


def encode_jpeg(picture: Image.Image, quality: int) -> bytes:
    """The picture as JPEG bytes, colours at full resolution."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run-length encoding.

    Args:
        mask: bool (H, W).

    Returns:
        Lengths of runs, column by column, beginning with the (possibly empty) run of background.
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(length) for length in np.diff(np.concatenate([[0], edges, [mask.size]]))]
