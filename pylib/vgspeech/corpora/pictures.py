"""Pictures by the names that people write: a file's name or path, with or without its extension, or an image id."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections import defaultdict
from pathlib import Path

from vgspeech.corpora.ids import IMAGE_EXTENSIONS, image_id
from vgspeech.videos import EXTENSIONS as VIDEO_EXTENSIONS

SUGGESTIONS = 10
"""Missing names for which a similar one is looked for: a search through all names takes a second where they are many."""


class PictureNames:
    """All images and videos below a folder, hidden ones left out."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._suggested = 0
        tables: list[dict[str, set[str]]] = [defaultdict(set) for _ in range(4)]
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in files:
                if file.lower().endswith((*IMAGE_EXTENSIONS, *VIDEO_EXTENSIONS)) and not file.startswith("."):
                    path = os.path.relpath(os.path.join(folder, file), root)
                    whole = {path, os.path.splitext(path)[0], image_id(path)}
                    for number, names in enumerate((whole, {file, os.path.splitext(file)[0]})):
                        for name in names:
                            tables[number][_plain(name)].add(path)
                            tables[number + 2][_plain(name).casefold()].add(path)
        self._tables = tables

    def path_of(self, name: str) -> str:
        """The picture's path below the folder; spelled so, or else in other cases of letters.

        Raises:
            ValueError: there is none (with one of a similar name), or there are several.
        """
        key = _plain(" ".join(name.split()).replace("\\", "/").removeprefix("./"))
        for table, sought in zip(self._tables, (key, key, key.casefold(), key.casefold()), strict=True):
            found = sorted(table.get(sought, ()))
            if len(found) == 1:
                return found[0]
            if found:
                raise ValueError(f"{name!r} may be {len(found)} pictures: {', '.join(found[:3])}; write the path")
        raise ValueError(f"no picture {name[:80]!r} in {self._root}{self._near(key)}")

    def _near(self, key: str) -> str:
        self._suggested += 1
        if self._suggested > SUGGESTIONS:
            return ""
        near = difflib.get_close_matches(key.casefold(), self._tables[3], n=1, cutoff=0.7)
        return f"; did you mean {min(self._tables[3][near[0]])}?" if near else ""


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)
