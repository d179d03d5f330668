"""ABX errors: against fastabx, by a plain loop, at 0 and 50 %; item files, warping, bitrates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from abx_case import FREQUENCY, case
from vgspeech.datadir import Word
from vgspeech.errors import DataError, UsageError
from vgspeech.stats.kmeans import unit_rows
from vgspeech.units.abx import MODES, abx_errors, item_frames, plan, tokens_of
from vgspeech.units.abx_items import Item, read_items, triphone_items, write_items
from vgspeech.units.bitrate import bitrates
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import Runs
from vgspeech.units.warping import Metric, PairDistances, prepared

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "abx_fastabx.json").read_text())
CLOCK = CodeClock(1 / FREQUENCY, 0.5 / FREQUENCY)
FRAME_METRICS: tuple[Metric, ...] = ("angular", "euclidean", "kl")


def errors(items: list[Item], features: dict[str, np.ndarray], metric: Metric) -> dict[str, float]:
    contexts = plan(items, MODES)
    found = abx_errors(contexts, tokens_of(items, contexts, features, CLOCK, metric), metric)
    return {mode: result["error"] for mode, result in found.items()}


@pytest.mark.parametrize("metric", FRAME_METRICS)
def test_errors_equal_those_of_fastabx(metric: Metric) -> None:
    found = errors(*case(positive=metric == "kl"), metric)
    assert found == pytest.approx(GOLDEN[metric], abs=1e-6)
    assert all(0.05 < error < 0.7 for error in found.values())


@pytest.mark.fastabx
@pytest.mark.parametrize("metric", FRAME_METRICS)
def test_fastabx_still_gives_the_stored_values(metric: Metric, tmp_path: Path) -> None:
    python = fastabx_python(Path(os.environ["VGS_FASTABX"]))
    items, features = case(positive=metric == "kl")
    write_items(tmp_path / "case.item", items)
    np.savez(tmp_path / "case.npz", **features)  # type: ignore[arg-type]
    command = [python, ROOT / "tests/helpers/fastabx_scores.py", tmp_path / "case.item", tmp_path / "case.npz"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    printed = subprocess.run(
        [*map(str, command), str(FREQUENCY), metric], check=True, capture_output=True, text=True, env=environment
    )
    theirs = {mode: result["error"] for mode, result in json.loads(printed.stdout).items()}
    assert theirs == pytest.approx(GOLDEN[metric], abs=1e-6)
    assert errors(items, features, metric) == pytest.approx(theirs, abs=1e-6)


def fastabx_python(folder: Path) -> Path:
    """The Python of an environment with fastabx, which is made when it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        base = next((found for name in ("python3.12", "python3.13") if (found := shutil.which(name))), None)
        if base is None:
            pytest.skip("fastabx needs Python 3.12 or newer")
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "fastabx"], check=True)
    return python


def plain_dtw(x: np.ndarray, y: np.ndarray) -> float:
    """Angular warping as the ZeroSpeech tools write it: a table of costs, then the path back."""
    local = np.arccos(np.clip(unit_rows(x) @ unit_rows(y).T, -1, 1)) / np.pi
    n, m = local.shape
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0
    for i in range(n):
        for j in range(m):
            cost[i + 1, j + 1] = local[i, j] + min(cost[i, j + 1], cost[i + 1, j], cost[i, j])
    i, j, steps = n, m, 1
    while (i, j) != (1, 1):
        moves = [
            (cost[i - 1, j - 1], -2, (i - 1, j - 1)),
            (cost[i, j - 1], -1, (i, j - 1)),
            (cost[i - 1, j], 0, (i - 1, j)),
        ]
        i, j = min(moves)[2]
        steps += 1
    return cost[n, m] / steps


def plain_edits(x: list[int], y: list[int]) -> float:
    table = np.arange(len(y) + 1)
    for i, a in enumerate(x, start=1):
        last, table = table, np.r_[i, np.zeros(len(y), int)]
        for j, b in enumerate(y, start=1):
            table[j] = min(table[j - 1] + 1, last[j] + 1, last[j - 1] + (a != b))
    return table[-1] / max(len(x), len(y))


def test_batched_distances_equal_plain_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgspeech.units.warping._BATCH_PAIRS", 16)
    monkeypatch.setattr("vgspeech.units.warping._LOCAL_LIMIT", 2000)
    random = np.random.default_rng(0)
    tokens = [random.standard_normal((int(n), 5)) for n in random.integers(1, 12, 24)]
    codes = [random.integers(0, 3, int(n)) for n in random.integers(1, 12, 24)]
    for metric, sequences in (("angular", tokens), ("levenshtein", codes)):
        pairs = PairDistances(metric)  # type: ignore[arg-type]
        wanted = random.random((24, 24)) < 0.5
        matrix = pairs.add([prepared(x, metric) for x in sequences], wanted)  # type: ignore[arg-type]
        pairs.finish()
        for i, j in zip(*np.nonzero(np.triu(wanted | wanted.T, 1)), strict=True):
            plain = plain_dtw(tokens[i], tokens[j]) if metric == "angular" else plain_edits(codes[i], codes[j])
            assert matrix[i, j] == matrix[j, i] == pytest.approx(plain, abs=1e-5)


