"""Combining speech sets into one: a merge of sorted files, block by block."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from vgspeech.dataset_tools.layout import SetFile, SpeechFiles, new_set_path
from vgspeech.dataset_tools.parts import copy_rest, write_spk2utt
from vgspeech.errors import DataError
from vgspeech.files import atomic_folder
from vgspeech.streams import BLOCK_BYTES, TABLE, Records, line_of, read_blocks, read_keys, read_records, value_of
from vgspeech.tables import StrPath

COMPLETED = ("segments", "utt2uniq", "utt2share")
"""Tables that a source without them is given lines for."""


class CombineReport(NamedTuple):
    """What was made, and lines about files that could not be combined."""

    utterances: int
    remarks: list[str]


def combine_sets(sources: Sequence[SpeechFiles], out: StrPath, *, features: bool = True) -> CombineReport:
    """Write all utterances of some speech sets to a new one.

    A file that not every source has is left out, and a remark says so; but ``segments`` (a recording is one segment),
    ``utt2uniq`` (an utterance is itself) and ``utt2share`` (what is not listed may be shown) are completed. A recording or
    speaker may be in several sources, with the same line in each.

    Args:
        sources: the sets, of one language.
        out: the new set's folder.
        features: take ``feats/`` along; its settings must be the same in all sources.

    Raises:
        DataError: an utterance is in two sources, lines or settings differ, or a source is not well-formed.
        UsageError: ``out`` cannot be written.
    """
    for source in sources:
        source.refuse_empty()
    out = new_set_path(out, [source.path for source in sources])
    _one_language(sources)
    tables, remarks = _common_tables(sources, features)
    settings = _common_settings(sources, features, remarks)
    with atomic_folder(out) as new:
        for table in tables:
            _merge_table(sources, table, new)
        write_spk2utt(new)
        count = len(read_keys(new / "utt2spk"))
        links = {name: target for name, target in sources[0].links.items() if features or not target.startswith("feats/")}
        copy_rest(SpeechFiles(sources[0].path, {}, settings, links), new)
    return CombineReport(count, remarks)


def _one_language(sources: Sequence[SpeechFiles]) -> None:
    first: dict[bytes, str] = {}
    for source in sources:
        if "utt2lang" in source.tables:
            file = source.path / "utt2lang"
            for number, record in enumerate(read_records(file, TABLE), start=1):
                first.setdefault(value_of(record), f"{file}:{number}")
    if len(first) > 1:
        (a, where_a), (b, where_b) = list(first.items())[:2]
        what = f"a speech set holds one language: this is {b.decode()}, and {where_a} is {a.decode()}"
        raise DataError(what, where=where_b, hint="keep one set for each language; recipes take several sets")


def _common_tables(sources: Sequence[SpeechFiles], features: bool) -> tuple[list[SetFile], list[str]]:
    """Tables that the combined set gets, and remarks about the others."""
    remarks: list[str] = []
    tables: dict[str, SetFile] = {}
    segments = any("segments" in source.tables for source in sources)
    for table in chain.from_iterable(source.tables.values() for source in sources):
        lacking = [source.path for source in sources if table.name not in source.tables]
        completed = table.name in COMPLETED
        if table.name in tables or (not features and table.name.startswith("feats")):
            continue
        if lacking and not completed:
            remark = f"{table.name} is left out: {lacking[0]} does not have it"
            remarks += [remark] if remark not in remarks else []
            continue
        by_recording = segments and (table.name == "wav.scp" or table.name.startswith("reco2"))
        tables[table.name] = SetFile(table.name, "recording") if by_recording else table
    # An utterance that is in two sources is noticed in the first table; utt2spk is the one that people look at.
    return sorted(tables.values(), key=lambda table: table.name != "utt2spk"), remarks


def _common_settings(sources: Sequence[SpeechFiles], features: bool, remarks: list[str]) -> list[str]:
    """Settings files that all sources have, the same in each."""
    common = []
    for name in sources[0].settings:
        if name.startswith("feats/") and not features:
            continue
        others = [source.path / name for source in sources[1:]]
        if not all(other.exists() for other in others):
            remarks.append(f"{name} is left out: not every set has it")
            continue
        for other in others:
            if other.read_bytes() != (sources[0].path / name).read_bytes():
                what = f"differs from {sources[0].path / name}: features made in two ways do not belong into one set"
                raise DataError(what, where=str(other), hint="make the features anew, or leave them out: --no-feats")
        common.append(name)
    return common


def _merge_table(sources: Sequence[SpeechFiles], table: SetFile, out: Path) -> None:
    file = out / table.name
    file.parent.mkdir(parents=True, exist_ok=True)
    size = max(1 << 16, BLOCK_BYTES // len(sources))
    streams = [_records_of(source, table, size) for source in sources]
    with open(file, "wb") as stream:
        for records in merge(streams):
            if table.form.kind != "times":
                records = _without_repeats(records, table, sources)
            stream.writelines([text for text, _ in records])


def _records_of(source: SpeechFiles, table: SetFile, size: int) -> Iterator[Records]:
    """A source's records of a table, made up where the table is completed."""
    if table.name in source.tables:
        yield from read_blocks(source.path / table.name, table.form, block_bytes=size)
    elif table.name == "segments":
        for block in read_blocks(source.need("utt2dur", "making segments"), TABLE, block_bytes=size):
            yield [(b"%s %s 0 %s\n" % (record[1], record[1], value_of(record)), record[1]) for record in block]
    else:
        for block in read_blocks(source.path / "utt2spk", TABLE, block_bytes=size):
            yield [(b"%s %s\n" % (key, b"yes" if table.name == "utt2share" else key), key) for _, key in block]


