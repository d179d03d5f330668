"""Writing speech sets: lines of one set's files go to one or several new sets, each to the one that has its utterance."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from vgspeech.dataset_tools.layout import SetFile, SpeechFiles
from vgspeech.streams import read_blocks, read_records, value_of

FLUSH_BYTES = 1 << 23


class PartsWriter:
    """One file of every new set, written a few megabytes at a time; never more than one is open."""

    def __init__(self, parts: Sequence[Path], name: str) -> None:
        self.files = [part / name for part in parts]
        self._waiting: list[list[bytes]] = [[] for _ in parts]
        self._bytes = 0
        for file in self.files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    def write(self, part: int, text: bytes) -> None:
        """Append whole lines to a part's file."""
        self._waiting[part].append(text)
        self._bytes += len(text)
        if self._bytes > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for file, lines in zip(self.files, self._waiting, strict=True):
            if lines:
                with open(file, "ab") as stream:
                    stream.writelines(lines)
                lines.clear()
        self._bytes = 0


def distribute(source: SpeechFiles, parts: Sequence[Path], part_of: Mapping[bytes, int]) -> None:
    """Write a set's utterances to new sets; each gets the recordings and speakers that it needs.

    Args:
        source: the set.
        parts: the new sets' (empty) folders.
        part_of: utterance -> index of its part; utterances without one are left out.

    Raises:
        DataError: a file of the source is not well-formed; names file and line.
    """
    for table in source.owned_by("utterance"):
        _by_utterance(source, table, parts, part_of)
    if "segments" in source.tables:
        recordings = _parts_of_values(source.path / "segments", part_of)
        for table in source.owned_by("recording"):
            _by_owner(source, table, parts, recordings)
    speakers = _parts_of_values(source.path / "utt2spk", part_of)
    for table in source.owned_by("speaker"):
        _by_owner(source, table, parts, speakers)
    for part in parts:
        write_spk2utt(part)
        copy_rest(source, part)


def _by_utterance(source: SpeechFiles, table: SetFile, parts: Sequence[Path], part_of: Mapping[bytes, int]) -> None:
    writer = PartsWriter(parts, table.name)
    for block in read_blocks(source.path / table.name, table.form):
        for text, key in block:
            part = part_of.get(key)
            if part is not None:
                writer.write(part, text)
    writer.flush()


def _parts_of_values(path: Path, part_of: Mapping[bytes, int]) -> dict[bytes, set[int]]:
    """Which parts need a speaker (of utt2spk) or recording (of segments)."""
    found: dict[bytes, set[int]] = {}
    for record in read_records(path, SetFile(path.name, "utterance").form):
        part = part_of.get(record[1])
        if part is not None:
            found.setdefault(value_of(record).split()[0], set()).add(part)
    return found


def _by_owner(
    source: SpeechFiles, table: SetFile, parts: Sequence[Path], parts_of: Mapping[bytes, set[int]]
) -> None:
    writer = PartsWriter(parts, table.name)
    for text, key in read_records(source.path / table.name, table.form):
        for part in sorted(parts_of.get(key, ())):
            writer.write(part, text)
    writer.flush()


def write_spk2utt(path: Path) -> None:
    """Make a new set's spk2utt from its utt2spk."""
    spoken: dict[bytes, list[bytes]] = {}
    for record in read_records(path / "utt2spk", SetFile("utt2spk", "utterance").form):
        spoken.setdefault(value_of(record), []).append(record[1])
    with open(path / "spk2utt", "wb") as stream:
        stream.writelines(b"%s %s\n" % (speaker, b" ".join(spoken[speaker])) for speaker in sorted(spoken))


def copy_rest(source: SpeechFiles, path: Path) -> None:
    """Copy a set's settings and links to a new one."""
    for name in source.settings:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path / name, path / name)
    for name, target in source.links.items():
        if (path / name).parent.joinpath(target).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(target, path / name)
