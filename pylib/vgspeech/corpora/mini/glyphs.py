"""Icons as alpha masks, from the fonts that come with the qtawesome package.

The package itself is never imported (it wants Qt): only its font files and name tables are read.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

from PIL import Image, ImageFont

from vgspeech.errors import DataError, UsageError

_FAMILIES = {
    "fa": "fontawesome6-solid-webfont",
    "md": "materialdesignicons6-webfont",
    "ph": "phosphor",
    "rx": "remixicon",
}
INSTALL_HINT = "install the mini corpus's extras: pip install 'espeakng-loader>=0.2' qtawesome==1.4.2"


def font_folder() -> Path:
    """The folder of font files.

    Raises:
        UsageError: qtawesome is not installed.
    """
    spec = importlib.util.find_spec("qtawesome")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("the mini corpus needs the icon fonts of the package qtawesome", hint=INSTALL_HINT)
    return Path(spec.submodule_search_locations[0]) / "fonts"


@functools.cache
def _family_files(family: str) -> tuple[Path, dict[str, str]]:
    """Font file and name -> code point (hexadecimal) of a family."""
    folder = font_folder()
    stem = _FAMILIES[family]
    charmaps = sorted(folder.glob(f"{stem}-charmap-*.json"))
    fonts = sorted(folder.glob(f"{stem}-[0-9]*.ttf"))
    if len(charmaps) != 1 or len(fonts) != 1:
        raise DataError(f"expected one font and one name table '{stem}-*'", where=str(folder), hint=INSTALL_HINT)
    return fonts[0], json.loads(charmaps[0].read_text(encoding="utf-8"))


@functools.cache
def _font(family: str, size: int) -> ImageFont.FreeTypeFont:
    path, _ = _family_files(family)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def glyph_mask(glyph: str, size: int) -> Image.Image:
    """Draw a glyph.

    Args:
        glyph: ``family:name``.
        size: font size in pixels; the drawing is up to 1.25 times as wide.

    Returns:
        8-bit image of coverage, cut to the drawing's own box.

    Raises:
        DataError: the family has no such name, or the drawing is empty.
    """
    family, _, name = glyph.partition(":")
    path, charmap = _family_files(family)
    if name not in charmap:
        raise DataError(f"no glyph '{name}' in this font", where=str(path), hint=INSTALL_HINT)
    character = chr(int(charmap[name], 16))
    left, top, right, bottom = _font(family, size).getbbox(character)
    canvas = Image.new("L", (int(right - left), int(bottom - top)))
    if canvas.width and canvas.height:
        drawing = _font(family, size).getmask(character, mode="L")
        canvas = Image.frombytes("L", drawing.size, bytes(drawing))
    box = canvas.getbbox()
    if box is None:
        raise DataError(f"glyph '{name}' draws nothing", where=str(path))
    return canvas.crop(box)
