"""Weights that others have trained: what there is, and where a copy of it lies on this machine.

``pretrained.tsv`` lists backbones (``image.weights`` of a configuration may name one) and released checkpoints, each with
its address, size, licence and what is known of its content's digest: all of it, its beginning (torchvision publishes eight
digits), an MD5, or nothing. Nothing is fetched unasked: ``local/fetch_weights.sh NAME`` does it, once.

A copy lies in the folder `weights_folder` as ``<file>``, with a record ``<name>.json`` beside it that is written last: its
SHA-256 as it was when it came. Later uses are compared with that.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgspeech.download import DownloadError, download
from vgspeech.errors import DataError, DriftError, UsageError
from vgspeech.files import atomic_write, read_json, sha256_file, write_json
from vgspeech.tables import read_tsv

TABLE = Path(__file__).with_name("pretrained.tsv")
HEADER = ("name", "kind", "how", "file", "mib", "digest", "url", "licence", "about")
UNKNOWN = "-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_DIGEST = re.compile(r"(sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{32}|-)\Z")


@dataclass(frozen=True)
class Weights:
    """A line of the table.

    Attributes:
        kind: ``backbone`` (a file of torchvision's) or ``checkpoint`` (of a released grounding model).
        direct: whether a program can fetch it; else its address is a page for a person.
        file: the copy's name.
        mib: size in MiB; None where it is not known.
        digest: ``sha256:`` and at least its beginning, ``md5:``, or ``-``.
    """

    name: str
    kind: str
    direct: bool
    file: str
    mib: float | None
    digest: str
    url: str
    licence: str
    about: str

    @property
    def size(self) -> str:
        """For people."""
        return "size not known" if self.mib is None else f"{self.mib:.1f} MiB"


def weights_folder() -> Path:
    """Where copies lie: ``$VGS_WEIGHTS``, else ``weights/`` beside ``pylib/``."""
    return Path(os.environ.get("VGS_WEIGHTS") or Path(__file__).resolve().parents[2] / "weights")


def read_weights_table(path: Path = TABLE) -> dict[str, Weights]:
    """All that is listed, by name.

    Raises:
        DataError: the table breaks its rules; names the line.
    """
    found: dict[str, Weights] = {}
    for number, cells in read_tsv(path, HEADER):
        row, where = dict(zip(HEADER, cells, strict=True)), f"{path}:{number}"
        if not _NAME.match(row["name"]) or not _NAME.match(row["file"]):
            raise DataError("name and file are letters, digits and . _ -", where=where)
        if row["how"] not in ("direct", "by-hand") or not row["url"].startswith(("https://", "http://")):
            raise DataError("how is direct or by-hand, url begins with https:// or http://", where=where)
        if not _DIGEST.match(row["digest"]):
            raise DataError("digest is sha256: with 8 to 64 digits, md5: with 32, or -", where=where)
        try:
            mib = None if row["mib"] == UNKNOWN else float(row["mib"])
        except ValueError as error:
            raise DataError(f"mib is a number or -, not '{row['mib']}'", where=where) from error
        found[row["name"]] = Weights(
            row["name"], row["kind"], row["how"] == "direct", row["file"], mib, *(row[key] for key in HEADER[5:])
        )
    return found


def named_weights(name: str, table: dict[str, Weights]) -> Weights:
    """A line of the table.

    Raises:
        UsageError: there is none of that name; names the nearest.
    """
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(table)}"
        raise UsageError(f"no weights of the name '{name}'", hint=hint)
    return table[name]


def record_of(name: str, folder: Path) -> Path:
    """The file that says what lies in the folder under a name."""
    return folder / f"{name}.json"


def fetch_weights(weights: Weights, folder: Path, given: Path | None = None) -> tuple[dict[str, Any], bool]:
    """See to it that a copy lies in the folder.

    Args:
        weights: which.
        folder: where.
        given: a file that somebody has fetched already; it is copied.

    Returns:
        The record, and whether the copy was there before.

    Raises:
        DownloadError: it cannot be fetched; says how to do it by hand.
        DriftError: what came, or lies there, is not the published file.
    """
    target = folder / weights.file
    record = checked_copy(weights.name, folder)
    if record is not None:
        return record, True
    hand = f"by hand: get {weights.url} with a browser, then: local/fetch_weights.sh --from FILE {weights.name}"
    if given is not None:
        if not given.is_file():
            raise UsageError("no such file", where=str(given))
        _check_published(given, weights)
        with open(given, "rb") as source, atomic_write(target, "wb") as stream:
            shutil.copyfileobj(source, stream)
    elif not target.is_file():
        if not weights.direct:
            raise DownloadError(f"{weights.name} lies on a page from which no program can fetch it", hint=hand)
        try:
            download(weights.url, target, weights.name)
        except DownloadError as error:
            raise DownloadError(error.what, where=error.where, hint=hand) from error
        try:
            _check_published(target, weights)
        except DriftError as error:
            target.unlink()
            raise DriftError(f"{error.what}; it was removed", where=weights.url, hint=hand) from error
    return _keep_record(weights, target), False


def _check_published(path: Path, weights: Weights) -> str:
    """Compare a file with what is known of the published one; its SHA-256.

    Raises:
        DriftError: another size or content.
    """
    mib = path.stat().st_size / 2**20
    if weights.mib is not None and abs(mib - weights.mib) > 0.01 * weights.mib:
        raise DriftError(f"has {mib:.3f} MiB, {weights.name} has {weights.mib:.3f}", where=str(path))
    kind, _, wanted = weights.digest.partition(":")
    found = sha256_file(path)
    if kind == UNKNOWN:
        return found
    with open(path, "rb") as stream:
        have = found if kind == "sha256" else hashlib.file_digest(stream, "md5").hexdigest()
    if not have.startswith(wanted):
        what = f"is not {weights.name}: its {kind.upper()} begins with {have[: len(wanted)]}, not {wanted}"
        raise DriftError(what, where=str(path))
    return found


def _keep_record(weights: Weights, path: Path) -> dict[str, Any]:
    """Check a copy that lies in its place, and write its record; the record."""
    record = {
        "name": weights.name,
        "file": weights.file,
        "bytes": path.stat().st_size,
        "sha256": _check_published(path, weights),
        "url": weights.url,
        "licence": weights.licence,
    }
    write_json(record_of(weights.name, path.parent), record)
    return record


def checked_copy(name: str, folder: Path) -> dict[str, Any] | None:
    """The record of a copy, compared with the copy; None where there is no record or no copy.

    Raises:
        DriftError: the copy is not what came.
    """
    path = record_of(name, folder)
    if not path.is_file():
        return None
    record: dict[str, Any] = read_json(path)
    copy = folder / str(record["file"])
    if not copy.is_file():
        return None
    if copy.stat().st_size != record["bytes"] or sha256_file(copy) != record["sha256"]:
        raise DriftError(
            "is not what it was when it came",
            where=str(copy),
            hint=f"move it away, then: local/fetch_weights.sh {name}",
        )
    return record


def fetched_copy(name: str) -> Path | None:
    """The copy of that name on this machine, unread; None where there is none."""
    folder = weights_folder()
    record = record_of(name, folder)
    if not record.is_file():
        return None
    copy = folder / str(read_json(record)["file"])
    return copy if copy.is_file() else None
