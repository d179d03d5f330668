"""Long recordings cut by annotations: each annotation of a tier is a caption, and its text names the image.

The file lies beside the recording and has its name: ``awa/001.eaf`` (ELAN) or ``awa/001.TextGrid`` (Praat) of ``awa/001.wav``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vgspeech.corpora.captions import Account
from vgspeech.corpora.elan import read_elan
from vgspeech.corpora.pictures import PictureNames
from vgspeech.corpora.praat import read_praat
from vgspeech.corpora.records import text_of
from vgspeech.corpora.roots import Roots, below
from vgspeech.corpora.sheet import Row
from vgspeech.corpora.tiers import Tiers
from vgspeech.errors import DataError

_READERS = {".eaf": read_elan, ".textgrid": read_praat}
_KEPT = ("wav", "lang", "speaker", "share", "split")
"""Cells that the captions of a recording have in common."""


def cut_rows(rows: Sequence[Row], path: Path, roots: Roots, tier: str, account: Account) -> list[Row]:
    """Put the annotations of a tier in the place of recordings that name no image.

    Args:
        rows: of a manifest.
        path: the manifest.
        roots: where recordings and images lie.
        tier: name of the tier.
        account: the annotation files, and what the user should know, are added.

    Returns:
        A row for each caption, with its image, start and end; a row that cannot be one says why.

    Raises:
        DataError: a recording has no annotation file or two of them, a file cannot be read, or has no such tier.
    """
    pictures = PictureNames(roots.images)
    empty: Counter[str] = Counter()
    cut: list[Row] = []
    for row in rows:
        place = f"{path}:{row.line}"
        if not isinstance(row.cells, dict) or row.cells.get("image") or row.cells.get("video"):
            cut.append(row._replace(place=place))
        elif row.cells.get("start") or row.cells.get("end"):
            cut.append(row._replace(place=place, problem="has a start or an end, and no image"))
        else:
            try:
                wav = roots.audio / below(text_of(row.cells, "wav"), roots.audio, "--audio")
            except ValueError as error:
                cut.append(row._replace(place=place, problem=str(error)))
                continue
            cut += _cut(row, wav, _tiers_of(wav, place, account), tier, pictures, empty)
    if empty:
        account.notes.append(f"{empty.total()} empty annotations of the tier {tier!r} were skipped, in {len(empty)} files")
    return cut


def _cut(
    row: Row, wav: Path, tiers: Tiers, tier: str, pictures: PictureNames, empty: Counter[str]
) -> Iterator[Row]:
    shared: dict[str, Any] = {name: row.cells[name] for name in _KEPT if name in row.cells}
    offset_s = tiers.offsets_s.get(wav.name, 0.0)
    for one in tiers.find(tier).annotations:
        if not one.text.strip():
            empty[str(tiers.path)] += 1
            continue
        place = f"{tiers.path}: tier {tier!r}: {one.start_s:.3f} to {one.end_s:.3f} s"
        if one.problem:
            yield Row(row.line, shared, place, f"{one.text.strip()[:80]!r} {one.problem}")
            continue
        try:
            image = pictures.path_of(one.text.strip())
        except ValueError as error:
            yield Row(row.line, shared, place, str(error))
            continue
        times = {"start": one.start_s + offset_s, "end": one.end_s + offset_s}
        yield Row(row.line, {**shared, **times, "image": image}, place)


def _tiers_of(wav: Path, place: str, account: Account) -> Tiers:
    """The annotation file of a recording."""
    beside = wav.parent.glob("*") if wav.parent.is_dir() else iter(())
    found = sorted(path for path in beside if path.stem == wav.stem and path.suffix.lower() in _READERS)
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or f"no {wav.stem}.eaf or {wav.stem}.TextGrid"
        hint = "fill in the column image, or annotate the recording" if not found else "move one of them away"
        raise DataError(f"{names} beside {wav}", where=place, hint=hint)
    account.add_file(found[0])
    return _READERS[found[0].suffix.lower()](found[0])
