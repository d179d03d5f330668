"""Pictures and sounds of a page: inside the file while it stays small, else in a folder beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from pathlib import Path

import numpy as np
import soundfile

from vgspeech.files import atomic_write

SINGLE_FILE_LIMIT = 30_000_000
"""Bytes of the largest report that is one file."""
SOUND_RATE = 16000
_MIME = {".jpg": "image/jpeg", ".png": "image/png", ".mp3": "audio/mpeg", ".flac": "audio/flac"}
_MARK = re.compile("\x00([0-9a-f]{20}\\.[a-z0-9]+)\x00")


class Assets:
    """Collects files; a page refers to them by marks, which ``write_page`` replaces by their final addresses."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def add(self, data: bytes, suffix: str) -> str:
        """Keep a file (the same bytes only once) and return its mark, to be used as ``src`` or ``url()``.

        Args:
            data: the file's bytes.
            suffix: ``.jpg``, ``.png``, ``.mp3`` or ``.flac``.
        """
        name = hashlib.sha256(data).hexdigest()[:20] + suffix
        self._files[name] = data
        return f"\x00{name}\x00"

    def add_sound(self, wave: np.ndarray) -> str:
        """Keep a mono 16 kHz sound, compressed; the ends are faded over 8 ms, so that a cut does not click.

        Args:
            wave: float (N,) in [-1, 1].
        """
        wave = np.array(wave, np.float32)
        fade = min(len(wave) // 2, SOUND_RATE // 125)
        if fade:
            ramp = np.linspace(0, 1, fade, dtype=np.float32)
            wave[:fade] *= ramp
            wave[-fade:] *= ramp[::-1]
        stream = io.BytesIO()
        if "MP3" in soundfile.available_formats():  # libsndfile before 1.1 cannot write it
            soundfile.write(stream, wave, SOUND_RATE, format="MP3", subtype="MPEG_LAYER_III")
            return self.add(stream.getvalue(), ".mp3")
        soundfile.write(stream, wave, SOUND_RATE, format="FLAC", subtype="PCM_16")
        return self.add(stream.getvalue(), ".flac")

    def write_page(self, page: str, path: Path, limit: int = SINGLE_FILE_LIMIT) -> list[Path]:
        """Write the page, with its files inside or, above the limit, in ``assets/`` beside it.

        Args:
            page: HTML with marks.
            path: the page's file; files of an earlier report in the ``assets`` folder beside it are removed.
            limit: bytes of the largest single file.

        Returns:
            The files written, the page last.
        """
        uses = _MARK.findall(page)
        inside = len(page.encode()) + sum(-(-len(self._files[name]) // 3) * 4 for name in uses) <= limit
        folder = path.parent / "assets"
        beside = set() if inside else set(uses)
        for name in sorted(beside):
            with atomic_write(folder / name, "wb") as stream:
                stream.write(self._files[name])
        address = self._data_uri if inside else "assets/{}".format
        with atomic_write(path) as stream:
            stream.write(_MARK.sub(lambda match: address(match[1]), page))
        _remove_others(folder, beside)
        return [*(folder / name for name in sorted(beside)), path]

    def _data_uri(self, name: str) -> str:
        kind = _MIME[Path(name).suffix]
        return f"data:{kind};base64,{base64.b64encode(self._files[name]).decode('ascii')}"


def _remove_others(folder: Path, keep: set[str]) -> None:
    """Delete files of an earlier report, once the new page no longer needs them."""
    if not folder.is_dir():
        return
    for file in folder.iterdir():
        if file.name not in keep:
            file.unlink()
    if not keep:
        folder.rmdir()
