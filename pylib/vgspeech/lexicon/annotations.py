"""Found words as annotations: a table, JSON, ELAN (.eaf) and Praat (.TextGrid) files.

Every recording gets two tiers. ``<language>`` names the cluster of each found stretch (``en12``), ``<other language>`` the
cluster that is linked with it (``hi34``), where a significant link is. A lexicon of one language has the first tier alone.
"""

from __future__ import annotations

import mimetypes
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vgspeech.files import atomic_write, write_json
from vgspeech.lexicon.found_words import FoundWord, Recording

if TYPE_CHECKING:
    from pympi import Eaf, TextGrid

WORDS_HEADER = ("recording", "utterance", "start", "end", "cluster", "linked", "rank", "score")


def write_words(folder: Path, recordings: Sequence[Recording], languages: Sequence[str]) -> None:
    """Write ``words_<language>.tsv`` and ``.json``: every found word, times in seconds of the recording.

    Args:
        folder: where.
        recordings: of the first language.
        languages: the language that was spoken and, if there is one, that which its clusters are linked to.
    """
    own, other = languages[0], languages[-1]
    with atomic_write(folder / f"words_{own}.tsv") as stream:
        stream.write("\t".join(WORDS_HEADER) + "\n")
        for recording in recordings:
            for utt, word in recording.words:
                linked = "-" if word.linked is None else f"{other}{word.linked}"
                rank = "-" if word.rank is None else str(word.rank)
                times = (f"{word.start_s:.4f}", f"{word.end_s:.4f}")
                cells = (recording.name, utt, *times, f"{own}{word.cluster}", linked, rank, f"{word.score:.4f}")
                stream.write("\t".join(cells) + "\n")
    listed = [
        {
            "recording": recording.name,
            "file": None if recording.path is None else str(recording.path),
            "words": [{"utterance": utt, **_rounded(word)} for utt, word in recording.words],
        }
        for recording in recordings
    ]
    write_json(folder / f"words_{own}.json", {"languages": list(languages), "recordings": listed})


def _rounded(word: FoundWord) -> dict[str, float | int | None]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(word).items()}


def write_elan(folder: Path, recordings: Iterable[Recording], languages: Sequence[str], made_at: float) -> None:
    """Write ``<recording>.eaf`` of every recording; its sound is linked, not copied.

    Args:
        folder: where.
        recordings, languages: as for `write_words`.
        made_at: seconds since 1970 that the files give as their date, so that the same result is the same bytes.
    """
    folder = folder.absolute()
    for recording in recordings:
        document = _eaf(recording, languages, folder)
        document.adocument["DATE"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(made_at))
        path = folder / f"{recording.name}.eaf"
        with atomic_write(path, "wb") as stream:
            # The library moves an existing file aside, so that it gets a name that is not there yet.
            temporary = Path(f"{stream.name}.part")
            try:
                document.to_file(temporary)
                stream.write(temporary.read_bytes())
            finally:
                temporary.unlink(missing_ok=True)


def remove_annotations(folder: Path, names: Iterable[str]) -> None:
    """Delete what an earlier export wrote of recordings that may no longer be shown."""
    for name in names:
        (folder / "elan" / f"{name}.eaf").unlink(missing_ok=True)
        (folder / "praat" / f"{name}.TextGrid").unlink(missing_ok=True)


def _eaf(recording: Recording, languages: Sequence[str], folder: Path) -> Eaf:
    from pympi import Eaf

    document = Eaf(author="vgspeech")
    document.remove_tier("default")
    if recording.path is not None:
        kind = mimetypes.guess_type(recording.path.name)[0] or "audio/x-wav"
        relative = os.path.relpath(recording.path, folder)
        document.add_linked_file(recording.path.as_uri(), relpath=relative, mimetype=kind)
    for tier, texts in zip(languages, _tier_texts(recording, languages), strict=True):
        document.add_tier(tier)
        for start, end, text in texts:
            document.add_annotation(tier, round(1000 * start), round(1000 * end), text)
    return document


def write_praat(folder: Path, recordings: Iterable[Recording], languages: Sequence[str]) -> None:
    """Write ``<recording>.TextGrid`` of every recording (long text format, UTF-8)."""
    for recording in recordings:
        grid = _text_grid(recording, languages)
        with atomic_write(folder / f"{recording.name}.TextGrid") as stream:
            grid.to_file(stream.name)


def _text_grid(recording: Recording, languages: Sequence[str]) -> TextGrid:
    from pympi import TextGrid

    grid = TextGrid(xmax=recording.duration_s)
    for name, texts in zip(languages, _tier_texts(recording, languages), strict=True):
        tier = grid.add_tier(name)
        for start, end, text in texts:
            tier.add_interval(round(start, 4), round(end, 4), text)
    return grid


def _tier_texts(recording: Recording, languages: Sequence[str]) -> list[list[tuple[float, float, str]]]:
    """(start, end, text) of the tiers, one a language."""
    own, other = languages[0], languages[-1]
    words = [word for _, word in recording.words]
    tiers = [
        [(word.start_s, word.end_s, f"{own}{word.cluster}") for word in words],
        [(word.start_s, word.end_s, f"{other}{word.linked}") for word in words if word.linked is not None],
    ]
    return tiers[: len(languages)]
