"""Rules of data directories beyond the form of their tables, all problems of a set found in one go.

The rules are those of Kaldi's validate_data_dir.sh, so that a set that passes works with a user's own Kaldi tools,
and those of sets with images: every utterance has an image, and the image set has it. A speech set is read once, table
by table; what stays in memory is its ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vgspeech.archive import BlobReader, check_archive
from vgspeech.datadir import ImageSet
from vgspeech.errors import DataError
from vgspeech.imagesets import read_pictures
from vgspeech.rules import ARCHIVE_RULE, OPTIONAL_TABLES, UTTERANCE_TABLES, VALUE_RULES, Rule
from vgspeech.streams import TABLE, TEXT, TIMES, Form, line_of, read_blocks, value_of
from vgspeech.tables import StrPath, read_table

SHOWN_PROBLEMS = 6
FIX_HINT = "utils/fix_data_dir.sh repairs what can be repaired and lists what it removes"


def validate_speech_set(
    path: StrPath,
    *,
    images: StrPath | None = None,
    features: bool = False,
    spk_sort: bool = True,
    apart_from: Sequence[StrPath] = (),
) -> str:
    """Check a speech set.

    Args:
        path: the set's folder.
        images: the image set that it belongs to; None skips the check that it has the utterances' images.
        features: whether features must be there; if they are, they are checked in any case.
        spk_sort: whether sorting by speaker must keep the order, as Kaldi wants (ids start with their speaker's).
        apart_from: speech sets of other splits; no image may occur in one of them, too.

    Returns:
        One sentence that describes the valid set.

    Raises:
        DataError: lists the first problems, each with file and line.
    """
    check = _SpeechCheck(Path(path))
    check.tables()
    check.done()
    check.speakers(spk_sort)
    check.recordings()
    check.word_times()
    if images is not None:
        check.images(Path(images))
    for other in apart_from:
        check.apart_from(Path(other))
    check.features(features)
    check.other_tables()
    check.done()
    hours, language = check.seconds / 3600, next(iter(check.languages))
    size = f"{len(check.ids):,} utterances, {hours:.2f} h, {len(check.spoken):,} speakers, {language}"
    return f"{path} is a valid speech set: {size}"


@dataclass
class _SpeechCheck:
    """One set's check: the problems so far, and what later checks need of the tables that were read."""

    path: Path
    problems: list[str] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    spoken: dict[bytes, list[bytes]] = field(default_factory=dict)
    """Speaker -> utterances, as utt2spk says."""
    languages: dict[str, None] = field(default_factory=dict)
    seconds: float = 0.0

    def done(self) -> None:
        _raise(self.path, self.problems, FIX_HINT)

    def tables(self) -> None:
        """Tables that are missing or badly formed, and tables whose ids differ from utt2spk's."""
        if not self.path.is_dir():
            self.problems.append(f"{self.path}: no such folder")
            return
        if (self.path / "images.scp").exists():
            what = "images belong into a folder of their own (Kaldi takes this for an image set)"
            self.problems.append(f"{self.path / 'images.scp'}: {what}")
        present = [name for name in OPTIONAL_TABLES if (self.path / name).exists()]
        for name in (*UTTERANCE_TABLES, *present, *([] if "segments" in present else ["wav.scp"])):
            keys = self._scan(name)
            if name == "utt2spk" and keys is not None:
                self.ids = keys
                if not keys:
                    self.problems.append(f"{self.path / name}: has no utterances")
            elif keys is not None and self.ids and keys != self.ids:
                self.problems += _compare(self.path / name, keys, self.ids)

    def _scan(self, name: str) -> list[bytes] | None:
        """A table's keys, its values checked and noted; None (and a problem noted) when it cannot be read."""
        file, rule, keys = self.path / name, VALUE_RULES[name], list[bytes]()
        try:
            for block in read_blocks(file, TEXT if name == "text" else TABLE):
                self.problems += _value_problems(file, rule, block, len(keys))
                keys += [key for _, key in block]
                self._note(name, block)
        except DataError as error:
            self.problems.append(_say(error))
            return None
        return keys

    def _note(self, name: str, block: list[tuple[bytes, bytes]]) -> None:
        if name == "utt2spk":
            for record in block:
                self.spoken.setdefault(value_of(record), []).append(record[1])
        elif name == "utt2dur" and not self.problems:
            self.seconds += sum(float(value_of(record)) for record in block)
        elif name == "utt2lang":
            self.languages |= dict.fromkeys(value.decode() for value in {value_of(record) for record in block})

    def speakers(self, spk_sort: bool) -> None:
        """spk2utt agrees with utt2spk; sorting by speaker keeps the order; one language."""
        file = self.path / "spk2utt"
        try:
            found = {record[1]: value_of(record).split() for block in read_blocks(file, TABLE) for record in block}
        except DataError as error:
            self.problems.append(_say(error))
            found = self.spoken
        for speaker in sorted(found.keys() | self.spoken.keys()):
            if found.get(speaker) != self.spoken.get(speaker):
                where = f"{file}:{line_of(file, speaker)}" if speaker in found else str(file)
                self.problems.append(f"{where}: does not agree with utt2spk about speaker '{speaker.decode()}'")
        ordered = [utterance for speaker in sorted(self.spoken) for utterance in self.spoken[speaker]]
        if spk_sort and ordered != self.ids:
            place = next(i for i, (a, b) in enumerate(zip(ordered, self.ids, strict=True)) if a != b)
            what = "moves when the file is sorted by speaker; let ids start with their speaker's id"
            self.problems.append(f"{self.path / 'utt2spk'}:{place + 1}: '{self.ids[place].decode()}' {what}")
        if len(self.languages) > 1:
            what = f"a set holds one language, this one has {', '.join(sorted(self.languages))}"
            self.problems.append(f"{self.path / 'utt2lang'}: {what}")

    def recordings(self) -> None:
        """With segments: wav.scp is well-formed and has their recordings."""
        file = self.path / "segments"
        if not file.exists():
            return
        recordings = set(self._scan("wav.scp") or ())
        number = 0
        for block in read_blocks(file, TABLE):
            for record in block:
                number += 1
                recording = value_of(record).split()[0]
                if recording not in recordings:
                    what = f"recording '{recording.decode()}' of '{record[1].decode()}' is not in wav.scp"
                    self.problems.append(f"{file}:{number}: {what}")

    def word_times(self) -> None:
        """Word and phone times are well-formed, sorted by utterance, and of utterances of the set."""
        for name in ("ctm", "ctm_phones"):
            if (self.path / name).exists():
                self._known(name, {key for block in self._blocks(name, TIMES) for _, key in block})

    def _blocks(self, name: str, form: Form) -> Iterator[list[tuple[bytes, bytes]]]:
        """Blocks of a file up to its first line that is not well-formed, which is noted."""
        try:
            yield from read_blocks(self.path / name, form)
        except DataError as error:
            self.problems.append(_say(error))

    def _known(self, name: str, keys: set[bytes]) -> None:
        unknown = sorted(keys - set(self.ids))
        if unknown:
            where = f"{self.path / name}:{line_of(self.path / name, unknown[0])}"
            count = f" ({len(unknown):,} such ids)"
            self.problems.append(f"{where}: utterance '{unknown[0].decode()}' is not known{count}")

    def images(self, images: Path) -> None:
        """The image set has every utterance's image."""
        known = read_pictures(images)
        for number, image in enumerate(self._images(), start=1):
            if image not in known:
                self.problems.append(f"{self.path / 'utt2image'}:{number}: image '{image.decode()}' is not known")

    def _images(self) -> Iterator[bytes]:
        return (value_of(record) for block in read_blocks(self.path / "utt2image", TABLE) for record in block)

    def apart_from(self, other: Path) -> None:
        """No image is in the other set, too."""
        theirs = {value_of(record) for block in read_blocks(other / "utt2image", TABLE) for record in block}
        shared = [(number, image) for number, image in enumerate(self._images(), start=1) if image in theirs]
        if shared:
            number, image = shared[0]
            what = f"image '{image.decode()}' is also in {other} ({len(shared):,} such utterances)"
            self.problems.append(f"{self.path / 'utt2image'}:{number}: {what}; subset_data_dir.sh --apart-from leaves them out")

    def features(self, required: bool) -> None:
        """Features, when there are some, are of utterances of the set, and the archives are those of the scp files."""
        if not (self.path / "feats.scp").exists():
            if required:
                self.problems.append(f"{self.path / 'feats.scp'}: no features yet; make them (stage 1)")
            return
        try:
            original = _original_names(self.path)
            for name in ("feats.scp", *sorted(f"feats/{file.name}" for file in (self.path / "feats").glob("*.scp"))):
                self._check_values(name, ARCHIVE_RULE)
                check_archive(self.path / name, original)
        except DataError as error:
            self.problems.append(_say(error))
        self._check_values("utt2num_frames", VALUE_RULES["utt2num_frames"])

    def _check_values(self, name: str, rule: Rule) -> None:
        keys: set[bytes] = set()
        for block in self._blocks(name, TABLE):
            self.problems += _value_problems(self.path / name, rule, block, len(keys))
            keys.update(key for _, key in block)
        self._known(name, keys)

    def other_tables(self) -> None:
        """Tables of the user's own: utt2* are well-formed and of utterances of the set, spk2* of its speakers."""
        done = {*UTTERANCE_TABLES, *OPTIONAL_TABLES, "utt2num_frames", "spk2utt"}
        for file in sorted(self.path.glob("*2*")):
            if file.name in done or not file.name.replace("_", "").isalnum() or file.name[:4] not in ("utt2", "spk2"):
                continue
            keys = {key for block in self._blocks(file.name, TABLE) for _, key in block}
            if file.name.startswith("utt2"):
                self._known(file.name, keys)
            elif unknown := sorted(keys - self.spoken.keys()):
                where = f"{file}:{line_of(file, unknown[0])}"
                self.problems.append(f"{where}: speaker '{unknown[0].decode()}' is not in utt2spk")


def _value_problems(file: Path, rule: Rule, block: list[tuple[bytes, bytes]], before: int) -> Iterator[str]:
    """Problems of a block's values; the block starts behind ``before`` lines."""
    usual = rule.usual.fullmatch
    for number, record in enumerate(block, start=before + 1):
        value = value_of(record)
        if not usual(value) and (problem := rule.check(value)) is not None:
            yield f"{file}:{number}: {problem} ('{record[1].decode()}')"


def _original_names(path: Path) -> dict[str, str] | None:
    """Names that a renamed set's utterances have in its archives, when it has been renamed."""
    return read_table(path / "utt2uniq") if (path / "utt2uniq").exists() else None


def validate_image_set(path: StrPath, *, packed: bool = False) -> str:
    """Check an image set.

    Args:
        path: the set's folder.
        packed: whether packed images must be there; if they are, they are checked in any case.

    Returns:
        One sentence that describes the valid set.

    Raises:
        DataError: lists the first problems, each with file and line.
    """
    path = Path(path)
    images = ImageSet.load(path)
    problems = [] if images.ids else [f"{path / 'images.scp'}: has no images"]
    problems += _unknown(path / "image2size", images.sizes, images.ids, "image", keys=True)
    try:
        for image, objects in images.objects().items():
            width, height = images.sizes.get(image, (0, 0))
            if image not in images.paths:
                problems.append(f"{path / 'objects.tsv'}: image '{image}' is not in images.scp")
            elif any(thing.box[2] > width or thing.box[3] > height for thing in objects):
                problems.append(
                    f"{path / 'objects.tsv'}: a box of '{image}' lies outside its {width} x {height} pixels"
                )
    except DataError as error:
        problems.append(_say(error))
    problems += _packed_problems(images, packed)
    _raise(path, problems)
    clips = f", the video frames of {len(images.clips):,} clips among them" if images.clips else ""
    return f"{path} is a valid image set: {len(images):,} images{clips}"


def _raise(path: Path, problems: Sequence[str], hint: str | None = None) -> None:
    if problems:
        shown = "".join(f"\n    {problem}" for problem in problems[:SHOWN_PROBLEMS])
        more = f"\n    and {len(problems) - SHOWN_PROBLEMS:,} more" if len(problems) > SHOWN_PROBLEMS else ""
        what = f"not a valid data directory, {len(problems):,} problem(s):{shown}{more}"
        raise DataError(what, where=str(path), hint=hint)


def _say(error: DataError) -> str:
    return f"{error.where}: {error.what}"


def _compare(file: Path, ids: Sequence[bytes], expected: Sequence[bytes]) -> Iterator[str]:
    """Differences between a table's ids and those of utt2spk."""
    surplus, missing = sorted(set(ids) - set(expected)), sorted(set(expected) - set(ids))
    if surplus:
        line = ids.index(surplus[0]) + 1
        yield f"{file}:{line}: '{surplus[0].decode()}' is not in utt2spk ({len(surplus):,} such ids)"
    if missing:
        yield f"{file}: has no line for '{missing[0].decode()}' ({len(missing):,} such utterances)"


def _unknown(
    file: Path, names: Collection[str], known: Sequence[str], what: str, *, keys: bool = False
) -> Iterator[str]:
    """Ids of a file that are not known; with ``keys`` the names are the file's lines, in order."""
    known_ids = set(known)
    for number, name in enumerate(names, start=1):
        if name not in known_ids:
            where = f"{file}:{number}" if keys else str(file)
            yield f"{where}: {what} '{name}' is not known"


def _packed_problems(images: ImageSet, required: bool) -> Iterator[str]:
    scp = images.path / "packed.scp"
    if not scp.exists():
        if required:
            yield f"{scp}: no packed images yet; pack them (stage 2)"
        return
    try:
        packed = BlobReader(scp)
        for line in sorted({0, len(packed) // 2, len(packed) - 1} if len(packed) else set()):
            packed.read(line)
        rejected = read_table(images.path / "packed.rejected")
        yield from _unknown(scp, packed, images.ids, "image", keys=True)
        for clip, frames in images.clips.items():
            if 0 < (there := sum(frame in packed for frame in frames)) < len(frames):
                yield f"{scp}: has {there} of the {len(frames)} video frames of '{clip}'; pack the set again"
                break
        if len(packed) + len(rejected) != len(images):
            yield f"{scp}: {len(packed)} packed and {len(rejected)} rejected images, but images.scp has {len(images)}"
    except DataError as error:
        yield _say(error)
