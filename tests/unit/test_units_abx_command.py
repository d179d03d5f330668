"""The command of ABX errors: layers beside the features, folders of codes, repeated codes collapsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abx_case import DIM, FREQUENCY, case
from test_units_layers import config, write_inputs
from vgspeech.bin import score_abx
from vgspeech.errors import DataError
from vgspeech.files import read_json, write_json
from vgspeech.units.abx_items import write_items
from vgspeech.units.codes import write_codes

ORDERS = ((0, 1), (1, 0), (0, 1, 0), (1, 0, 1))


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A model, its features, and items of a file."""
    items, features = case()
    wide = {name: np.pad(matrix, ((0, 0), (0, 40 - DIM))) for name, matrix in features.items()}
    named = write_inputs(tmp_path, config((2,)), wide)
    write_items(tmp_path / "case.item", items)
    options = [named[0], named[1], *named[4:], "--language", "en", "--items", tmp_path / "case.item"]
    return [*map(str, options), str(tmp_path / "out")]


def write_units(folder: Path) -> Path:
    """Two codes, in an order that tells the phone, each held for as long as chance has it."""
    items, features = case()
    random = np.random.default_rng(1)
    codes = {name: np.zeros(len(matrix), np.int32) for name, matrix in features.items()}
    for item in items:
        first, last = round(FREQUENCY * item.onset_s), round(FREQUENCY * item.offset_s)
        order = ORDERS[int(item.phone[1:])]
        changes = np.sort(random.permutation(np.arange(1, last - first))[: len(order) - 1])
        codes[item.file][first:last] = np.repeat(order, np.diff([0, *changes, last - first]))
    folder.mkdir()
    write_codes(folder, codes.items(), 4)
    times = {"frame_shift_s": 1 / FREQUENCY, "frame_offset_s": 0.5 / FREQUENCY}
    write_json(folder / "codes.json", {"method": "planted", "layer": "order", "num_codes": 4, **times})
    return folder


def rows(monkeypatch: pytest.MonkeyPatch, arguments: list[str], *options: str) -> dict[str, dict[str, Any]]:
    monkeypatch.setattr("sys.argv", ["score_abx", *options, *arguments])
    score_abx.main()
    return {row["layer"]: row for row in read_json(Path(arguments[-1]) / "abx.json")["layers"]}


def test_all_layers_stand_beside_the_features(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(monkeypatch, arguments)
    assert list(found) == ["logmel", "stem", "codes2", "stage1", "stage2", "output"]
    assert found["logmel"]["metric"] == "angular" and found["codes2"]["metric"] == "levenshtein"
    assert 0 < found["logmel"]["within"] < 0.2 and found["codes2"]["bitrates"]["frame"] > 0
    table = (Path(arguments[-1]) / "abx.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in table] == ["layer", *found]


def test_units_are_scored_and_segments_forget_how_long_a_code_is_held(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = ["--layers", "logmel", "--units", str(write_units(tmp_path / "units"))]
    frames = rows(monkeypatch, arguments, *units)
    assert list(frames) == ["logmel", "planted 4 of order"]
    assert frames["planted 4 of order"]["across"] > 0.02 and frames["planted 4 of order"]["metric"] == "levenshtein"
    segments = rows(monkeypatch, arguments, *units, "--segments")
    assert segments["planted 4 of order"]["across"] == segments["planted 4 of order"]["within"] == 0
    assert segments["logmel"] == frames["logmel"]
    assert segments["planted 4 of order"]["bitrates"] == frames["planted 4 of order"]["bitrates"]


def test_units_of_another_split_are_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_units(tmp_path / "units")
    write_codes(folder, [("elsewhere", np.zeros(9, np.int32))], 4)
    with pytest.raises((DataError, KeyError), match="file00"):
        rows(monkeypatch, arguments, "--layers", "logmel", "--units", str(folder))
