"""Repair of a speech set: files are sorted and put in form, and utterances that miss something go, with the reason."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vgspeech.dataset_tools.damage import Damaged, by_spelling, other_spelling, read_damaged
from vgspeech.dataset_tools.layout import SpeechFiles
from vgspeech.dataset_tools.replace import Replacement, sorted_times
from vgspeech.errors import DataError
from vgspeech.imagesets import read_pictures
from vgspeech.rules import OPTIONAL_TABLES, UTTERANCE_TABLES
from vgspeech.streams import TIMES, read_blocks
from vgspeech.tables import StrPath

_QUOTED = re.compile(r"'[^']{2,}'")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d.e+-]*(?![\w.])")


@dataclass
class FixReport:
    """What happened to a set."""

    total: int
    """Utterances named in any of the tables that all utterances need."""
    kept: int
    reasons: Counter[str] = field(default_factory=Counter)
    """Kind of reason -> utterances that went for it first of all."""
    changes: dict[str, list[str]] = field(default_factory=dict)
    """Changed file -> what was done to it."""
    removed: Path | None = None
    """The list of what went, ``utterance reason; reason ...`` a line; None when nothing changed."""


class _Losses:
    """Why utterances go: all reasons of each, in the order of the checks."""

    def __init__(self) -> None:
        self.reasons: dict[bytes, list[str]] = {}

    def add(self, key: bytes, reason: str) -> None:
        self.reasons.setdefault(key, []).append(reason)

    def count(self) -> Counter[str]:
        return Counter(kind_of(reasons[0]) for reasons in self.reasons.values())


def kind_of(reason: str) -> str:
    """A reason without what differs from utterance to utterance (line numbers, ids, values)."""
    file, _, what = reason.split(":", 2) if re.match(r"[\w./-]+:\d+: ", reason) else ("", "", f" {reason}")
    return f"{file}{':' if file else ''}{_NUMBER.sub('N', _QUOTED.sub('X', what))}".partition(" (")[0].strip()


def fix_set(
    source: SpeechFiles, *, images: StrPath | None = None, features: bool = False, check_audio: bool = False
) -> FixReport:
    """Repair a set in place; changed files' originals go to ``.backup/``, the list of lost utterances to ``removed``.

    Args:
        source: the set.
        images: image set; utterances of other images go.
        features: utterances without features (in any ``feats/<name>.scp``) go.
        check_audio: utterances whose file in wav.scp is missing or empty go.

    Raises:
        DataError: no utterance would be left; nothing has been changed then.
    """
    losses = _Losses()
    ids = _intersect(source, losses, features)
    if images is not None:
        _check_images(source, losses, Path(images))
    recordings = _check_recordings(source, losses, ids, check_audio)
    kept = {key: None for key in sorted(ids) if key not in losses.reasons}
    report = FixReport(len(ids), len(kept), losses.count())
    if not kept:
        text = "".join(f"\n  {count:,}  {reason}" for reason, count in report.reasons.most_common())
        hint = "repair or remove the file that lacks them; nothing was changed"
        raise DataError(f"none of the {len(ids):,} utterances would be left:{text}", where=str(source.path), hint=hint)
    _write(source, kept, recordings, losses, report)
    return report


def _required(source: SpeechFiles, features: bool) -> list[str]:
    names = [*UTTERANCE_TABLES, *OPTIONAL_TABLES, *([] if "segments" in source.tables else ["wav.scp"])]
    if features:
        names += [name for name in source.tables if name.endswith(".scp") and name.startswith("feats")]
    return [name for name in names if name in source.tables]


def _intersect(source: SpeechFiles, losses: _Losses, features: bool) -> dict[bytes, None]:
    """All ids of the tables that every utterance needs; those that a table lacks, or has in no usable line, are lost."""
    names = _required(source, features)
    seen: dict[bytes, int] = {}
    for bit, name in enumerate(names):
        table = read_damaged(source.path / name)
        for key in table.lines:
            seen[key] = seen.get(key, 0) | 1 << bit
        for key, reason in table.reasons.items():
            seen[key] = seen.get(key, 0) | 1 << bit
            losses.add(key, reason)
    for bit, name in enumerate(names):
        lacking = [key for key, bits in seen.items() if not bits >> bit & 1]
        spelt = by_spelling(key for key, bits in seen.items() if bits >> bit & 1) if lacking else {}
        for key in lacking:
            other = other_spelling(key, spelt) if spelt else None
            note = f" (which has '{other.decode()}', other Unicode characters for the same letters)" if other else ""
            losses.add(key, f"not in {name}{note}")
    return dict.fromkeys(seen)


def _check_images(source: SpeechFiles, losses: _Losses, images: Path) -> None:
    known = read_pictures(images)
    for key, line in read_damaged(source.need("utt2image", "--images")).lines.items():
        if line[len(key) + 1 : -1] not in known:
            losses.add(key, f"its image is not in {images}")


def _check_recordings(source: SpeechFiles, losses: _Losses, ids: Iterable[bytes], check_audio: bool) -> dict[bytes, str]:
    """Lose utterances of recordings that cannot be used; returns recordings of utterances and why they are lost."""
    if "wav.scp" not in source.tables:
        return {}
    wavs = read_damaged(source.path / "wav.scp")
    unusable = dict(wavs.reasons)
    if check_audio:
        for key, line in wavs.lines.items():
            if problem := _file_problem(line[len(key) + 1 : -1].decode()):
                unusable[key] = problem
    if "segments" not in source.tables:
        for key in ids:
            if key in unusable and key in wavs.lines:
                losses.add(key, unusable[key])
        return {}
    pieces = read_damaged(source.path / "segments").lines
    for key, line in pieces.items():
        recording = line.split()[1]
        if recording not in wavs.lines and recording not in unusable:
            losses.add(key, "its recording is not in wav.scp")
        elif recording in unusable:
            losses.add(key, unusable[recording])
    return {line.split()[1]: "" for key, line in pieces.items() if key not in losses.reasons}


def _file_problem(location: str) -> str | None:
    """Why a recording's file cannot be right; commands and archives are not looked at."""
    if location.endswith("|") or re.fullmatch(r".*:\d+", location):
        return None
    try:
        return None if os.stat(location).st_size else "its sound file is empty"
    except OSError:
        return "its sound file is missing"


