"""Runs: a code that stays the same over several frames, as one symbol with a length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.files import atomic_write
from vgspeech.stats.segmentation import Segments
from vgspeech.units.clock import CodeClock

Array = np.ndarray[Any, np.dtype[Any]]


class Runs(NamedTuple):
    """Runs of one utterance.

    Attributes:
        codes: (R,) int32; neighbours differ, but for pseudo-words, of which one may follow itself.
        lengths: (R,) int32 frames of each.
    """

    codes: Array
    lengths: Array

    @property
    def starts(self) -> Array:
        """(R,) first frame of each run."""
        return np.cumsum(self.lengths) - self.lengths


def collapse(codes: Array) -> Runs:
    """The runs of a sequence of codes (T,)."""
    codes = np.asarray(codes, dtype=np.int32)
    first = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, np.int64)
    return Runs(codes[first], np.diff(np.r_[first, len(codes)]).astype(np.int32))


def expand(runs: Runs) -> Array:
    """The codes (T,) int32 that `collapse` took."""
    return np.repeat(runs.codes, runs.lengths)


def interleave(runs: Runs) -> Array:
    """Runs as archives hold them: (2R,) int32, code and length in turn."""
    return np.stack([runs.codes, runs.lengths], axis=1).reshape(-1).astype(np.int32)


def separate(record: Array) -> Runs:
    """Runs of an archive's record (see `interleave`)."""
    return Runs(record[0::2], record[1::2])


def write_runs(folder: Path, runs: Iterable[tuple[str, Runs]]) -> int:
    """Write ``runs.ark`` and ``runs.scp``: the run-length form of every utterance's codes.

    Returns:
        The number of runs.
    """
    total = 0
    with ArchiveWriter(folder / "runs.ark", folder / "runs.scp") as archive:
        for utt, found in runs:
            archive.write(utt, interleave(found))
            total += len(found.codes)
    return total


def read_runs(folder: Path) -> Iterator[tuple[str, Runs]]:
    """Every utterance and its runs, from ``runs.scp``."""
    for utt, record in ArchiveReader(folder / "runs.scp").items():
        yield utt, separate(record)


def write_codes_of_runs(folder: Path, runs: Iterable[tuple[str, Runs]]) -> tuple[int, int]:
    """Write ``runs.scp`` and ``codes.scp`` of segments that are no mere runs of frames (pseudo-words, events).

    Returns:
        (utterances, segments)
    """
    utterances = segments = 0
    with (
        ArchiveWriter(folder / "runs.ark", folder / "runs.scp") as whole,
        ArchiveWriter(folder / "codes.ark", folder / "codes.scp") as frames,
    ):
        for utt, found in runs:
            whole.write(utt, interleave(found))
            frames.write(utt, expand(found))
            utterances += 1
            segments += len(found.codes)
    return utterances, segments


def run_times(runs: Runs, clock: CodeClock) -> Segments:
    """When runs start and end."""
    return Segments(clock.starts(runs.starts), clock.starts(runs.starts + runs.lengths))


def write_ctm_of_runs(path: Path, runs: Iterable[tuple[str, Runs]], clock: CodeClock) -> None:
    """Write lines ``utterance 1 start duration code`` of every run, as aligners write words (NIST's CTM)."""
    with atomic_write(path) as stream:
        for utt, found in runs:
            starts, ends = (times.tolist() for times in run_times(found, clock))
            for code, start, end in zip(found.codes.tolist(), starts, ends, strict=True):
                stream.write(f"{utt} 1 {start:.4f} {end - start:.4f} {code}\n")
