"""From releases to data directories: what can be wrong with a corpus comes to light here, before hours of work.

Reading, joining and checking come first; then all is written. Nothing is written into a release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from vgspeech.corpora.captions import Caption, Release
from vgspeech.corpora.checks import IMAGES_HINT, Pictures, check_images, check_recordings, glance, list_rejected
from vgspeech.corpora.division import Division, Part, check_leaks, divide, drop_incomplete, take_subset
from vgspeech.corpora.headers import Header
from vgspeech.corpora.ids import path_id
from vgspeech.corpora.records import counted
from vgspeech.corpora.truth import Alignments, Truth
from vgspeech.datadir import Segment, SpeechColumns, write_image_set, write_speech_columns
from vgspeech.errors import DataError
from vgspeech.files import atomic_write


@dataclass(frozen=True)
class Settings:
    """How a corpus is prepared."""

    images: Path
    """Folder that the images' paths in the metadata are relative to."""
    max_bad: float = 0.01
    """Largest fraction of unusable captions, and of unusable images, in a set."""
    allow_overlap: bool = False
    """Keep splits that share images."""
    speakers_apart: bool = False
    """Splits must share no speakers either, unless ``allow_overlap``."""
    require_all_languages: bool = True
    """Leave out images that lack a caption in one of the languages."""
    frames: int = 3
    """Video frames of a clip: one a second of the three-second clips of Spoken Moments (Monfort et al. 2021)."""
    subset: int = 0
    """Images a split at most; 0 keeps all."""
    jobs: int = 1
    """Worker processes that read headers."""


@dataclass
class SetSummary:
    """One speech set as written."""

    name: str
    utterances: int
    speakers: int
    images: int
    hours: float
    rejected: int
    duplicates: int


@dataclass
class Prepared:
    """What was written, and notes for the user, one sentence each."""

    sets: list[SetSummary] = field(default_factory=list)
    image_sets: int = 0
    notes: list[str] = field(default_factory=list)


def prepare(lead: Release, others: Sequence[Release], out: Path, settings: Settings, truth: Truth) -> Prepared:
    """Write the data directories of a corpus.

    Args:
        lead: the release whose splits count.
        others: releases in other languages, joined to it by image.
        out: ``data/<corpus>``.
        settings: see there.
        truth: word times and boxes that come beside the releases; ``Truth()`` without.

    Raises:
        DataError: nothing is left of a split, splits share images, or more than ``max_bad`` of a set is unusable.
    """
    return prepare_division(divide(lead, others), (lead, *others), out, settings, truth)


def prepare_division(
    division: Division, releases: Sequence[Release], out: Path, settings: Settings, truth: Truth
) -> Prepared:
    """Write the data directories of captions that are already divided into splits, as ``prepare`` does."""
    require_images(settings.images)
    roots = {release.language: release.root for release in releases}
    done = Prepared(notes=list(dict.fromkeys(note for release in releases for note in release.notes)))
    if settings.require_all_languages:
        done.notes += _dropped(drop_incomplete(division), "a caption in one of the languages")
    if settings.subset:
        take_subset(division, settings.subset)
    _require_captions(division)
    done.notes += check_leaks(division, settings.allow_overlap, settings.speakers_apart)
    glance(division, roots, settings.images, settings.frames)
    recordings = check_recordings(division, roots, settings.jobs, out / ".headers")
    pictures = check_images(division, settings.images, settings.frames, settings.jobs, out / ".headers")
    list_rejected(division, pictures, out, settings.max_bad)
    if settings.require_all_languages:
        done.notes += _dropped(drop_incomplete(division), "a usable caption in one of the languages")
    _require_captions(division)
    for split, parts in division.items():
        _write_split(split, parts, pictures[split], out, roots, recordings, truth, done)
    _copy_lexicon(truth, out)
    done.notes += _leftovers(division, out)
    return done


def require_images(folder: Path) -> None:
    """Refuse a folder of images that is not there.

    Raises:
        DataError: no such folder.
    """
    if not folder.is_dir():
        raise DataError("no such folder of images", where=str(folder), hint=IMAGES_HINT)


def _dropped(dropped: dict[str, int], why: str) -> list[str]:
    return [f"{split}: {counted(count, 'image')} left out, without {why}" for split, count in dropped.items() if count]


