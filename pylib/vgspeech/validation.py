"""Rules of data directories beyond the form of their tables, all problems of a set found in one go.

The rules are those of Kaldi's validate_data_dir.sh, so that a set that passes works with a user's own Kaldi tools,
and those of sets with images: every utterance has an image, and the image set has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vgspeech.archive import BlobReader, check_archive
from vgspeech.datadir import ImageSet, SpeechSet, read_segments
from vgspeech.errors import DataError
from vgspeech.tables import StrPath, read_table

SHOWN_PROBLEMS = 6
_NOT_IN_TEXT = ("<s>", "</s>", "#0")


def validate_speech_set(
    path: StrPath, *, images: StrPath | None = None, features: bool = False, spk_sort: bool = True
) -> str:
    """Check a speech set.

    Args:
        path: the set's folder.
        images: the image set that it belongs to; None skips the check that it has the utterances' images.
        features: whether features must be there; if they are, they are checked in any case.
        spk_sort: whether sorting by speaker must keep the order, as Kaldi wants (ids start with their speaker's).

    Returns:
        One sentence that describes the valid set.

    Raises:
        DataError: lists the first problems, each with file and line.
    """
    path = Path(path)
    _raise(path, list(_table_problems(path)))
    speech = SpeechSet.load(path)
    problems = [*_speaker_problems(speech, spk_sort), *_recording_problems(speech), *_text_problems(speech)]
    if images is not None:
        problems += _unknown(path / "utt2image", speech.utt2image.values(), ImageSet.load(images).ids, "image")
    problems += _feature_problems(speech, features)
    _raise(path, problems)
    hours = sum(speech.utt2dur.values()) / 3600
    language, speakers = next(iter(speech.utt2lang.values())), len(set(speech.utt2spk.values()))
    return f"{path} is a valid speech set: {len(speech):,} utterances, {hours:.2f} h, {speakers:,} speakers, {language}"


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
    return f"{path} is a valid image set: {len(images):,} images"


def _raise(path: Path, problems: Sequence[str]) -> None:
    if problems:
        shown = "".join(f"\n    {problem}" for problem in problems[:SHOWN_PROBLEMS])
        more = f"\n    and {len(problems) - SHOWN_PROBLEMS:,} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise DataError(f"not a valid data directory, {len(problems):,} problem(s):{shown}{more}", where=str(path))


def _say(error: DataError) -> str:
    return f"{error.where}: {error.what}"


def _table_problems(path: Path) -> Iterator[str]:
    """Tables that are missing or badly formed, and tables whose ids differ from utt2spk's."""
    if not path.is_dir():
        yield f"{path}: no such folder"
        return
    if (path / "images.scp").exists():
        yield f"{path / 'images.scp'}: images belong into a folder of their own (Kaldi takes this for an image set)"
    present = [name for name in ("segments", "text", "utt2share") if (path / name).exists()]
    ids: dict[str, list[str]] = {}
    for name in ("utt2spk", "spk2utt", "wav.scp", "utt2lang", "utt2dur", "utt2image", *present):
        try:
            table = (
                read_segments(path / name)
                if name == "segments"
                else read_table(path / name, allow_empty=name == "text")
            )
            ids[name] = list(table)
        except DataError as error:
            yield _say(error)
    if ids.get("utt2spk") == []:
        yield f"{path / 'utt2spk'}: has no utterances"
    by_recording = {"wav.scp"} if "segments" in present else set()
    for name in ids.keys() - {"utt2spk", "spk2utt"} - by_recording:
        yield from _compare(path / name, ids[name], ids.get("utt2spk", ids[name]))


def _compare(file: Path, ids: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Differences between a table's ids and those of utt2spk."""
    surplus, missing = sorted(set(ids) - set(expected)), sorted(set(expected) - set(ids))
    if surplus:
        line = ids.index(surplus[0]) + 1
        yield f"{file}:{line}: '{surplus[0]}' is not in utt2spk ({len(surplus):,} such ids)"
    if missing:
        yield f"{file}: has no line for '{missing[0]}' ({len(missing):,} such utterances)"


def _speaker_problems(speech: SpeechSet, spk_sort: bool) -> Iterator[str]:
    path = speech.path
    expected: dict[str, list[str]] = {}
    for utterance, speaker in speech.utt2spk.items():
        expected.setdefault(speaker, []).append(utterance)
    found = {speaker: value.split() for speaker, value in read_table(path / "spk2utt").items()}
    for speaker in sorted(found.keys() | expected.keys()):
        if found.get(speaker) != expected.get(speaker):
            yield f"{path / 'spk2utt'}: does not agree with utt2spk about speaker '{speaker}'"
    for number, speaker in enumerate(speech.utt2spk.values(), start=1):
        if len(speaker.split()) != 1 or "/" in speaker:
            yield f"{path / 'utt2spk'}:{number}: speaker '{speaker}' contains a blank or '/'"
    ordered = [utterance for speaker in sorted(expected) for utterance in expected[speaker]]
    if spk_sort and ordered != speech.ids:
        place = next(i for i, (a, b) in enumerate(zip(ordered, speech.ids, strict=True)) if a != b)
        what = f"'{speech.ids[place]}' moves when the file is sorted by speaker; let ids start with their speaker's id"
        yield f"{path / 'utt2spk'}:{place + 1}: {what}"
    languages = sorted(set(speech.utt2lang.values()))
    if len(languages) > 1:
        yield f"{path / 'utt2lang'}: a set holds one language, this one has {', '.join(languages)}"
    for number, seconds in enumerate(speech.utt2dur.values(), start=1):
        if seconds <= 0:
            yield f"{path / 'utt2dur'}:{number}: the duration is not positive"


def _recording_problems(speech: SpeechSet) -> Iterator[str]:
    for number, (recording, file) in enumerate(speech.wav.items(), start=1):
        where = f"{speech.path / 'wav.scp'}:{number}"
        if file.startswith("~"):
            yield f"{where}: the path of '{recording}' starts with '~', which only shells understand"
        elif file.startswith("|"):
            yield f"{where}: a command is written 'command |', with the bar at its end"
    for number, (utterance, piece) in enumerate(speech.segments.items(), start=1):
        if piece.recording not in speech.wav:
            where = f"{speech.path / 'segments'}:{number}"
            yield f"{where}: recording '{piece.recording}' of '{utterance}' is not in wav.scp"


def _text_problems(speech: SpeechSet) -> Iterator[str]:
    for number, words in enumerate(speech.text.values(), start=1):
        for symbol in _NOT_IN_TEXT:
            if symbol in words.split():
                yield f"{speech.path / 'text'}:{number}: contains the reserved symbol {symbol}"
    for name in ("ctm", "ctm_phones"):
        try:
            yield from _unknown(speech.path / name, getattr(speech, name), speech.ids, "utterance")
        except DataError as error:
            yield _say(error)


def _unknown(
    file: Path, names: Collection[str], known: Sequence[str], what: str, *, keys: bool = False
) -> Iterator[str]:
    """Ids of a file that are not known; with ``keys`` the names are the file's lines, in order."""
    known_ids = set(known)
    for number, name in enumerate(names, start=1):
        if name not in known_ids:
            where = f"{file}:{number}" if keys or file.name == "utt2image" else str(file)
            yield f"{where}: {what} '{name}' is not known"


def _feature_problems(speech: SpeechSet, required: bool) -> Iterator[str]:
    if not (speech.path / "feats.scp").exists():
        if required:
            yield f"{speech.path / 'feats.scp'}: no features yet; make them (stage 1)"
        return
    try:
        for scp in [speech.path / "feats.scp", *sorted((speech.path / "feats").glob("*.scp"))]:
            check_archive(scp)
        frames = read_table(speech.path / "utt2num_frames")
        yield from _unknown(speech.path / "utt2num_frames", frames, speech.ids, "utterance", keys=True)
        for number, count in enumerate(frames.values(), start=1):
            if not (count.isdigit() and int(count) > 0):
                yield f"{speech.path / 'utt2num_frames'}:{number}: '{count}' is not a number of frames"
    except DataError as error:
        yield _say(error)


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
        if len(packed) + len(rejected) != len(images):
            yield f"{scp}: {len(packed)} packed and {len(rejected)} rejected images, but images.scp has {len(images)}"
    except DataError as error:
        yield _say(error)