def merge(streams: Sequence[Iterator[Records]]) -> Iterator[Records]:
    """Merge streams of records, each sorted by key, into one.

    In every round all records up to the smallest of the blocks' last keys are complete; sorting them is cheap, because
    they are a few sorted runs.
    """
    waiting = [(block, stream) for stream in streams if (block := _next_block(stream))]
    while waiting:
        limit = min(block[-1][1] for block, _ in waiting)
        ready: Records = []
        left = []
        for block, stream in waiting:
            place = bisect_right(block, limit, key=operator.itemgetter(1))
            ready += block[:place]
            rest = block[place:] or _next_block(stream)
            if rest:
                left.append((rest, stream))
        ready.sort(key=operator.itemgetter(1))
        yield ready
        waiting = left


def _next_block(stream: Iterator[Records]) -> Records:
    """The next block that is not empty; empty at the end."""
    return next((block for block in stream if block), [])


def _without_repeats(records: Records, table: SetFile, sources: Sequence[SpeechFiles]) -> Records:
    keys = [key for _, key in records]
    if not any(map(operator.eq, keys, keys[1:])):
        return records
    unique: dict[bytes, bytes] = {}
    for text, key in records:
        if key in unique and (unique[key] != text or table.owner == "utterance"):
            _refuse_repeat(key, table, sources)
        unique[key] = text
    return [(text, key) for key, text in unique.items()]


def _refuse_repeat(key: bytes, table: SetFile, sources: Sequence[SpeechFiles]) -> None:
    places = [
        f"{source.path / table.name}:{line}"
        for source in sources
        if table.name in source.tables and (line := line_of(source.path / table.name, key))
    ]
    other = places[0] if places else str(sources[0].path)
    what = f"{table.owner} '{key.decode()}' is also in {other}{'' if table.owner == 'utterance' else ', with another line'}"
    option = "--spk-prefix" if table.owner == "speaker" else "--utt-prefix"
    hint = f"give one of the sets other ids first: utils/copy_data_dir.sh {option} b- {sources[-1].path} <new-set>"
    raise DataError(what, where=places[-1] if places else None, hint=hint)
