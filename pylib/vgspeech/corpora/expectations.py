"""What can be expected of own recordings, said before hours of work: languages that cannot be compared, and too few captions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from vgspeech.corpora.division import Division
from vgspeech.corpora.prepare import SetSummary
from vgspeech.errors import DataError

FEW_CAPTIONS = 300
"""With so many captions of a language half of the words of the artificial corpus were found (egs/own/RESULTS.md)."""
FEW_PICTURES = 30
"""With fewer held-out pictures, scores say little: by chance one picture in three is among the first ten."""
FEWEST_PICTURES = 3
"""One to learn from, one for development, one for test."""


def check_common_pictures(division: Division, languages: Sequence[str], where: Path) -> None:
    """Refuse languages that cannot be compared, because they describe no picture in common in all splits or in one.

    Args:
        division: of all captions.
        languages: those that a model will be trained on; others, and those without recordings, are not looked at.
        where: the manifest or tree, for the message.

    Raises:
        DataError: two languages have no picture in common, or none in a split.
    """
    there = [language for language in languages if any(language in parts for parts in division.values())]
    for a, b in combinations(there, 2):
        common = {
            split: len(parts[a].image_ids() & parts[b].image_ids())
            for split, parts in division.items()
            if a in parts and b in parts
        }
        if not any(common.values()):
            raise DataError(
                f"{a} and {b} describe no picture in common, so that their words cannot be compared",
                where=str(where),
                hint=f"a picture is known by its path, which must be the same in the lines of both languages; "
                f"if they do describe different pictures, run each alone: --langs {a}, and --langs {b} with another --corpus",
            )
        lacking = next((split for split, count in common.items() if not count), None)
        if lacking is not None:
            raise DataError(
                f"{a} and {b} have {sum(common.values())} pictures in common, but none of them in {lacking}",
                where=str(where),
                hint="hold more pictures out (--dev 0.2 --test 0.2), or say in a column 'split' which",
            )


def check_enough_pictures(division: Division, languages: Sequence[str], where: Path) -> None:
    """Refuse a language with fewer pictures than can be divided.

    Raises:
        DataError: there are fewer than three.
    """
    for language in languages:
        images = {image for parts in division.values() if language in parts for image in parts[language].image_ids()}
        if 0 < len(images) < FEWEST_PICTURES:
            raise DataError(
                f"{language} has {len(images)} picture{'s'[: len(images) > 1]}; needed are at least {FEWEST_PICTURES}",
                where=str(where),
                hint=f"one to learn from and two to test with; words are found from about {FEW_CAPTIONS} captions on",
            )


def expectations(sets: Sequence[SetSummary]) -> list[str]:
    """What a user should know about sets as small as these, one sentence each."""
    notes = []
    few = [f"{one.utterances} captions in {one.name}" for one in sets if _kind(one) == "train" and one.utterances < FEW_CAPTIONS]
    if few:
        notes.append(
            f"there are only {' and '.join(few)} to learn from. With about {FEW_CAPTIONS} half of the words of artificial speech "
            "were found, and human speech needs more. The run goes on and shows how everything works; trust none of its results"
        )
    small = {one.name.rpartition("_")[0]: one.images for one in sets if _kind(one) == "test" and one.images < FEW_PICTURES}
    for split, images in small.items():
        by_chance = min(100.0, 1000 / images)
        notes.append(
            f"{split} has only {images} picture{'s'[: images > 1]}: by chance the right one is among the first ten in "
            f"{by_chance:.0f} % of all cases"
        )
    return notes


def _kind(one: SetSummary) -> str:
    return one.name.partition("_")[0]
