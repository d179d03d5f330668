"""The colours-only oracle, dynamic time warping, and how baselines are ranked."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from planted_corpus import Planted, make_planted
from vgspeech.baselines.colours import colour_scores, named_colours
from vgspeech.baselines.dtw import dtw_costs, dtw_features
from vgspeech.baselines.ranking import score_pair
from vgspeech.baselines.score import EvaluatedSplit, score_baselines
from vgspeech.files import read_json, write_json


def plain_dtw(a: np.ndarray, b: np.ndarray) -> float:
    """The recursion, cell by cell."""
    local = 1 - a @ b.T
    total = np.full(local.shape, np.inf)
    for i, j in np.ndindex(*local.shape):
        steps = [2 * local[0, 0]] if i == j == 0 else []
        steps += [total[i - 1, j] + local[i, j]] if i else []
        steps += [total[i, j - 1] + local[i, j]] if j else []
        steps += [total[i - 1, j - 1] + 2 * local[i, j]] if i and j else []
        total[i, j] = min(steps)
    return float(total[-1, -1] / sum(local.shape))


def random_caption(rng: np.random.Generator, shortest: int, longest: int) -> np.ndarray:
    return dtw_features(rng.normal(size=(rng.integers(shortest, longest), 12)))


def test_dtw_equals_the_plain_recursion() -> None:
    rng = np.random.default_rng(0)
    queries = [random_caption(rng, 1, 60) for _ in range(4)]
    targets = [random_caption(rng, 1, 90) for _ in range(70)]  # more than one block
    expected = [[plain_dtw(a, b) for b in targets] for a in queries]
    assert dtw_costs(queries, targets) == pytest.approx(np.array(expected), abs=1e-5)


def test_dtw_finds_the_same_caption_said_slower() -> None:
    rng = np.random.default_rng(1)
    captions = [np.repeat(rng.normal(size=(9, 12)), 8, axis=0) for _ in range(6)]
    slower = [np.repeat(caption, 2, axis=0) for caption in captions]
    costs = dtw_costs([dtw_features(x) for x in captions], [dtw_features(x) for x in slower])
    assert costs.argmin(axis=1).tolist() == list(range(6))
    assert np.abs(costs.diagonal()).max() < 1e-5


def test_dtw_features_average_frames_and_ignore_level() -> None:
    mel = np.random.default_rng(2).normal(size=(10, 5))
    assert dtw_features(mel).shape == (3, 5)
    assert dtw_features(mel) == pytest.approx(dtw_features(3 * mel + 7), abs=1e-4)
    assert np.linalg.norm(dtw_features(mel), axis=1) == pytest.approx(1, abs=1e-5)


def test_colour_scores_are_the_overlap_of_multisets() -> None:
    bags = [Counter(["red", "red"]), Counter(["red", "blue"]), Counter()]
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]
    assert colour_scores(bags, bags) == pytest.approx(np.array(expected))
    assert colour_scores([Counter()], [Counter()]).tolist() == [[0]]


def test_named_colours_counts_colours_and_nothing_else() -> None:
    meaning = {"red": {"red"}, "crimson": {"red"}, "cat": {"cat"}}
    bag = named_colours(["a", "red", "cat", "crimson"], lambda word: meaning.get(word, set()), {"red", "blue"})
    assert bag == Counter({"red": 2})


def test_ranking_counts_ties_against_the_scores_and_says_what_random_ties_give() -> None:
    images = [f"i{k}" for k in range(40)]
    constant = score_pair(("en", "hi"), np.zeros((40, 40)), (images, images))
    assert constant["en>hi"]["r10"] == 0.0 and constant["en>hi"]["median"] == 40
    assert constant["en>hi"]["r10_random_ties"] == pytest.approx(0.25)
    perfect = score_pair(("en", "hi"), np.eye(40), (images, images))
    assert perfect["hi>en"]["r1"] == 1.0 and perfect["hi>en"]["r10_random_ties"] == 1.0
    assert perfect["hi>en"]["chance_r10"] == pytest.approx(0.25)


def test_ranking_takes_the_image_and_not_the_place() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.8]])
    result = score_pair(("image", "en"), scores, (["a", "b"], ["a", "a", "b"]))
    assert result["image>en"]["r1"] == 1.0
    assert result["en>image"]["n_queries"] == 3


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.chdir(tmp_path)
    return make_planted(Path())


def test_all_baselines_of_a_split(planted: Planted) -> None:
    split = EvaluatedSplit.load(planted.embed, planted.data, "test")
    result = score_baselines(split, planted.embed, 6)
    assert set(result) == {"split", "untrained", "colours_only", "dtw", "missing"} and not result["missing"]
    assert len(result["untrained"]["directions"]) == len(result["colours_only"]["directions"]) == 6
    # Three scenes share each colour: the right one is third, ties counting against it.
    assert all(d["median"] == 3 and d["r1"] == 0 for d in result["colours_only"]["directions"].values())
    assert set(result["dtw"]["directions"]) == {"en>hi", "hi>en"}
    assert result["dtw"]["directions"]["en>hi"]["n_queries"] == 6


def test_what_the_corpus_does_not_have_is_said(planted: Planted) -> None:
    (planted.data / "lexicon.tsv").unlink()
    shutil.rmtree(planted.data / "speech/test_hi")
    settings = read_json(planted.embed / "embed.json")
    for key in ("frame_shift_s", "frame_offset_s"):
        del settings[key]["hi"]
    write_json(planted.embed / "embed.json", settings)
    result = score_baselines(EvaluatedSplit.load(planted.embed, planted.data, "test"), None, 6)
    assert set(result["missing"]) == {"untrained", "colours_only", "dtw"}
    assert "two languages" in result["missing"]["dtw"]
