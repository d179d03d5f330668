"""Data directories: Kaldi text tables as Python objects, and back.

A speech set is one language of one split, an image set one split's pictures::

    speech/train_en/   wav.scp       recording path    (an utterance is a recording unless segments says otherwise)
                       segments      utterance recording start end     (seconds; optional)
                       utt2spk spk2utt utt2lang utt2dur utt2image
                       text ctm ctm_phones    what was said and when; for evaluation only, never read in training
                       utt2share     utterance yes|no: may its sound appear in reports (optional; yes without it)
    images/train/      image sets, see `vgspeech.imagesets`

Beside the sets stands ``lexicon.tsv``, when it is known which words name which concept. The form of all tables is
described in `vgspeech.tables`. Its functions, and image sets, can also be imported from here.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vgspeech.config import ExperimentConfig
from vgspeech.errors import DataError, UsageError
from vgspeech.files import atomic_write, work_paths
from vgspeech.imagesets import ImageSet, SceneObject, write_image_set
from vgspeech.tables import (
    StrPath,
    bad_line,
    check_id,
    check_rejected,
    format_seconds,
    parse_number,
    read_lines,
    read_table,
    read_tsv,
    split_ctm_line,
    write_columns,
    write_rejected,
    write_table,
)

__all__ = [
    "ImageSet",
    "Lexicon",
    "SceneObject",
    "Segment",
    "SpeechColumns",
    "SpeechSet",
    "Word",
    "check_id",
    "check_rejected",
    "ctm_lines",
    "feature_scp",
    "format_seconds",
    "job_slice",
    "plain_form",
    "present_languages",
    "read_ctm",
    "read_lexicon",
    "read_lines",
    "read_private",
    "read_segments",
    "read_table",
    "read_tsv",
    "write_ctm",
    "write_image_set",
    "write_rejected",
    "write_speech_columns",
    "write_speech_set",
    "write_table",
]

@dataclass(frozen=True)
class Word:
    """A word (or phone) and when it was said, in seconds from the utterance's start."""

    start_s: float
    end_s: float
    text: str


