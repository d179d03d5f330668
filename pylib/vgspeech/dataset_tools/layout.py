"""Which files a speech set has, and whose ids stand at the start of their lines."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vgspeech.errors import DataError, UsageError
from vgspeech.streams import TABLE, TEXT, TIMES, Form, require_folder
from vgspeech.tables import StrPath

Owner = Literal["utterance", "recording", "speaker"]

_UTTERANCE = re.compile(r"utt2\w+|text|segments|feats\.scp|vad\.scp|ctm|ctm_phones")
_RECORDING = re.compile(r"reco2\w+")
_SPEAKER = re.compile(r"spk2\w+|cmvn\.scp")
_FEATURES = re.compile(r"feats/(?P<name>.+)\.(scp|utt2num_frames|rejected)")
_SETTINGS = re.compile(r"frame_shift|feats/.+\.yaml")
_JOB_PART = re.compile(r"feats/.+\.\d+\.\w+")
_LEFT_BEHIND = re.compile(r"\..*|split\d+(utt)?/.*|log/.*|feats/(\..*|.+\.ark)|rejected|duplicates|removed")
"""Files of this very set: archives (scp files go on pointing to them), logs, job splits, lists of what was left out."""
WHOLE_TABLES = ("utt2spk", "wav.scp", "segments", "utt2lang", "utt2dur", "utt2image", "text")
"""Tables that have a line for every utterance (recording), when they exist."""


@dataclass(frozen=True)
class SetFile:
    """A table of a speech set."""

    name: str
    """Path inside the set, for example ``feats/fbank.scp``."""
    owner: Owner
    """Whose ids are its keys."""

    @property
    def form(self) -> Form:
        base = self.name.rpartition("/")[2]
        return TIMES if base.startswith("ctm") else TEXT if base == "text" else TABLE


@dataclass(frozen=True)
class SpeechFiles:
    """The files of one speech set."""

    path: Path
    tables: dict[str, SetFile]
    """All tables by name, without spk2utt, which is made from utt2spk."""
    settings: list[str]
    """Files copied as they are."""
    links: dict[str, str]
    """Name -> target inside the set, for ``feats.scp`` and the like."""
    unknown: list[str] = field(default_factory=list)
    """Files that no tool takes along, because nothing says whose ids they hold."""

    @classmethod
    def find(cls, path: StrPath, utterance_files: Sequence[str] = (), speaker_files: Sequence[str] = ()) -> SpeechFiles:
        """Look at a set's folder.

        Args:
            path: the folder.
            utterance_files, speaker_files: further files, keyed by utterance or by speaker.

        Raises:
            DataError: no such folder, or no speech set.
            UsageError: one of the further files is not there.
        """
        path = Path(path)
        require_folder(path)
        if not (path / "utt2spk").exists():
            kind = "an image set, not a speech set" if (path / "images.scp").exists() else "not a speech set"
            raise DataError(f"there is no utt2spk: this is {kind}", where=str(path))
        for name in (*utterance_files, *speaker_files):
            if not (path / name).is_file():
                raise UsageError("no such file", where=str(path / name))
        segments = (path / "segments").exists()
        found = cls(path, {}, [], {})
        for name in _names(path):
            target = _inner_link(path, name)
            owner = _owner(name, segments, utterance_files, speaker_files)
            if target:
                found.links[name] = target
            elif owner:
                found.tables[name] = SetFile(name, owner)
            elif _SETTINGS.fullmatch(name):
                found.settings.append(name)
            elif name != "spk2utt" and not _LEFT_BEHIND.fullmatch(name) and not _JOB_PART.fullmatch(name):
                found.unknown.append(name)
        return found

    def owned_by(self, owner: Owner) -> list[SetFile]:
        """The tables whose keys are of one kind."""
        return [table for table in self.tables.values() if table.owner == owner]

    def file(self, name: str) -> Path:
        """The path of one of the set's files."""
        return self.path / name

    def need(self, name: str, what_for: str) -> Path:
        """The path of a file that must be there.

        Raises:
            DataError: it is not.
        """
        if name not in self.tables:
            raise DataError(f"no such file; {what_for} needs it", where=str(self.path / name))
        return self.path / name

    def refuse_empty(self) -> None:
        """Refuse a set in which a table that has a line for every utterance has none at all.

        Raises:
            DataError: names the file; such a set would be carried on as if it were whole.
        """
        for name in WHOLE_TABLES:
            if (self.path / name).exists() and not (self.path / name).stat().st_size:
                hint = f"restore it; utils/validate_data_dir.sh {self.path} says what else is wrong"
                raise DataError("the file is empty (0 bytes)", where=str(self.path / name), hint=hint)

    def warning(self) -> str | None:
        """A line about files that are not taken along; None when there are none."""
        if not self.unknown:
            return None
        names = " ".join(self.unknown)
        return f"not taken along from {self.path}: {names} (--utt-extra-files or --spk-extra-files says whose they are)"


def _names(path: Path) -> list[str]:
    """Files of the folder and of its feats/, by path inside it."""
    found = []
    for folder in (path, path / "feats"):
        if folder.is_dir():
            found += [entry for entry in sorted(folder.iterdir()) if not entry.is_dir()]
    return [str(entry.relative_to(path)) for entry in found]


def _inner_link(path: Path, name: str) -> str | None:
    """The target of a link that leads to another file of the set, relative as it is written."""
    if not (path / name).is_symlink():
        return None
    target = os.readlink(path / name)
    inside = not target.startswith("/") and ".." not in Path(target).parts
    return target if inside and (path / name).exists() else None


def _owner(name: str, segments: bool, utterance_files: Sequence[str], speaker_files: Sequence[str]) -> Owner | None:
    if name == "spk2utt" or _JOB_PART.fullmatch(name):
        return None
    if name == "wav.scp":
        return "recording" if segments else "utterance"
    if name in utterance_files or _UTTERANCE.fullmatch(name) or _FEATURES.fullmatch(name):
        return "utterance"
    if name in speaker_files or _SPEAKER.fullmatch(name):
        return "speaker"
    if _RECORDING.fullmatch(name):
        return "recording" if segments else "utterance"
    return None


def new_set_path(path: StrPath, sources: Sequence[Path]) -> Path:
    """Check that a new set may be written to a folder: it is new, empty, or holds nothing but what a tool had written.

    Raises:
        UsageError: it holds other files (archives of features, for example), or is one of the sources or around one.
    """
    path = Path(path)
    for source in sources:
        if os.path.realpath(source).startswith(os.path.realpath(path).rstrip("/") + "/") or (
            path.exists() and os.path.samefile(path, source)
        ):
            raise UsageError("the new set would overwrite what it is made of", where=str(path))
    if path.is_dir():
        files = [str(item.relative_to(path)) for item in sorted(path.rglob("*")) if not item.is_dir()]
        other = [name for name in files if not _is_ours(name)]
        if other:
            what = f"the folder holds files of its own ({', '.join(other[:3])}{', ...' if len(other) > 3 else ''})"
            raise UsageError(what, where=str(path), hint="remove it or choose another name")
    elif path.exists():
        raise UsageError("there is a file of this name", where=str(path))
    return path


def _is_ours(name: str) -> bool:
    return (
        name in ("wav.scp", "spk2utt")
        or re.match(r"split\d+(utt)?/|\.backup", name) is not None
        or any(kind.fullmatch(name) for kind in (_UTTERANCE, _RECORDING, _SPEAKER, _FEATURES, _SETTINGS))
    )
