"""The folders that a table of own recordings speaks of, and its paths in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vgspeech.corpora.ids import release_path


@dataclass(frozen=True)
class Roots:
    """Folders that paths of a table lie in."""

    audio: Path
    images: Path


def below(path: str, root: Path, option: str) -> str:
    """A path of a table, relative to the folder that it must lie in.

    Raises:
        ValueError: it lies elsewhere, or is no path.
    """
    path = path.strip()
    if "\\" in path:
        if "/" in path or path[1:3] == ":\\":
            raise ValueError(f"path {path!r} is one of another machine: write it relative to {root}")
        path = path.replace("\\", "/")
    if path.startswith("/"):
        inside = str(root.absolute()).rstrip("/") + "/"
        if not path.startswith(inside):
            raise ValueError(f"path {path!r} lies outside {root.absolute()}; give the folder that holds all: {option} DIR")
        path = path[len(inside) :]
    return release_path(path)
