"""What a reader of a release yields: captions by split, and the records that it had to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vgspeech.files import sha256_file, work_path


@dataclass(frozen=True, eq=False)
class Source:
    """A metadata file (or a folder tree)."""

    path: Path
    places: Callable[[Iterable[int]], dict[int, str]]
    """Record numbers -> where each stands, as messages say it: ``file:line: record N``. May read the file again."""


class Caption(NamedTuple):
    """One spoken caption, as its release describes it."""

    utterance: str
    speaker: str
    image: str
    """Path of the image below the image root."""
    image_id: str
    wav: str
    """Path of the recording below the release's root."""
    text: str
    """Transcript, words joined by single spaces; empty when the release has none."""
    alignment: str
    """``start__WORD__end`` items; empty when the release has none."""
    source: Source
    """What it stands in."""
    record: int
    """Number of the record in its metadata file, from 1."""
    start_s: float = 0.0
    """Where in the recording the caption starts, in seconds."""
    end_s: float | None = None
    """Where it ends; None is the recording's end."""
    share: bool = True
    """Whether the speaker agreed that the recording appears in reports."""

    recording: str = ""
    """Name of the recording where it is not that of its path."""

    def is_piece(self) -> bool:
        """Whether the caption is a part of its recording."""
        return self.start_s > 0 or self.end_s is not None


class Rejected(NamedTuple):
    """Something that cannot be used, and why."""

    id: str
    reason: str
    image_id: str = ""
    """The image it belongs to, where known."""


@dataclass
class SplitRecords:
    """The records of one split."""

    captions: list[Caption] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: list[Rejected] = field(default_factory=list)
    """Exact repetitions of a record. Leaving them out loses nothing, so they do not count as bad."""


@dataclass
class Account:
    """What a reader of own recordings tells besides its captions."""

    notes: list[str] = field(default_factory=list)
    """What the user should know, one sentence each."""
    files: dict[str, str] = field(default_factory=dict)
    """Path of each file that was read besides the manifest -> SHA-256; "" of one that would have been, but is not there."""

    def add_file(self, path: Path) -> None:
        """Enter a file, before it is read: what is changed while it is read then counts as changed afterwards."""
        self.files[work_path(path)] = sha256_file(path) if path.is_file() else ""


@dataclass
class Release:
    """One language of a corpus as released."""

    language: str
    root: Path
    splits: dict[str, SplitRecords]
    notes: list[str] = field(default_factory=list)
    """What the reader left alone, one sentence each."""
    files: dict[str, str] = field(default_factory=dict)
    """See ``Account.files``; all releases of one reading have the same."""


def with_language(language: str, captions: Iterable[Caption]) -> list[Caption]:
    """Captions with the language in front of speaker and utterance ids, for corpora that are merged from several."""
    return [c._replace(utterance=f"{language}-{c.utterance}", speaker=f"{language}-{c.speaker}") for c in captions]