def test_separable_features_have_no_error_and_random_ones_are_at_chance() -> None:
    items, features = case()
    separable = {name: np.zeros((len(matrix), 4), np.float32) for name, matrix in features.items()}
    codes = {name: np.zeros(len(matrix), np.int32) for name, matrix in features.items()}
    for item in items:
        frames = slice(round(FREQUENCY * item.onset_s), round(FREQUENCY * item.offset_s))
        separable[item.file][frames, int(item.phone[1:])] = 1
        codes[item.file][frames] = int(item.phone[1:])
    assert errors(items, separable, "angular") == {"within": 0, "across": 0}
    assert errors(items, codes, "levenshtein") == {"within": 0, "across": 0}
    random = np.random.default_rng(0)
    noise = {name: random.standard_normal(matrix.shape) for name, matrix in features.items()}
    dice = {name: random.integers(0, 50, len(matrix)) for name, matrix in features.items()}
    same = {name: np.ones_like(matrix) for name, matrix in features.items()}
    for found in (errors(items, noise, "angular"), errors(items, dice, "levenshtein")):
        assert all(abs(error - 0.5) < 0.06 for error in found.values())
    assert errors(items, same, "angular") == {"within": 0.5, "across": 0.5}


def test_limits_draw_the_same_sounds_whatever_their_order() -> None:
    items, _ = case()
    few = plan(items, MODES, max_size_group=2, max_x_across=1)
    assert all(len(trial.a) <= 2 and len(trial.x) == 1 for context in few for trial in context.trials)
    backwards = items[::-1]
    again = plan(backwards, MODES, max_size_group=2, max_x_across=1)
    assert {items[i] for context in few for i in context.items} == {
        backwards[i] for context in again for i in context.items
    }
    with pytest.raises(DataError, match="no two sounds"):
        plan(items[:1], MODES)


def test_item_files_are_read_as_they_are_and_errors_name_the_line(tmp_path: Path) -> None:
    items, _ = case()
    write_items(tmp_path / "a.item", items)
    assert read_items(tmp_path / "a.item") == items
    text = "#file onset offset #phone prev-phone next-phone speaker\nf 0.5 0.4 a b c s\n"
    (tmp_path / "b.item").write_text(text)
    with pytest.raises(DataError, match=r"b.item:2: onset 0.5 and offset 0.4"):
        read_items(tmp_path / "b.item")
    (tmp_path / "c.item").write_text("#file onset offset\n")
    with pytest.raises(DataError, match="the header lacks #phone"):
        read_items(tmp_path / "c.item")


def test_triphones_do_not_span_pauses() -> None:
    said = [Word(0, 0.1, "a"), Word(0.1, 0.2, "b"), Word(0.2, 0.3, "c"), Word(0.5, 0.6, "d"), Word(0.6, 0.7, "e")]
    assert triphone_items({"u": said}, {"u": "s"}) == [Item("u", 0, 0.3, "b", "a", "c", "s")]


def test_frames_of_an_item_have_their_centres_in_it() -> None:
    frames = np.arange(10)
    item = Item("f", 0.1, 0.35, "b", "a", "c", "s")
    assert item_frames(item, frames, CodeClock(0.1, 0.05)).tolist() == [1, 2, 3]  # .15, .25 and, just, .35
    assert item_frames(item._replace(onset_s=0.12, offset_s=0.13), frames, CodeClock(0.1, 0.05)).tolist() == [1]
    assert item_frames(item._replace(onset_s=5, offset_s=6), frames, CodeClock(0.1, 0.05)).tolist() == [9]


def test_kl_refuses_what_are_no_probabilities() -> None:
    with pytest.raises(UsageError, match="probabilities"):
        prepared(np.ones((3, 4)), "kl")


def test_bitrates_by_hand() -> None:
    # 1 1 1 1 1 3 3 2 3 3 2 2 at 0.1 s: the example of the run-length evaluation
    found = bitrates([Runs(np.array([1, 3, 2, 3, 2]), np.array([5, 2, 1, 2, 2]))], 0.1)
    frames = np.array([5, 4, 3]) / 12
    assert found["frame"] == pytest.approx(-(frames * np.log2(frames)).sum() / 0.1)
    of_code = -(np.array([1, 2, 2]) / 5 * np.log2(np.array([1, 2, 2]) / 5)).sum()
    of_length = -(np.array([1, 3, 1]) / 5 * np.log2(np.array([1, 3, 1]) / 5)).sum()
    pairs = np.array([1, 2, 1, 1]) / 5
    assert found["segment"] == pytest.approx(5 / 1.2 * of_code)
    assert found["rle_factored"] == pytest.approx(5 / 1.2 * (of_code + of_length))
    assert found["rle"] == pytest.approx(5 / 1.2 * -(pairs * np.log2(pairs)).sum())
    assert bitrates([], 0.1)["frame"] == 0
