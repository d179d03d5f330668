"""Peaks, clusters and the lexicon on disk.

A job of the peak search writes ``peaks.JOB.tsv`` and one archive a language, ``<language>.JOB.ark``; clustering joins
them in the order of utterances, so that the joined files do not depend on the number of jobs::

    peaks.tsv               one row a peak: image, utterances, times in seconds, score, the places in the image that both
                            sides look at ("-": not known), clusters ("-": too small)
    peaks_<language>.ark    key "utterance-a+utterance-b", a (peaks x D) matrix: rows in the order of peaks.tsv
    clusters_<language>.tsv, centroids_<language>.ark    key: cluster number

Within one language every pair of captions stands there both ways, so that side a is all that was found and side b says with
what; there is one archive.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.errors import DataError
from vgspeech.files import read_json, write_json
from vgspeech.lexicon.captions import TIME_DECIMALS
from vgspeech.lexicon.clusters import DROPPED, Clusters
from vgspeech.lexicon.peaks import NO_VECTORS, Peaks, concatenate
from vgspeech.stats.kmeans import forget
from vgspeech.tables import parse_number, read_tsv, write_tsv

Array = np.ndarray[Any, np.dtype[Any]]

_TIMES = ("t_a", "start_a", "end_a", "t_b", "start_b", "end_b", "score")
PLACES = ("row_a", "column_a", "x_a", "y_a", "row_b", "column_b", "x_b", "y_b")
_FOUND = ("image", "utt_a", "utt_b", *_TIMES, *PLACES)
PEAKS_HEADER = (*_FOUND, "cluster_a", "cluster_b")
RUNS_AT_ONCE = 4096
"""Pairs of captions whose vectors of a memory map are held at once."""
CLUSTERS_HEADER = ("cluster", "size", "spread", "images", "speakers")


def write_job(
    folder: Path, job: int, parts: Iterable[Peaks], languages: Sequence[str], settings: dict[str, Any]
) -> tuple[int, int]:
    """Write what one job finds as it is found; the table comes last, so that it stands for the whole.

    Args:
        folder: of all jobs.
        job: its number.
        parts: what it finds; a pair of captions is in one of them. Vectors go to the archives and out of memory.
        languages: tags of language a and b, or the only one.
        settings: how it searched, the same for all jobs.

    Returns:
        (peaks, pairs of captions)
    """
    kept = []
    with ExitStack() as stack:
        archives = [stack.enter_context(_archive(folder / f"{language}.{job}")) for language in languages]
        for part in parts:
            for archive, vectors in zip(archives, _sides(part), strict=False):
                _append_vectors(archive, part, vectors)
            kept.append(replace(part, vectors_a=NO_VECTORS, vectors_b=NO_VECTORS))
    peaks = concatenate(kept)
    write_json(folder / f"search.{job}.json", {"pairs": peaks.n_pairs, "settings": settings})
    write_tsv(folder / f"peaks.{job}.tsv", _FOUND, _peak_rows(peaks))
    return len(peaks), peaks.n_pairs


def read_jobs(folder: Path, num_jobs: int, languages: Sequence[str]) -> tuple[Peaks, dict[str, Any]]:
    """Join the peaks of all jobs.

    Returns:
        (peaks, the settings that all jobs share)

    Raises:
        DataError: a job's result is missing, or jobs searched with different settings.
    """
    parts, settings = [], []
    for job in range(1, num_jobs + 1):
        table = folder / f"peaks.{job}.tsv"
        if not table.exists():
            raise DataError(f"the peaks of job {job} of {num_jobs} are missing", where=str(table), hint="see its log")
        search = read_json(folder / f"search.{job}.json")
        settings.append(search["settings"])
        if settings[-1] != settings[0]:
            raise DataError(f"job {job} and job 1 searched with different settings", where=str(folder))
        parts.append(_read(table, _FOUND)[0])
        parts[-1].n_pairs = search["pairs"]
    peaks = concatenate(parts)
    jobs = range(1, num_jobs + 1)
    _fill_vectors(peaks, [[folder / f"{language}.{job}.scp" for job in jobs] for language in languages], folder)
    return peaks, settings[0]


def write_peaks(folder: Path, peaks: Peaks, clusters: tuple[Clusters, Clusters], languages: Sequence[str]) -> None:
    """Write clustered peaks and every language's clusters."""
    for language, vectors, side in zip(languages, _sides(peaks), clusters, strict=False):
        _write_vectors(folder / f"peaks_{language}", peaks, vectors)
        stem = folder / f"centroids_{language}"
        with _archive(stem) as archive:
            for cluster in sorted(range(len(side)), key=str):  # scp files are in C order
                archive.write(str(cluster), side.centroids[cluster])
        rows = zip(
            range(len(side)), side.sizes, (f"{x:.4f}" for x in side.spread), side.images, side.speakers, strict=True
        )
        write_tsv(folder / f"clusters_{language}.tsv", CLUSTERS_HEADER, rows)
    names = [["-" if label == DROPPED else label for label in side.labels] for side in clusters]
    peak_rows = ((*row, a, b) for row, a, b in zip(_peak_rows(peaks), *names, strict=True))
    write_tsv(folder / "peaks.tsv", PEAKS_HEADER, peak_rows)


