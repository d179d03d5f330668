"""Which caption belongs to which set: joining languages by image, leaks between splits, subsets."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from vgspeech.corpora.captions import Caption, Rejected, Release, with_language
from vgspeech.corpora.ids import UNKNOWN_SPEAKER
from vgspeech.corpora.records import counted
from vgspeech.errors import DataError


@dataclass
class Part:
    """One language of one split while it is prepared."""

    captions: list[Caption] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: list[Rejected] = field(default_factory=list)

    def image_ids(self) -> set[str]:
        """The images that are described."""
        return {caption.image_id for caption in self.captions}


Division = dict[str, dict[str, Part]]
"""split -> language -> captions"""


def divide(lead: Release, others: Sequence[Release] = ()) -> Division:
    """Put every caption into its split: as ``lead`` has it, and captions of the others to the split of their image.

    With several releases the language becomes the prefix of speakers and utterances. A caption whose image ``lead``
    does not have is left out. A bad record of another release whose image is unknown is listed with train.
    """
    division: Division = {}
    for split, records in lead.splits.items():
        captions = with_language(lead.language, records.captions) if others else records.captions
        division[split] = {lead.language: Part(captions, records.rejected, records.duplicates)}
    if others:
        splits_of: dict[str, list[str]] = defaultdict(list)
        for split, parts in division.items():
            for image in parts[lead.language].image_ids():
                splits_of[image].append(split)
        for release in others:
            _place(release, division, splits_of)
    return division


def side_by_side(releases: Sequence[Release]) -> Division:
    """Put every caption into the split of its own release: of releases in several languages that share their splits.

    With several releases the language becomes the prefix of speakers and utterances.
    """
    division: Division = {}
    for release in releases:
        for split, records in release.splits.items():
            captions = with_language(release.language, records.captions) if len(releases) > 1 else records.captions
            part = Part(captions, records.rejected, records.duplicates)
            division.setdefault(split, {})[release.language] = part
    return division


def _place(release: Release, division: Division, splits_of: dict[str, list[str]]) -> None:
    parts = {split: division[split].setdefault(release.language, Part()) for split in division}
    first = "train" if "train" in parts else min(parts)
    seen: set[str] = set()
    for records in release.splits.values():
        for caption in with_language(release.language, records.captions):
            # The releases of 2018 and 2020 may meet in one folder: one utterance, listed twice.
            if caption.image_id in splits_of and caption.utterance not in seen:
                seen.add(caption.utterance)
                for split in splits_of[caption.image_id]:
                    parts[split].captions.append(caption)
        for rejected in records.rejected:
            for split in splits_of.get(rejected.image_id, [] if rejected.image_id else [first]):
                parts[split].rejected.append(rejected)
        for duplicate in records.duplicates:
            for split in splits_of.get(duplicate.image_id, []):
                parts[split].duplicates.append(duplicate)


def drop_incomplete(division: Division) -> dict[str, int]:
    """Leave out, in place, images that lack a caption in one of the languages.

    Returns:
        split -> number of images left out.
    """
    dropped = {}
    for split, parts in division.items():
        if len(parts) == 1:
            continue
        image_ids = [part.image_ids() for part in parts.values()]
        complete = set.intersection(*image_ids)
        dropped[split] = len(set.union(*image_ids)) - len(complete)
        if dropped[split]:
            keep_images(parts, complete)
    return dropped


def keep_images(parts: dict[str, Part], images: set[str]) -> None:
    """Leave out, in place, all captions of other images."""
    for part in parts.values():
        part.captions = [caption for caption in part.captions if caption.image_id in images]


def take_subset(division: Division, images: int) -> None:
    """Keep, in place, at most so many images of every split: the first by the hash of their ids.

    The choice depends on nothing else, so a larger subset contains every smaller one.
    """
    for parts in division.values():
        every = set().union(*(part.image_ids() for part in parts.values()))
        if len(every) > images:
            keep_images(parts, set(sorted(every, key=_hash)[:images]))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def check_leaks(division: Division, allow_overlap: bool, speakers_apart: bool = False) -> list[str]:
    """Look for images and speakers that several splits share.

    Args:
        division: all captions.
        allow_overlap: do not refuse what is found.
        speakers_apart: the corpus promises that splits share no speakers either.

    Returns:
        One sentence for every two splits that share something, with numbers.

    Raises:
        DataError: splits share images (or speakers that the corpus keeps apart) and ``allow_overlap`` is false.
    """
    images = {split: set().union(*(part.image_ids() for part in parts.values())) for split, parts in division.items()}
    speakers = {
        split: {c.speaker for part in parts.values() for c in part.captions} - {UNKNOWN_SPEAKER}
        for split, parts in division.items()
    }
    leaks: list[str] = []
    notes: list[str] = []
    for a, b in combinations(division, 2):
        shared = images[a] & images[b]
        if shared:
            leaks.append(f"{a} and {b} share {_examples(shared, 'image')}")
        if speakers[a] & speakers[b]:
            found = f"{a} and {b} share {_examples(speakers[a] & speakers[b], 'speaker')}"
            (leaks if speakers_apart else notes).append(found)
    if leaks and not allow_overlap:
        what = "images or speakers" if speakers_apart else "images"
        raise DataError(
            f"splits share {what}, so scores would be too good: " + "; ".join(leaks),
            hint="repair the metadata, or keep the splits as they are with --allow-overlap true",
        )
    return leaks + notes


def _examples(names: Iterable[str], what: str) -> str:
    first = sorted(names)
    more = ", ..." if len(first) > 2 else ""
    return f"{counted(len(first), what)} ({', '.join(first[:2])}{more})"