def _write(
    source: SpeechFiles, kept: dict[bytes, None], recordings: dict[bytes, str], losses: _Losses, report: FixReport
) -> None:
    with Replacement(source.path) as new:
        for table in source.owned_by("utterance"):
            if table.form.kind == "times":
                _fix_times(source.path / table.name, table.name, kept, new)
            else:
                _fix_table(table.name, read_damaged(source.path / table.name), kept, new)
        speakers = _write_spk2utt(source.path, kept, new)
        for owner, wanted in (("recording", recordings), ("speaker", speakers)):
            for table in source.tables.values():
                if table.owner == owner:
                    _fix_table(table.name, read_damaged(source.path / table.name), wanted, new)
        if new.changes:
            lines = [(key, "; ".join(losses.reasons[key])) for key in sorted(losses.reasons)]
            report.removed = new.finish([key + b" " + text.encode() + b"\n" for key, text in lines])
        report.changes = new.changes


def _fix_table(name: str, table: Damaged, kept: Collection[bytes], new: Replacement) -> None:
    keys = [key for key in table.lines if key in kept]
    lost = len(table.lines) + len(table.reasons) - len(keys)
    ordered = sorted(keys)
    done = list(table.repairs)
    done += ["sorted"] if ordered != keys else []
    done += [f"{lost:,} ids removed"] if lost else []
    new.put(name, (table.lines[key] for key in ordered), done)


def _fix_times(file: Path, name: str, kept: dict[bytes, None], new: Replacement) -> None:
    """Word times: untouched when all is well, else lines that can be used, by utterance."""
    try:
        if all(key in kept for block in read_blocks(file, TIMES) for _, key in block):
            return
    except DataError:
        pass  # the next pass says what it repairs
    sorted_times(file, name, kept, new)


def _write_spk2utt(path: Path, kept: dict[bytes, None], new: Replacement) -> dict[bytes, None]:
    """Make spk2utt from the usable lines of utt2spk; returns the speakers."""
    spoken: dict[bytes, list[bytes]] = {}
    table = read_damaged(path / "utt2spk").lines
    for key in kept:
        spoken.setdefault(table[key][len(key) + 1 : -1], []).append(key)
    lines = [b"%s %s\n" % (speaker, b" ".join(spoken[speaker])) for speaker in sorted(spoken)]
    new.put("spk2utt", lines, ["made from utt2spk"])
    return dict.fromkeys(spoken)


def say(report: FixReport, source: SpeechFiles) -> Sequence[str]:
    """The report as lines of text."""
    lines = [f"{name}: {', '.join(done)}" for name, done in report.changes.items()]
    lines += [f"{count:,} utterances went: {reason}" for reason, count in report.reasons.most_common()]
    sentence = f"{source.path}: kept {report.kept:,} of {report.total:,} utterances"
    if report.removed is None:
        return [f"{sentence}, nothing to repair"]
    return [*lines, f"{sentence}; {report.removed} lists the others, originals are in {source.path / '.backup'}"]
