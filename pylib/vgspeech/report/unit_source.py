"""What the page of units reads: folders of codes of one split, of several layers or models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vgspeech.archive import ArchiveReader
from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.tables import Row, read_rows
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import read_runs, run_times, separate

Array = np.ndarray[Any, np.dtype[Any]]


class Stretch(NamedTuple):
    """A code that sounds in an utterance from ``start_s`` to ``end_s``."""

    utt: str
    code: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class UnitFolder:
    """A folder that steps/dump_codes.sh (or another step that makes units) wrote, and what was scored of it.

    Attributes:
        name: how the page calls it.
        path: the folder.
    """

    name: str
    path: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """``codes.json``.

        Raises:
            DataError: no such file.
        """
        if not (self.path / "codes.json").exists():
            raise DataError("no codes", where=str(self.path), hint="write them first (steps/dump_codes.sh)")
        return dict(read_json(self.path / "codes.json"))

    @property
    def clock(self) -> CodeClock:
        """When frames are."""
        return CodeClock.of(self.about)

    @cached_property
    def scores(self) -> dict[str, Any]:
        """``scores.json`` of the word detectors; empty where they were not scored."""
        path = self.path / "scores.json"
        return dict(read_json(path)) if path.exists() else {}

    @cached_property
    def segmentation(self) -> dict[str, Any]:
        """``segmentation.json``; empty where it was not scored."""
        path = self.path / "segmentation.json"
        return dict(read_json(path)) if path.exists() else {}

    @cached_property
    def detectors(self) -> list[Row]:
        """Rows of ``word_detectors.tsv``, best first; none where they were not scored."""
        path = self.path / "word_detectors.tsv"
        return read_rows(path) if path.exists() else []

    def words(self) -> dict[str, tuple[float, str]]:
        """Word -> F1 in percent and code of its best detector, of the two best words of every code."""
        best: dict[str, tuple[float, str]] = {}
        for row in self.detectors:
            for prefix in ("", "second_"):
                word, f1 = row[f"{prefix}word"], row[f"{prefix}F1"]
                if word != "-" and float(f1) > best.get(word, (-1.0, ""))[0]:
                    best[word] = (float(f1), row["code"])
        return best

    def frames_of_codes(self) -> Array:
        """(codes,) frames of every code; 0 for a dead one."""
        counts = np.zeros(int(self.about["num_codes"]), np.int64)
        for _, runs in read_runs(self.path):
            np.add.at(counts, runs.codes, runs.lengths)
        return counts

    def stretches(self, utt: str) -> list[Stretch]:
        """The runs of an utterance; none when it has no codes."""
        reader = ArchiveReader(self.path / "runs.scp")
        return list(self._stretches(utt, reader[utt])) if utt in reader else []

    def _stretches(self, utt: str, record: Array) -> Iterator[Stretch]:
        runs = separate(record)
        times = run_times(runs, self.clock)
        for code, start, end in zip(runs.codes.tolist(), times.starts.tolist(), times.ends.tolist(), strict=True):
            yield Stretch(utt, code, start, end)

    def examples(self, codes: Collection[int], speaker_of: Mapping[str, str], most: int) -> dict[int, list[Stretch]]:
        """The longest stretches of some codes, one a speaker, ``most`` at the most of every code.

        Args:
            codes: which.
            speaker_of: utterances that may be shown -> speaker.
            most: stretches of each code.
        """
        longest: dict[int, dict[str, Stretch]] = {code: {} for code in codes}
        for utt, record in ArchiveReader(self.path / "runs.scp").items():
            if utt not in speaker_of:
                continue
            for one in self._stretches(utt, record):
                if one.code in longest:
                    held = longest[one.code].get(speaker_of[utt])
                    if held is None or one.end_s - one.start_s > held.end_s - held.start_s:
                        longest[one.code][speaker_of[utt]] = one
        return {
            code: sorted(found.values(), key=lambda s: (s.start_s - s.end_s, s.utt))[:most]
            for code, found in longest.items()
        }
