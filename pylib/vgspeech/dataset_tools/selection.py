"""Subsets of a speech set: some utterances, speakers or images, always the same ones."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from vgspeech.dataset_tools.layout import SpeechFiles, new_set_path
from vgspeech.dataset_tools.parts import distribute
from vgspeech.errors import DataError, UsageError
from vgspeech.files import atomic_folder
from vgspeech.streams import TABLE, line_of, read_keys, read_records, value_of
from vgspeech.tables import StrPath, bad_line, parse_number, read_lines

Unit = Literal["utterance", "speaker", "image"]
_TABLE_OF: dict[Unit, str] = {"utterance": "utt2spk", "speaker": "utt2spk", "image": "utt2image"}


@dataclass(frozen=True)
class Selection:
    """What a subset holds: ``count`` units, or the listed ones."""

    unit: Unit = "utterance"
    """Speakers and images are taken with all their utterances."""
    count: int | None = None
    order: Literal["hash", "shortest", "first", "last"] = "hash"
    """Which units come first: those of the smallest hashes of their ids (the same ones wherever they occur), the shortest
    utterances, or the first or last in C order."""
    seed: int = 0
    """Other hashes."""
    listed: Path | None = None
    """A file whose lines start with the ids to take."""
    apart_from: Sequence[StrPath] = ()
    """Speech sets of other splits: utterances whose image is in one of them are not taken."""


def subset_set(source: SpeechFiles, selection: Selection, out: StrPath) -> tuple[int, int]:
    """Write a subset of a speech set to a new folder.

    Returns:
        The number of utterances taken, and of those in the source.

    Raises:
        UsageError: there are fewer units than asked for, or ``out`` cannot be written.
        DataError: the set is not well-formed, lacks a needed table, or lacks a listed id; or nothing is left.
    """
    source.refuse_empty()
    out = new_set_path(out, [source.path])
    ids = read_keys(source.path / "utt2spk")
    units = _candidates(source, selection)
    chosen = _chosen(source, selection, set(units.values()))
    kept = {utterance: 0 for utterance, unit in units.items() if unit in chosen}
    if not kept:
        raise DataError("nothing is selected", where=str(source.path))
    with atomic_folder(out) as new:
        distribute(source, [new], kept)
    return len(kept), len(ids)


def _candidates(source: SpeechFiles, selection: Selection) -> dict[bytes, bytes]:
    """Utterance -> its unit (itself, its speaker or image), those apart from other sets."""
    table = source.need(_TABLE_OF[selection.unit], f"a selection of {selection.unit}s")
    own = selection.unit == "utterance"
    units = {record[1]: record[1] if own else value_of(record) for record in read_records(table, TABLE)}
    if not selection.apart_from:
        return units
    taken = {value_of(r) for other in selection.apart_from for r in read_records(Path(other) / "utt2image", TABLE)}
    for record in read_records(source.need("utt2image", "--apart-from"), TABLE):
        if value_of(record) in taken:
            units.pop(record[1], None)
    return units


def _chosen(source: SpeechFiles, selection: Selection, units: Collection[bytes]) -> Collection[bytes]:
    if selection.listed is not None:
        return _listed(source, selection, units)
    if selection.count is None:
        return units
    if not 1 <= selection.count <= len(units):
        left = ", apart from the other sets," if selection.apart_from else ""
        raise UsageError(f"{selection.count} {selection.unit}s are asked for; {source.path}{left} has {len(units)}")
    if selection.order == "shortest":
        return _shortest(source, selection, units)
    if selection.order != "hash":
        names = sorted(units)
        return set(names[: selection.count] if selection.order == "first" else names[-selection.count :])
    return set(heapq.nsmallest(selection.count, units, key=_hash(selection.seed)))


def _hash(seed: int) -> Callable[[bytes], tuple[bytes, bytes]]:
    salt = seed.to_bytes(8, "little", signed=True)
    return lambda name: (blake2b(name, digest_size=8, salt=salt).digest(), name)


def _shortest(source: SpeechFiles, selection: Selection, units: Collection[bytes]) -> set[bytes]:
    file = source.need("utt2dur", "--shortest")
    durations: list[tuple[float, bytes]] = []
    for number, record in enumerate(read_records(file, TABLE), start=1):
        if record[1] in units:
            durations.append((parse_number(value_of(record).decode(), f"{file}:{number}", "duration"), record[1]))
    return {name for _, name in heapq.nsmallest(selection.count or 0, durations)}


def _listed(source: SpeechFiles, selection: Selection, units: Collection[bytes]) -> set[bytes]:
    """The ids of a list; every one must be in the set."""
    assert selection.listed is not None
    names: set[bytes] = set()
    for number, line in enumerate(read_lines(selection.listed), start=1):
        fields = line.split()
        if not fields:
            raise bad_line(selection.listed, number, "is empty")
        name = fields[0].encode()
        if name not in units and not (selection.apart_from and _is_known(source, selection.unit, name)):
            what = f"{selection.unit} '{fields[0]}' is not in {source.path / _TABLE_OF[selection.unit]}"
            raise bad_line(selection.listed, number, what, "list what the set has: each line's first word is an id")
        names.add(name)
    return names


def _is_known(source: SpeechFiles, unit: Unit, name: bytes) -> bool:
    file = source.path / _TABLE_OF[unit]
    if unit == "utterance":
        return line_of(file, name) > 0
    return name in _values(read_records(file, TABLE))


def _values(records: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    return {value_of(record) for record in records}
