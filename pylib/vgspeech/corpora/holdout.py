"""Which images of a corpus without splits are kept for development and test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from vgspeech.errors import UsageError


class Fractions(NamedTuple):
    """Shares of the images that are held out."""

    dev: float = 0.1
    test: float = 0.1


def hold_out(images: Iterable[tuple[str, str]], fractions: Fractions) -> dict[str, str]:
    """Divide images into train, dev and test by a hash of their ids.

    An image's split depends on nothing but its id, so it stays where it is when recordings are added, except that every
    language with at least three images gets one in each split that is asked for.

    Args:
        images: (image id, language of a caption of it), in any order, repetitions allowed.
        fractions: shares of the images.

    Returns:
        image id -> split.

    Raises:
        UsageError: the shares are not between 0 and 1 together.
    """
    if not (fractions.dev >= 0 and fractions.test >= 0 and fractions.dev + fractions.test < 1):
        raise UsageError(f"cannot hold out {fractions.dev:g} for dev and {fractions.test:g} for test: below 1 together")
    of_language: dict[str, set[str]] = {}
    for image, language in images:
        of_language.setdefault(language, set()).add(image)
    place = {image: _place(image) for found in of_language.values() for image in found}
    bounds = fractions.test, fractions.test + fractions.dev
    splits = {
        image: "test" if at < bounds[0] else "dev" if at < bounds[1] else "train" for image, at in place.items()
    }
    wanted = [split for split, share in (("test", fractions.test), ("dev", fractions.dev), ("train", 1.0)) if share > 0]
    for language in sorted(of_language):
        mine = sorted(of_language[language], key=place.__getitem__)
        for split in wanted if len(mine) >= len(wanted) else []:
            if not any(splits[image] == split for image in mine):
                splits[_spare(mine, splits, split)] = split
    return splits


def _spare(images: list[str], splits: dict[str, str], split: str) -> str:
    """An image to move to a split: of those whose split has more than one, the first by hash (the last for train)."""
    counts = {name: sum(splits[image] == name for image in images) for name in ("train", "dev", "test")}
    several = [image for image in images if counts[splits[image]] > 1]
    return several[-1] if split == "train" else several[0]


def _place(image: str) -> float:
    """A number in [0, 1) that is a function of the id alone."""
    return int.from_bytes(hashlib.sha256(image.encode()).digest()[:8], "big") / 2**64
