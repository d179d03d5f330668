"""Own recordings in a Kaldi data directory: long recordings cut by ``segments``, and which picture each utterance describes.

Kaldi's own tables, read as strictly as Kaldi reads them, and two that its recipes for language identification and ours have::

    wav.scp      recording file         one file a recording; commands (``sph2pipe ... |``) are refused
    segments     utterance recording start end    seconds, optional: without it an utterance is a recording
    utt2spk      utterance speaker
    utt2lang     utterance language     a tag of two or three letters
    utt2image    utterance picture      the picture's file name or path, with or without its extension, or its id
    text utt2share                      optional: what was said; yes or no, may pages play it

An utterance keeps its id, with the speaker in front where it does not begin so. One that describes no picture is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vgspeech.corpora.captions import Account, Release
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.manifest import read_rows
from vgspeech.corpora.pictures import PictureNames
from vgspeech.corpora.roots import Roots
from vgspeech.corpora.sheet import Row
from vgspeech.datadir import Segment, read_segments
from vgspeech.errors import DataError
from vgspeech.tables import read_table

_REMEDY = {
    "wav.scp": "one line a recording: its id, and the file",
    "utt2spk": "one line an utterance: its id, and who speaks",
    "utt2lang": "one line an utterance: its id, and a tag such as fra; of one language: sed 's/ .*/ fra/' utt2spk > utt2lang",
    "utt2image": "one line an utterance: its id, and the picture's file name",
}
"""The tables that must be there, and what stands in them."""
_OPTIONAL = {"text": "text", "utt2share": "share"}
"""Tables that may be there, and the cell that each fills."""


def read_kaldi(folder: Path, roots: Roots, fractions: Fractions) -> list[Release]:
    """Read a Kaldi data directory.

    Args:
        folder: the directory.
        roots: what relative paths of wav.scp are relative to, and the folder below which pictures are looked for.
        fractions: how much is held out for development and test.

    Returns:
        A release for each language; see ``manifest.read_manifest``.

    Raises:
        DataError: a table is missing or not in Kaldi's form, wav.scp has a command, or no utterance can be used.
    """
    if not folder.is_dir():
        raise DataError("no such Kaldi data directory", where=str(folder), hint="it holds " + " ".join(_REMEDY))
    account = Account()
    for name in (*_REMEDY, *_OPTIONAL, "segments"):
        account.add_file(folder / name)
    tables = {name: _table(folder, name) for name in _REMEDY}
    for number, (recording, wav) in enumerate(tables["wav.scp"].items(), start=1):
        if wav.startswith("|") or wav.endswith("|"):
            what = f"the recording {recording} is a command, and commands of others are not run: {wav[:80]!r}"
            hint = "name its sound file: WAV, FLAC, MP3, Ogg and SPHERE are read, at any rate; or let the command write one"
            raise DataError(what, where=f"{folder}/wav.scp:{number}", hint=hint)
    for name in _OPTIONAL:
        tables[name] = read_table(folder / name, allow_empty=True) if (folder / name).exists() else {}
    if (folder / "segments").exists():
        source = folder / "segments"
        cuts = read_segments(source)
    else:
        source = folder / "wav.scp"
        cuts = {utt: Segment(utt, 0.0, None) for utt in tables["wav.scp"]}
    said = [utt for utt in cuts if utt in tables["utt2image"]]
    if len(said) < len(cuts):
        first = next(utt for utt in cuts if utt not in tables["utt2image"])
        what = f"{len(cuts) - len(said)} of {len(cuts)} utterances are not in utt2image and were left out; the first: {first}"
        account.notes.append(f"{source}: {what}")
    rows = [*_rows(cuts, tables, source, PictureNames(roots.images)), *_strays(cuts, tables, folder, source)]
    return read_rows(rows, source, roots, fractions, account)


def _table(folder: Path, name: str) -> dict[str, str]:
    if not (folder / name).exists():
        raise DataError(f"the Kaldi data directory has no {name}", where=str(folder), hint=_REMEDY[name])
    return read_table(folder / name)


def _rows(
    cuts: Mapping[str, Segment], tables: Mapping[str, Mapping[str, str]], source: Path, pictures: PictureNames
) -> Iterator[Row]:
    """A row for each utterance that describes a picture; one that cannot be a caption says why."""
    for number, (utt, cut) in enumerate(cuts.items(), start=1):
        if utt not in tables["utt2image"]:
            continue
        cells: dict[str, Any] = {"lang": tables["utt2lang"].get(utt, ""), "speaker": tables["utt2spk"].get(utt, "")}
        cells |= {cell: tables[name].get(utt, "") for name, cell in _OPTIONAL.items()}
        cells |= {"wav": tables["wav.scp"].get(cut.recording, ""), "start": cut.start_s, "end": cut.end_s}
        lacking = [name for name in ("utt2lang", "utt2spk") if utt not in tables[name]]
        problem = f"the utterance {utt} is not in {lacking[0]}" if lacking else ""
        if not cells["wav"]:
            problem = f"the recording {cut.recording} is not in wav.scp"
        try:
            cells["image"] = pictures.path_of(tables["utt2image"][utt])
        except ValueError as error:
            problem = problem or str(error)
        yield Row(number, cells, problem=problem, utterance=utt)


def _strays(
    cuts: Mapping[str, Segment], tables: Mapping[str, Mapping[str, str]], folder: Path, source: Path
) -> Iterator[Row]:
    """A row for each line of utt2image that speaks of nothing."""
    for number, utt in enumerate(tables["utt2image"], start=1):
        if utt not in cuts:
            cells = {"lang": tables["utt2lang"].get(utt, "")}
            yield Row(number, cells, f"{folder}/utt2image:{number}", f"the utterance {utt} is not in {source.name}")