def _require_captions(division: Division) -> None:
    """There are splits, and every one has captions in each of its languages."""
    if not division:
        hint = "is the metadata whole, and are the lists of splits those of this corpus?"
        raise DataError("no caption belongs to a split", hint=hint)
    for split, parts in division.items():
        empty = [language for language, part in parts.items() if not part.captions]
        if empty:
            reasons = [rejected.reason for language in empty for rejected in parts[language].rejected]
            raise DataError(
                f"no caption in '{empty[0]}' is left for the split {split}",
                where=reasons[0] if reasons else None,
                hint="check that the releases describe the same images, and that --images is their folder",
            )


def _write_split(
    split: str,
    parts: dict[str, Part],
    pictures: Pictures,
    out: Path,
    roots: dict[str, Path],
    recordings: dict[str, Header],
    truth: Truth,
    done: Prepared,
) -> None:
    """Write one split's image set and its speech sets."""
    described = {language: part.image_ids() for language, part in parts.items()}
    images = sorted(set().union(*described.values()))
    tables = pictures.tables(images)
    write_image_set(
        out / "images" / split,
        paths=tables.paths,
        sizes=tables.sizes,
        clips=tables.clips,
        objects={image: truth.objects[image] for image in images if image in truth.objects} if truth.objects else None,
    )
    done.image_sets += 1
    for language, part in parts.items():
        words = Alignments(part.captions, truth.words.get(language, {}))
        phones = Alignments(part.captions, truth.phones.get(language, {}), metadata=False)
        name = f"{split}_{language}"
        seconds = _write_speech(out / "speech" / name, language, roots[language], part, recordings, words, phones)
        speakers = {caption.speaker for caption in part.captions}
        counts = (len(part.captions), len(speakers), len(described[language]), seconds / 3600)
        done.sets.append(SetSummary(name, *counts, len(part.rejected), len(part.duplicates)))
        if words.unreadable:
            record, problem = next(iter(words.unreadable.items()))
            done.notes.append(
                f"{name}: {counted(len(words.unreadable), 'alignment')} left out, first of record {record}: {problem}"
            )


def _write_speech(
    folder: Path,
    language: str,
    root: Path,
    part: Part,
    recordings: dict[str, Header],
    words: Alignments,
    phones: Alignments,
) -> float:
    """Write one speech set; returns how many seconds it has."""
    captions = sorted(part.captions, key=attrgetter("utterance"))
    paths = [f"{root}/{c.wav}" for c in captions]
    headers = [recordings[path] for path in paths]
    files = [header.path or path for header, path in zip(headers, paths, strict=True)]
    pieces = any(c.is_piece() for c in captions)
    columns = SpeechColumns(
        ids=[c.utterance for c in captions],
        utt2spk=[c.speaker for c in captions],
        utt2lang=[language] * len(captions),
        utt2dur=[_seconds(c, header.duration_s) for c, header in zip(captions, headers, strict=True)],
        utt2image=[c.image_id for c in captions],
        text=[c.text for c in captions] if any(c.text for c in captions) else None,
        utt2share=[c.share for c in captions] if not all(c.share for c in captions) else None,
    )
    write_speech_columns(
        folder,
        columns,
        wav=dict(zip(map(_recording, captions) if pieces else columns.ids, files, strict=True)),
        segments={c.utterance: Segment(_recording(c), c.start_s, c.end_s) for c in captions} if pieces else None,
        ctm=words or None,
        ctm_phones=phones or None,
    )
    return sum(columns.utt2dur)


def _recording(caption: Caption) -> str:
    """The id of the recording that a caption is a piece of."""
    return caption.recording or path_id(caption.wav)


def _seconds(caption: Caption, recording_s: float) -> float:
    """How long a caption is."""
    end_s = recording_s if caption.end_s is None else min(caption.end_s, recording_s)
    return end_s - caption.start_s


def _copy_lexicon(truth: Truth, out: Path) -> None:
    if truth.lexicon is None:
        (out / "lexicon.tsv").unlink(missing_ok=True)
        return
    with atomic_write(out / "lexicon.tsv", "wb") as stream:
        stream.write(truth.lexicon.read_bytes())


def _leftovers(division: Division, out: Path) -> list[str]:
    """Sets of an earlier preparation are the user's to remove: features may have cost hours."""
    made = {out / "images" / split for split in division}
    made |= {out / "speech" / f"{split}_{language}" for split, parts in division.items() for language in parts}
    found = [path for kind in ("speech", "images") for path in sorted((out / kind).glob("*/")) if path not in made]
    return [f"{path} was left alone: it is not part of this corpus" for path in found]