def read_ctm(path: StrPath) -> dict[str, list[Word]]:
    """Read word times: lines ``utterance channel start duration word [confidence]``, seconds.

    Returns:
        For every utterance its words by start time; words in Unicode NFC.

    Raises:
        DataError: a line is not of that form; names file and line.
    """
    words: dict[str, list[Word]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        utterance, start, duration, text = split_ctm_line(line, f"{path}:{number}")
        word = Word(start, start + duration, unicodedata.normalize("NFC", text))
        words.setdefault(utterance, []).append(word)
    return {utterance: sorted(items, key=lambda word: word.start_s) for utterance, items in words.items()}


def write_ctm(path: StrPath, words: Mapping[str, Sequence[Word] | str]) -> None:
    """Write word times (see `read_ctm`), utterances in C order; of those given as text, lines as `ctm_lines` makes them."""
    with atomic_write(path) as stream:
        for utterance in sorted(words):
            said = words[utterance]
            stream.write(said if isinstance(said, str) else ctm_lines(utterance, said))


def ctm_lines(utterance: str, words: Sequence[Word]) -> str:
    """An utterance's lines of a ctm file."""
    spans = [(format_seconds(word.start_s), format_seconds(word.end_s - word.start_s), word.text) for word in words]
    return "".join(f"{utterance} 1 {start} {duration} {text}\n" for start, duration, text in spans)


@dataclass(frozen=True)
class Segment:
    """A piece of a recording, in seconds; ``end_s`` None is the recording's end."""

    recording: str
    start_s: float
    end_s: float | None


def read_segments(path: StrPath) -> dict[str, Segment]:
    """Read ``utterance recording start end`` lines; an end of -1 means the recording's end, as in Kaldi.

    Raises:
        DataError: a line is not of that form, or ends before it starts; names file and line.
    """
    segments = {}
    for number, (utterance, value) in enumerate(read_table(path).items(), start=1):
        where = f"{path}:{number}"
        fields = value.split()
        if len(fields) != 3:
            raise DataError("expected 'utterance recording start end'", where=where)
        start, end = parse_number(fields[1], where, "start"), parse_number(fields[2], where, "end")
        if start < 0 or (end <= start and end != -1):
            raise DataError(f"the segment from {start:g} s to {end:g} s is empty or negative", where=where)
        segments[utterance] = Segment(fields[0], start, None if end == -1 else end)
    return segments


def read_private(speech: Path) -> frozenset[str]:
    """Utterances of a speech set's folder whose ``utt2share`` says no; none without the file.

    Raises:
        DataError: a line is not of the form ``utterance yes|no``; names file and line.
    """
    path = speech / "utt2share"
    if not path.exists():
        return frozenset()
    table = read_table(path)
    for number, value in enumerate(table.values(), start=1):
        if value not in ("yes", "no"):
            raise DataError(f"expected yes or no, not '{value}'", where=f"{path}:{number}")
    return frozenset(utterance for utterance, value in table.items() if value == "no")


@dataclass(frozen=True)
class SpeechSet:
    """One language of one split, loaded; ``ids`` are its utterances in C order."""

    path: Path
    wav: dict[str, str]
    """Recording -> file, or ``command |``."""
    segments: dict[str, Segment]
    """Utterance -> piece of a recording; empty when every utterance is a recording."""
    utt2spk: dict[str, str]
    utt2lang: dict[str, str]
    utt2dur: dict[str, float]
    """Seconds."""
    utt2image: dict[str, str]
    ids: list[str] = field(repr=False)

    @classmethod
    def load(cls, path: StrPath) -> SpeechSet:
        """Read a speech set's tables; text and times are read when first asked for.

        Raises:
            DataError: the folder or a table is missing, or a table is not valid.
        """
        path = Path(path)
        if not path.is_dir():
            raise DataError("no such speech set", where=str(path), hint="prepare the data first (stage 0)")
        segments = read_segments(path / "segments") if (path / "segments").exists() else {}
        utt2spk = read_table(path / "utt2spk")
        durations = {
            utterance: parse_number(value, f"{path / 'utt2dur'}:{number}", "duration")
            for number, (utterance, value) in enumerate(read_table(path / "utt2dur").items(), start=1)
        }
        return cls(
            path=path,
            wav=read_table(path / "wav.scp"),
            segments=segments,
            utt2spk=utt2spk,
            utt2lang=read_table(path / "utt2lang"),
            utt2dur=durations,
            utt2image=read_table(path / "utt2image"),
            ids=list(utt2spk),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def name(self) -> str:
        """The folder's name, for example ``train_en``."""
        return self.path.name

    def recording_of(self, utterance: str) -> str:
        """The recording that an utterance is, or is a piece of; a key of ``wav``.

        Raises:
            DataError: segments do not say.
        """
        if not self.segments:
            return utterance
        if utterance not in self.segments:
            raise DataError(f"utterance '{utterance}' is not listed", where=str(self.path / "segments"))
        return self.segments[utterance].recording

    def audio_location(self, utterance: str) -> tuple[str, float | None, float | None]:
        """Where an utterance's sound is: file (or command), and start and end in seconds, None for the file's own.

        Raises:
            DataError: wav.scp or segments do not say.
        """
        recording = self.recording_of(utterance)
        segment = self.segments.get(utterance)
        start, end = (segment.start_s, segment.end_s) if segment else (None, None)
        if recording not in self.wav:
            raise DataError(f"recording '{recording}' is not listed", where=str(self.path / "wav.scp"))
        return self.wav[recording], start, end

    @cached_property
    def text(self) -> dict[str, str]:
        """Utterance -> transcript; empty without the file."""
        path = self.path / "text"
        return read_table(path, allow_empty=True) if path.exists() else {}

    @cached_property
    def ctm(self) -> dict[str, list[Word]]:
        """Utterance -> words and their times; empty without the file."""
        path = self.path / "ctm"
        return read_ctm(path) if path.exists() else {}

    @cached_property
    def ctm_phones(self) -> dict[str, list[Word]]:
        """Utterance -> phones and their times; empty without the file."""
        path = self.path / "ctm_phones"
        return read_ctm(path) if path.exists() else {}

    @cached_property
    def private(self) -> frozenset[str]:
        """Utterances whose speakers did not agree that they appear in reports and exports."""
        return read_private(self.path)

    def may_share(self, utterance: str) -> bool:
        """Whether the speaker agreed that this recording appears in reports and exports."""
        return utterance not in self.private


def job_slice(total: int, job: int, num_jobs: int) -> slice:
    """The share of one of ``num_jobs`` parallel jobs: contiguous, sizes equal to within one.

    Args:
        total: number of items.
        job: from 1 to ``num_jobs``.
        num_jobs: number of jobs.

    Raises:
        UsageError: no such job.
    """
    if not 1 <= job <= num_jobs:
        raise UsageError(f"job {job} is not one of 1 to {num_jobs}")
    return slice((job - 1) * total // num_jobs, job * total // num_jobs)


def write_speech_set(
    path: StrPath,
    *,
    wav: Mapping[str, str],
    utt2spk: Mapping[str, str],
    utt2lang: Mapping[str, str],
    utt2dur: Mapping[str, float],
    utt2image: Mapping[str, str],
    segments: Mapping[str, Segment] | None = None,
    utt2share: Mapping[str, bool] | None = None,
    text: Mapping[str, str] | None = None,
    ctm: Mapping[str, Sequence[Word] | str] | None = None,
    ctm_phones: Mapping[str, Sequence[Word] | str] | None = None,
) -> None:
    """Write a speech set; files of an earlier preparation that this one does not have are removed.

    Args:
        path: the set's folder.
        wav: recording -> file; stored relative to the work directory when inside it.
        utt2spk, utt2lang, utt2image: utterance -> speaker, language, image.
        utt2dur: utterance -> seconds.
        segments, text, ctm, ctm_phones: see the module's text and `write_ctm`; None when there are none.
        utt2share: utterance -> whether its sound may appear in reports; None when all may.
    """
    ids = sorted(utt2spk)
    columns = SpeechColumns(
        ids=ids,
        utt2spk=[utt2spk[utterance] for utterance in ids],
        utt2lang=[utt2lang[utterance] for utterance in ids],
        utt2dur=[utt2dur[utterance] for utterance in ids],
        utt2image=[utt2image[utterance] for utterance in ids],
        text=None if text is None else [text[utterance] for utterance in ids],
        utt2share=None if utt2share is None else [utt2share[utterance] for utterance in ids],
    )
    write_speech_columns(path, columns, wav=wav, segments=segments, ctm=ctm, ctm_phones=ctm_phones)


@dataclass(frozen=True)
class SpeechColumns:
    """The tables of a speech set as columns: entry n of each belongs to the nth utterance. None is a table that is not there."""

    ids: Sequence[str]
    """Utterances, in C order."""
    utt2spk: Sequence[str]
    utt2lang: Sequence[str]
    utt2dur: Sequence[float]
    """Seconds."""
    utt2image: Sequence[str]
    text: Sequence[str] | None = None
    utt2share: Sequence[bool] | None = None


def write_speech_columns(
    path: StrPath,
    columns: SpeechColumns,
    *,
    wav: Mapping[str, str],
    segments: Mapping[str, Segment] | None = None,
    ctm: Mapping[str, Sequence[Word] | str] | None = None,
    ctm_phones: Mapping[str, Sequence[Word] | str] | None = None,
) -> None:
    """Write a speech set as `write_speech_set` does, from columns: 400,000 utterances take half the time."""
    path = Path(path)
    commands = {key: value for key, value in wav.items() if value.endswith("|")}
    write_table(path / "wav.scp", work_paths(wav) | commands)
    speakers: dict[str, list[str]] = defaultdict(list)
    for utterance, speaker in zip(columns.ids, columns.utt2spk, strict=True):
        speakers[speaker].append(utterance)
    write_table(path / "spk2utt", {speaker: " ".join(ids) for speaker, ids in speakers.items()})
    tables = {
        "utt2spk": columns.utt2spk,
        "utt2lang": columns.utt2lang,
        "utt2dur": list(map(format_seconds, columns.utt2dur)),
        "utt2image": columns.utt2image,
        "utt2share": None if columns.utt2share is None else ["yes" if one else "no" for one in columns.utt2share],
        "text": columns.text,
    }
    write_columns(path, columns.ids, {name: values for name, values in tables.items() if values is not None})
    _write_segments(path / "segments", segments)
    times = {name: words for name, words in (("ctm", ctm), ("ctm_phones", ctm_phones)) if words is not None}
    for name, words in times.items():
        write_ctm(path / name, words)
    for name in ("utt2share", "text", "ctm", "ctm_phones"):
        if name not in times and tables.get(name) is None:
            (path / name).unlink(missing_ok=True)


def _write_segments(path: Path, segments: Mapping[str, Segment] | None) -> None:
    if segments is None:
        path.unlink(missing_ok=True)
        return
    lines = {}
    for utterance, piece in segments.items():
        end = "-1" if piece.end_s is None else format_seconds(piece.end_s)
        lines[utterance] = f"{piece.recording} {format_seconds(piece.start_s)} {end}"
    write_table(path, lines)


@dataclass(frozen=True)
class Lexicon:
    """Which word forms name which concept, in every language (``lexicon.tsv``).

    The file has a header ``concept<TAB>en<TAB>hi`` and one row a concept; a cell holds word forms separated by ``|``.
    """

    languages: tuple[str, ...]
    concepts: dict[str, dict[str, tuple[str, ...]]]
    """Concept -> language -> word forms, in Unicode NFC."""

    @cached_property
    def _concepts_by_word(self) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for concept, forms in self.concepts.items():
            for language, words in forms.items():
                for word in words:
                    found[language, plain_form(word)].add(concept)
        return dict(found)

    def concepts_of(self, language: str, word: str) -> set[str]:
        """The concepts that a word form of a language names, in any case of letters; empty when none."""
        return set(self._concepts_by_word.get((language, plain_form(word)), ()))


def plain_form(word: str) -> str:
    """A word form as it is compared: NFC, without case (transcripts of releases are in capitals)."""
    return unicodedata.normalize("NFC", word).casefold()


def read_lexicon(path: StrPath) -> Lexicon:
    """Read a lexicon.

    Raises:
        DataError: the header or a row is not valid, or a concept has two rows; names file and line.
    """
    header = read_lines(path)[:1]
    first, *languages = header[0].split("\t") if header else [""]
    if first != "concept" or not languages or len(set(languages)) < len(languages):
        raise bad_line(path, 1, "expected the header 'concept' and language tags, separated by tabs")
    concepts: dict[str, dict[str, tuple[str, ...]]] = {}
    for number, (concept, *cells) in read_tsv(path, (first, *languages)):
        if concept in concepts:
            raise bad_line(path, number, f"concept '{concept}' has two rows")
        forms = [tuple(filter(None, unicodedata.normalize("NFC", cell).split("|"))) for cell in cells]
        concepts[concept] = dict(zip(languages, forms, strict=True))
    return Lexicon(tuple(languages), concepts)


def feature_scp(data: Path, split: str, language: str, config: ExperimentConfig) -> Path:
    """The features that a model reads of one split and language."""
    return data / "speech" / f"{split}_{language}" / "feats" / f"{config.front_end}.scp"


def present_languages(config: ExperimentConfig, data: Path, split: str) -> list[str]:
    """The model's languages in which a split has captions.

    Raises:
        DataError: none.
    """
    found = [language for language in config.languages if (data / "speech" / f"{split}_{language}").is_dir()]
    if not found:
        raise DataError(
            f"no captions of '{split}' in a language of the model ({', '.join(config.languages)})",
            where=str(data / "speech"),
        )
    return found