def read_peaks(folder: Path, languages: Sequence[str]) -> tuple[Peaks, tuple[Clusters, Clusters]]:
    """Read what `write_peaks` wrote (``n_pairs`` is not in it, nor ``vectors_b`` of a single language)."""
    peaks, labels = _read(folder / "peaks.tsv", PEAKS_HEADER)
    _fill_vectors(peaks, [[folder / f"peaks_{language}.scp"] for language in languages], folder)
    a, b = (_read_clusters(folder, languages[i % len(languages)], labels[:, i]) for i in (0, 1))
    return peaks, (a, b)


def _read_clusters(folder: Path, language: str, labels: Array) -> Clusters:
    path = folder / f"clusters_{language}.tsv"
    rows = [
        [parse_number(x, f"{path}:{line}", "cell") for x in cells] for line, cells in read_tsv(path, CLUSTERS_HEADER)
    ]
    table = np.array(rows).reshape(-1, len(CLUSTERS_HEADER))
    centroids = ArchiveReader(folder / f"centroids_{language}.scp")
    stacked = np.stack([centroids[str(k)] for k in range(len(table))]) if len(table) else np.zeros((0, 0), np.float32)
    _, sizes, spread, images, speakers = table.T
    whole = (column.astype(np.int64) for column in (images, speakers))
    return Clusters(labels, stacked, sizes.astype(np.int64), spread, *whole)


def _peak_rows(peaks: Peaks) -> Iterator[tuple[object, ...]]:
    times = np.concatenate([peaks.times_a, peaks.times_b], axis=1)
    unknown = np.full((len(peaks), 4), np.nan)
    places = np.concatenate([x if len(x) else unknown for x in (peaks.places_a, peaks.places_b)], axis=1)
    for i in range(len(peaks)):
        seconds = (f"{time:.{TIME_DECIMALS}f}" for time in times[i])
        where = ("-" if np.isnan(place) else f"{place:g}" for place in places[i].tolist())
        # 9 digits give a float32 back exactly
        yield (peaks.image[i], peaks.utt_a[i], peaks.utt_b[i], *seconds, f"{peaks.scores[i]:.9g}", *where)


def _sides(peaks: Peaks) -> tuple[Array, Array]:
    return peaks.vectors_a, peaks.vectors_b


def _pair_runs(peaks: Peaks) -> Iterator[tuple[str, list[int]]]:
    """Key of every caption pair with peaks and its rows."""
    pairs = groupby(range(len(peaks)), key=lambda i: (peaks.utt_a[i], peaks.utt_b[i]))
    return (("+".join(pair), list(rows)) for pair, rows in pairs)


def _archive(stem: Path) -> ArchiveWriter:
    return ArchiveWriter(stem.with_name(f"{stem.name}.ark"), stem.with_name(f"{stem.name}.scp"))


def _write_vectors(stem: Path, peaks: Peaks, vectors: Array) -> None:
    with _archive(stem) as archive:
        _append_vectors(archive, peaks, vectors)


def _append_vectors(archive: ArchiveWriter, peaks: Peaks, vectors: Array) -> None:
    for number, (key, rows) in enumerate(sorted(_pair_runs(peaks))):
        archive.write(key, vectors[rows])
        if number % RUNS_AT_ONCE == 0:
            forget(vectors)


def _read(table: Path, header: Sequence[str]) -> tuple[Peaks, Array]:
    """Peaks without their vectors, and (N, extra columns) cluster labels."""
    image, utt_a, utt_b = ids = [], [], []  # type: tuple[list[str], list[str], list[str]]
    numbers, labels = [], []
    for line, cells in read_tsv(table, header):
        for column, cell in zip(ids, cells[:3], strict=True):
            column.append(cell)
        where = f"{table}:{line}"
        row = [parse_number(cell, where, "cell") for cell in cells[3 : 3 + len(_TIMES)]]
        known = cells[3 + len(_TIMES) : len(_FOUND)]
        numbers.append(row + [np.nan if cell == "-" else parse_number(cell, where, "cell") for cell in known])
        labels.append([DROPPED if cell == "-" else int(cell) for cell in cells[len(_FOUND) :]])
    values = np.array(numbers).reshape(-1, len(_TIMES) + len(PLACES))
    peaks = Peaks(image, utt_a, utt_b, values[:, :3], values[:, 3:6], values[:, 6].astype(np.float32))
    peaks.places_a, peaks.places_b = values[:, 7:11], values[:, 11:]
    return peaks, np.array(labels, np.int64).reshape(len(peaks), len(header) - len(_FOUND))


def _fill_vectors(peaks: Peaks, scps: Sequence[Sequence[Path]], scratch: Path) -> None:
    """Read the vectors of both sides.

    Args:
        peaks: gets them; of a million peaks they would not fit in memory, so they are maps of unnamed files.
        scps: archives of each side, or of side a alone, which together hold every pair of captions.
        scratch: folder for these files.
    """
    if not len(peaks):
        return
    runs = list(_pair_runs(peaks))
    for name, paths in zip(("vectors_a", "vectors_b"), scps, strict=False):
        readers = [ArchiveReader(path) for path in paths]
        home = {key: reader for reader in readers for key in reader}
        shape = (len(peaks), home[runs[0][0]][runs[0][0]].shape[1])
        with tempfile.TemporaryFile(dir=scratch) as file:
            vectors = np.memmap(file, np.float32, mode="w+", shape=shape)
        for number, (key, rows) in enumerate(runs):
            vectors[rows[0] : rows[-1] + 1] = home[key][key]
            if number % RUNS_AT_ONCE == 0:
                forget(vectors)
        setattr(peaks, name, vectors)
