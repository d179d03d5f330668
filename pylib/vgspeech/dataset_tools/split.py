"""Splitting a speech set into parts for parallel jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vgspeech.dataset_tools.layout import SpeechFiles
from vgspeech.dataset_tools.parts import distribute
from vgspeech.errors import DataError, UsageError
from vgspeech.files import atomic_folder
from vgspeech.streams import TABLE, read_records, value_of


@dataclass(frozen=True)
class SplitReport:
    """What was made."""

    folder: Path
    """Holds the parts, as folders ``1`` to ``parts``."""
    parts: int
    utterances: int
    remark: str | None
    """Why there are fewer parts than asked for."""


def split_set(source: SpeechFiles, num_parts: int, *, by: str = "speaker") -> SplitReport:
    """Split a set into ``split<N>/1`` to ``N`` (``split<N>utt`` by utterance), inside the set.

    Parts are runs of the sorted speakers (or utterances) of about as many utterances each. With fewer speakers (or
    utterances) than parts there are fewer parts, and the folder's name says so.

    Args:
        source: the set.
        num_parts: wanted number of parts.
        by: "speaker" keeps a speaker's utterances together; "utterance".

    Raises:
        UsageError: ``num_parts`` is not positive.
        DataError: the set is empty or not well-formed.
    """
    source.refuse_empty()
    if num_parts < 1:
        raise UsageError(f"the number of parts must be at least 1, not {num_parts}")
    spoken: dict[bytes, list[bytes]] = {}
    for record in read_records(source.path / "utt2spk", TABLE):
        spoken.setdefault(value_of(record) if by == "speaker" else record[1], []).append(record[1])
    if not spoken:
        raise DataError("has no utterances", where=str(source.path / "utt2spk"))
    groups = [spoken[name] for name in sorted(spoken)]
    parts, remark = min(num_parts, len(groups)), None
    if parts < num_parts:
        remark = f"{source.path} has {len(groups):,} {by}s: making {parts} parts instead of {num_parts}"
    part_of = _assign(groups, parts)
    folder = source.path / f"split{parts}{'utt' if by == 'utterance' else ''}"
    with atomic_folder(folder) as new:
        distribute(source, [new / str(part) for part in range(1, parts + 1)], part_of)
    return SplitReport(folder, parts, len(part_of), remark)


def _assign(groups: Sequence[Sequence[bytes]], parts: int) -> dict[bytes, int]:
    """Group after group to parts of about equal size; no part stays empty."""
    total, done, part = sum(map(len, groups)), 0, 0
    part_of: dict[bytes, int] = {}
    for index, group in enumerate(groups):
        middle = done + len(group) / 2
        starts_next = middle * parts >= total * (part + 1) and done > 0
        must_start_next = len(groups) - index <= parts - part - 1
        if part < parts - 1 and index > 0 and (starts_next or must_start_next):
            part += 1
        for utterance in group:
            part_of[utterance] = part
        done += len(group)
    return part_of
