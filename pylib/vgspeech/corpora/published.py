"""Published sizes of corpora, to compare a copy with. They come from the releases' papers and pages, or were counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from vgspeech.corpora.captions import Release


class Size(NamedTuple):
    """A published number."""

    language: str
    split: str
    """Name of a split; "" for all together."""
    what: Literal["captions", "images", "clips", "speakers"]
    number: int
    exact: bool = True
    """False for numbers that sources give as "about", or of which several circulate."""


PLACES = [
    Size("en", "train", "captions", 402_385, exact=False),
    Size("en", "dev", "captions", 1_000),
    Size("hi", "", "captions", 100_000, exact=False),
    Size("ja", "", "captions", 100_000, exact=False),
]
FLICKR8K = [
    Size("en", "", "captions", 40_000),
    Size("en", "train", "images", 6_000),
    Size("en", "dev", "images", 1_000),
    Size("en", "test", "images", 1_000),
    Size("en", "", "speakers", 183),
]
SPOKEN_COCO = [Size("en", "", "captions", 605_000, exact=False), Size("en", "", "images", 123_287, exact=False)]
KARPATHY = [Size("en", split, "images", count) for split, count in (("train", 113_287), ("dev", 5_000), ("test", 5_000))]
SPOKEN_COCO_KARPATHY = [*SPOKEN_COCO, *KARPATHY, Size("en", "test", "captions", 25_031)]
SPEECH_COCO = [Size("en", "", "captions", 616_767)]
SPOKEN_MOMENTS = [Size("en", "", "captions", 515_912), Size("en", "", "clips", 459_742)]
OBJECTNET = [Size("en", "", "captions", 50_000, exact=False)]


def compare(releases: Sequence[Release], sizes: Sequence[Size]) -> list[str]:
    """Sentences that put the sizes of what was read beside those published.

    Records that were refused and repetitions are part of the release and counted with its captions. Sizes of splits that
    are not there are left out.
    """
    sentences = []
    for release in releases:
        for size in sizes:
            if size.language == release.language and (not size.split or size.split in release.splits):
                count = _count(release, size)
                near = abs(count - size.number) <= (0 if size.exact else 0.05 * size.number)
                name = f"{release.language} {size.split}".strip()
                about = "" if size.exact else "about "
                differs = "" if near else ": this copy differs"
                sentences.append(f"{name}: {count:,} {size.what}, published {about}{size.number:,}{differs}")
    return sentences


def _count(release: Release, size: Size) -> int:
    parts = [records for split, records in release.splits.items() if size.split in ("", split)]
    if size.what == "captions":
        return sum(len(part.captions) + len(part.rejected) + len(part.duplicates) for part in parts)
    if size.what in ("images", "clips"):
        return len({caption.image_id for part in parts for caption in part.captions})
    return len({caption.speaker for part in parts for caption in part.captions})
