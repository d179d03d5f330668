"""Retrieval ranks and scores, against a plain restatement, hand cases, and chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vgspeech.config import SimilarityConfig
from vgspeech.errors import DataError
from vgspeech.retrieval import Embedded, evaluate, format_table, stream_ranks
from vgspeech.stats.intervals import percentile_interval, resampled_ratios
from vgspeech.stats.ranks import chance_summary, summarise_ranks

DOT = SimilarityConfig()


def plain_ranks(scores: np.ndarray, rows: list[int], columns: list[int]) -> list[int]:
    """The definition, one query at a time."""
    ranks = []
    for i, row in enumerate(rows):
        right = [scores[i, j] for j, column in enumerate(columns) if column == row]
        wrong = [scores[i, j] for j, column in enumerate(columns) if column != row]
        ranks.append(1 + sum(value >= max(right) for value in wrong) if right else 0)
    return ranks


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_ranks_equal_the_definition_for_any_block(block: int) -> None:
    generator = np.random.default_rng(0)
    rows, columns = generator.integers(0, 12, 30).tolist(), generator.integers(0, 12, 25).tolist()
    scores = generator.integers(0, 6, (30, 25)).astype(np.float32)  # many ties
    matrix = torch.from_numpy(scores)
    found = stream_ranks(lambda r, c: matrix[r][:, c], torch.tensor(rows), torch.tensor(columns), block)
    assert found[0].tolist() == plain_ranks(scores, rows, columns)
    assert found[1].tolist() == plain_ranks(scores.T, columns, rows)


def test_several_captions_an_image_and_none() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.3], [0.7, 0.6, 0.4]])
    captions, images = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])
    of_captions, of_images = stream_ranks(lambda r, c: scores[r][:, c], captions, images)
    assert of_captions.tolist() == [1, 3, 2]
    assert of_images.tolist() == [1, 2, 0]  # image 0 by its best caption; image 2 has none


def test_constant_scores_rank_last() -> None:
    vectors = torch.full((30, 8), 0.37)
    side = Embedded([f"i{n:02}" for n in range(30)], vectors)
    table = evaluate(side, {"en": side, "hi": side}, SimilarityConfig(normalise=True), draws=10)
    assert list(table.directions) == ["en>image", "image>en", "hi>image", "image>hi", "en>hi", "hi>en"]
    for result in table.directions.values():
        assert result.r10 == 0.0 and result.mean == result.median == 30.0


def test_fewer_than_ten_targets() -> None:
    ids = ["a", "b", "c"]
    table = evaluate(Embedded(ids, torch.eye(3)), {"en": Embedded(ids, torch.eye(3))}, DOT, draws=10)
    result = table.directions["en>image"]
    assert (result.r1, result.r10, result.n_targets) == (1.0, 1.0, 3)
    assert result.chance.r1 == pytest.approx(1 / 3) and result.chance.r10 == 1.0


def test_random_vectors_score_at_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = [f"i{n:03}" for n in range(400)]
    images, captions = (Embedded(ids, torch.randn(400, 64, generator=generator)) for _ in range(2))
    result = evaluate(images, {"en": captions}, SimilarityConfig(normalise=True), draws=200).directions["en>image"]
    assert result.chance.r10 == pytest.approx(0.025)
    assert result.r10 < 0.06 and 170 < result.median < 230
    low, high = result.ci95["r10"]
    assert low <= result.r10 <= high and high - low < 0.05


@pytest.mark.parametrize("kind", ["SISA", "MISA", "SIMA"])
def test_all_similarities_agree_with_one_pair_at_a_time(kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    grids = torch.randn(9, 2, 3, 5, generator=generator)
    lengths = torch.tensor([3, 7, 2, 5, 7, 1, 4, 6])
    frames = torch.randn(8, 7, 5, generator=generator)
    caption_images, image_ids = list("abcdeffg"), list("abcdefghi")

    def pair(frame: torch.Tensor, grid: torch.Tensor) -> float:
        dots = frame @ grid.reshape(-1, 5).T
        best = {"SISA": dots.mean(), "MISA": dots.amax(1).mean(), "SIMA": dots.amax(0).mean()}
        return float(best[kind])

    scores = np.array([[pair(f[:n], g) for g in grids] for f, n in zip(frames, lengths, strict=True)])
    labels = {name: n for n, name in enumerate(image_ids)}
    expected = plain_ranks(scores, [labels[i] for i in caption_images], list(range(9)))

    pooled = torch.stack([f[:n].mean(0) for f, n in zip(frames, lengths, strict=True)])
    images = Embedded(image_ids, grids.mean((1, 2)), lambda rows: grids[rows])
    captions = Embedded(caption_images, pooled, lambda rows: (frames[rows], lengths[rows]))
    for block in (2, 100):
        result = evaluate(images, {"en": captions}, SimilarityConfig(type=kind), draws=0, block=block)
        assert result.directions["en>image"].mean == pytest.approx(np.mean(expected))


def test_scores_do_not_depend_on_the_block() -> None:
    generator = torch.Generator().manual_seed(2)
    ids = [f"i{n:03}" for n in range(300)]
    images = Embedded(ids, torch.randn(300, 32, generator=generator))
    captions = Embedded(ids * 2, torch.randn(600, 32, generator=generator))
    tables = [evaluate(images, {"en": captions}, DOT, draws=5, block=block) for block in (7, 64, 4096)]
    assert tables[0] == tables[1] == tables[2]


def test_what_is_refused() -> None:
    ids = ["a", "b"]
    with pytest.raises(DataError, match="not finite"):
        evaluate(Embedded(ids, torch.eye(2) * torch.nan), {"en": Embedded(ids, torch.eye(2))}, DOT)
    with pytest.raises(DataError, match="more than once"):
        evaluate(Embedded(["a", "a"], torch.eye(2)), {"en": Embedded(ids, torch.eye(2))}, DOT)
    with pytest.raises(DataError, match="no common image"):
        evaluate(Embedded(["c", "d"], torch.eye(2)), {"en": Embedded(ids, torch.eye(2))}, DOT)


def test_languages_may_cover_different_images() -> None:
    images = Embedded(["a", "b", "c"], torch.eye(3))
    english = Embedded(["a", "b"], torch.eye(3)[:2])
    hindi = Embedded(["b", "c", "c"], torch.eye(3)[[1, 2, 2]])
    table = evaluate(images, {"en": english, "hi": hindi}, DOT, draws=20)
    assert {name: (r.n_queries, r.n_targets) for name, r in table.directions.items()} == {
        "en>image": (2, 3), "image>en": (2, 2), "hi>image": (3, 3), "image>hi": (2, 3), "en>hi": (1, 3), "hi>en": (1, 2),
    }  # fmt: skip
    assert table.mean["r1"] == 1.0
    assert "en > image" in format_table(table) and len(format_table(table).splitlines()) == 8


def test_chance_is_what_shuffling_gives() -> None:
    generator = np.random.default_rng(3)
    counts = np.array([1, 2, 5] * 2000)
    ranks = []
    for m in counts:
        order = generator.permutation(23)
        ranks.append(1 + order[:m].min())
    chance, seen = chance_summary(counts, 23), summarise_ranks(np.array(ranks))
    assert chance.r1 == pytest.approx((1 + 2 + 5) / 3 / 23)
    for name in ("r5", "r10", "mrr"):
        assert getattr(chance, name) == pytest.approx(getattr(seen, name), abs=0.02)
    assert chance.mean == pytest.approx(seen.mean, abs=0.3) and abs(chance.median - seen.median) <= 1
    assert chance_summary(np.array([1]), 400).mean == pytest.approx(200.5)


def test_interval_covers_binomial_spread_and_draws_whole_groups() -> None:
    hits = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    single = resampled_ratios(hits[None], np.ones((1, 400)), draws=500, seed=1)
    low, high = percentile_interval(single[:, 0])
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 400), rel=0.2)
    grouped = resampled_ratios(5 * hits[None], np.full((1, 400), 5.0), draws=500, seed=1)
    np.testing.assert_allclose(grouped, single)  # five equal captions of one image tell no more than one
