"""Word detectors of two kinds of units side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgspeech.bin import compare_units
from vgspeech.errors import DataError
from vgspeech.files import read_json, write_json

SCORES = {
    "language": "en",
    "layer": "codes3",
    "method": "quantiser",
    "num_codes": 8,
    "captions": 20,
    "stop_words": 18,
    "min_occurrences": 5,
    "precision": "frame",
    "mean_f1_of_top_words": 0.7,
    "codes_used": 8,
}


def folders(tmp_path: Path, words: tuple[int, int], **changes: object) -> list[str]:
    for name, count, extra in (("a", words[0], {}), ("b", words[1], {"method": "k-means", **changes})):
        write_json(tmp_path / name / "scores.json", {**SCORES, "words_with_f1_at_least_0.5": count, **extra})
    return ["compare_units", *(str(tmp_path / name) for name in ("a", "b", "out"))]


def test_both_counts_are_printed_and_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", folders(tmp_path, (3, 4)))
    compare_units.main()
    assert "3 words with F1 >= .5 by quantiser (8 codes, codes3), 4 words" in capsys.readouterr().out
    found = read_json(tmp_path / "out/comparison.json")
    assert found["ratio"] == 0.75 and [unit["method"] for unit in found["units"]] == ["quantiser", "k-means"]


def test_nothing_to_compare_with_has_no_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", folders(tmp_path, (3, 0)))
    compare_units.main()
    assert read_json(tmp_path / "out/comparison.json")["ratio"] is None


def test_scores_by_other_rules_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", folders(tmp_path, (3, 4), captions=21))
    with pytest.raises(DataError, match="captions is 20 there, 21 in"):
        compare_units.main()
