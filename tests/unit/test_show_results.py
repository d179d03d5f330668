"""Results of a work directory as a table, and two models compared: the bootstrap's p keeps what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from micro_corpus import micro_config
from vgspeech.bin import show_results
from vgspeech.config import SimilarityConfig, save_config
from vgspeech.errors import DataError, UsageError
from vgspeech.files import write_json
from vgspeech.report.comparison import compare_models
from vgspeech.report.results_table import find_models, result_rows
from vgspeech.retrieval import Embedded, evaluate, ranks_of_queries
from vgspeech.stats.comparison import SCORES, compare_ranks
from vgspeech.stats.rank_files import RankedQuery, RanksByDirection, read_ranks, write_ranks

IMAGES = [f"image{n}" for n in range(40)]


def random_ranks(generator: np.random.Generator, difficulty: np.ndarray, worse: float = 0.0) -> RanksByDirection:
    """Two directions of a model: harder images rank lower in both, and a model may be worse than others."""
    size = len(difficulty)
    return {
        direction: {
            f"q{n}": RankedQuery(f"i{n}", rank)
            for n, rank in enumerate(np.ceil(np.exp(difficulty + worse + 0.7 * generator.normal(size=size))).astype(int).clip(1))
        }
        for direction in ("en>image", "image>en")
    }  # fmt: skip


def test_p_of_equally_good_models_is_uniform() -> None:
    found = []
    for trial in range(150):
        generator = np.random.default_rng(trial)
        difficulty = 0.8 + 1.2 * generator.normal(size=200)
        a, b = (random_ranks(generator, difficulty) for _ in range(2))
        found.append([one.p for one in compare_ranks(a, b, draws=200, seed=trial)[: len(SCORES)]])
    p = np.array(found)
    # A share s of 150 has a standard deviation of sqrt(s (1 - s) / 150): 0.018 at 0.05, 0.041 at 0.5.
    assert np.all((p < 0.05).mean(0) < 0.05 + 4 * 0.018)
    assert np.all(np.abs((p < 0.5).mean(0) - 0.5) < 4 * 0.041)
    assert np.all((p > 0.9).mean(0) > 0.01)


def test_p_of_a_better_model_is_small_and_its_sign_right() -> None:
    generator = np.random.default_rng(0)
    difficulty = 0.8 + 1.2 * generator.normal(size=200)
    a, b = random_ranks(generator, difficulty), random_ranks(generator, difficulty, worse=0.5)
    for one in compare_ranks(a, b, draws=500)[: len(SCORES)]:
        assert one.direction == "mean" and one.difference > 0 and one.p < 0.01 and one.interval[0] > 0
    for one, other in zip(compare_ranks(a, b, draws=500), compare_ranks(b, a, draws=500), strict=True):
        assert one.difference == pytest.approx(-other.difference) and one.p == other.p
    assert all(one.p == 1 and one.difference == 0 for one in compare_ranks(a, a, draws=50))


def test_captions_of_one_image_are_drawn_together() -> None:
    """Ten captions of one image are one observation: the interval is as wide as with one caption an image."""
    generator = np.random.default_rng(1)
    one_a, one_b = (generator.integers(1, 20, 30) for _ in range(2))

    def ranks(values: np.ndarray, copies: int) -> RanksByDirection:
        return {
            "en>image": {f"q{n}-{k}": RankedQuery(f"i{n}", int(r)) for n, r in enumerate(values) for k in range(copies)}
        }

    once, tenfold = (compare_ranks(ranks(one_a, copies), ranks(one_b, copies), draws=300) for copies in (1, 10))
    assert [one.interval for one in once] == [pytest.approx(one.interval) for one in tenfold]
    assert [one.p for one in once] == [one.p for one in tenfold]


def test_different_queries_are_refused() -> None:
    a = {"en>image": {"q1": RankedQuery("i1", 1), "q2": RankedQuery("i2", 3)}}
    with pytest.raises(DataError, match="1 queries of en>image were put to the first model only, such as 'q2'"):
        compare_ranks(a, {"en>image": {"q1": RankedQuery("i1", 1)}})
    with pytest.raises(DataError, match="query 'q2' belongs to image 'i2' in one and to 'i9'"):
        compare_ranks(a, {"en>image": {"q1": RankedQuery("i1", 1), "q2": RankedQuery("i9", 3)}})
    with pytest.raises(DataError, match="no direction in common"):
        compare_ranks(a, {"hi>image": a["en>image"]})


def test_ranks_file(tmp_path: Path) -> None:
    ranks = {"en>image": {"u1": RankedQuery("a", 2)}, "image>en": {"a": RankedQuery("a", 1)}}
    write_ranks(tmp_path / "ranks.tsv", ranks)
    assert read_ranks(tmp_path / "ranks.tsv") == ranks
    good = (tmp_path / "ranks.tsv").read_text()
    for line, message in (("en>image\tu1\ta\t2\n", "two lines"), ("en>image\tu2\ta\t0\n", "not a whole number"),
                          ("en>image\tu2\ta\n", "expected 4 cells")):  # fmt: skip
        (tmp_path / "ranks.tsv").write_text(good + line)
        with pytest.raises(DataError, match=rf"ranks.tsv:4: .*{message}"):
            read_ranks(tmp_path / "ranks.tsv")


def write_results(model: Path, noise: float, images: list[str] = IMAGES, split: str = "test") -> None:
    """Retrieval results of captions that are their images' vectors and noise."""
    generator = torch.Generator().manual_seed(int(1000 * noise))
    vectors = torch.randn(len(IMAGES), 12, generator=torch.Generator().manual_seed(0))[: len(images)]
    spoken = vectors + noise * torch.randn(vectors.shape, generator=generator)
    shown, captions = Embedded(images, vectors), {"en": Embedded(images, spoken, None, [f"u-{i}" for i in images])}
    table = evaluate(shown, captions, SimilarityConfig(normalise=True), draws=0)
    folder = model / "eval/mini" / split / "retrieval"
    write_ranks(folder / "ranks.tsv", ranks_of_queries(table, shown, captions))
    write_json(folder / "results.json", table.as_dict())


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two trained models, one of them with a lexicon and word detectors, one that is still in training, and one applied."""
    monkeypatch.chdir(tmp_path)
    for name in ("good", "poor", "young"):
        save_config(micro_config(), Path("exp") / name / "config.yaml")
    for name, noise in (("good", 0.3), ("poor", 1.5), ("elsewhere_applied", 1.0)):
        write_results(Path("exp") / name, noise)
    write_results(Path("exp/good"), 0.5, split="test_unseen")
    lines = [{"epoch": epoch, "loss": 1.0, "seconds": 30.0} for epoch in (1, 2, 3)]
    Path("exp/good/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    torch.save({"a": torch.zeros(10, 5), "b": torch.zeros(7)}, "exp/good/best.pt")
    write_json(
        "exp/good/lexicon/mini/en-hi/scores.json",
        {"links": {"significant": 9}, "truth": {"concepts": {"found": 7, "of": 8}}},
    )
    write_json(
        "exp/poor/lexicon/mini/en/scores.json",
        {"words": {"significant": 6}, "truth": {"concepts": {"found": 5, "found_significant": 4, "of": 8}}},
    )
    for language, words in (("en", 4), ("hi", 5)):
        write_json(f"exp/good/eval/mini/train/units/{language}/scores.json", {"words_with_f1_at_least_0.5": words})
    inputs = {"/somewhere/conf/small.yaml": "sha256:0", "data/mini/x.scp": "sha256:1"}
    write_json("exp/good/.stages/04-train.json", {"inputs": inputs, "options": {"set": "loss.scale=3", "seed": "3"}})
    Path("exp/notes").mkdir()
    return tmp_path


def test_a_row_for_each_model(work: Path) -> None:
    rows = {row.model: row for row in result_rows(find_models([Path("exp")]))}
    assert list(rows) == ["elsewhere_applied", "good", "poor", "young"]
    good = rows["good"]
    assert (good.tested_on, good.words, good.links, good.concepts) == ("mini/test", 9, 9, (7, 8))
    assert (good.epochs, good.train_seconds, good.weights, good.seed) == (3, 90.0, 57, 3)
    assert (good.config, good.front_end, good.similarity) == ("small loss.scale=3", "fbank", "SISA unit")
    poor = rows["poor"]
    assert (good.clusters, poor.links, poor.clusters, poor.concepts) == (None, None, 6, (5, 8))
    assert good.r1 > poor.r1 and good.median == 1 and set(good.directions) == {"en>image", "image>en"}
    assert good.r1 == pytest.approx(np.mean([scores["r1"] for scores in good.directions.values()]))
    assert rows["young"].r1 is None and rows["young"].loss == "infonce"
    assert rows["elsewhere_applied"].seed is None and rows["elsewhere_applied"].r10 > 0


def test_splits(work: Path) -> None:
    models = find_models([Path("exp")])
    assert [row.tested_on for row in result_rows(models, "test_unseen")] == ["mini/test_unseen"]
    assert len(result_rows(models, "all")) == 5
    with pytest.raises(UsageError, match=r"no model has .* 'dev' \(there are: test, test_unseen\)"):
        result_rows(models, "dev")
    with pytest.raises(DataError, match="no model and no results in it"):
        find_models([Path("exp/notes")])
    with pytest.raises(DataError, match="no such folder"):
        find_models([Path("exp/none")])


def test_a_damaged_file_is_named(work: Path) -> None:
    Path("exp/good/best.pt").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match=r"exp/good/best.pt: is not a file of weights"):
        result_rows([Path("exp/good")])


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["show_results.py", *arguments])
    show_results.main()
    return capsys.readouterr().out


def test_three_forms_of_the_table(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(capsys, monkeypatch, "exp").splitlines()
    columns = {line[: line.index("mini/test")].strip() for line in text[1:4]}
    assert columns == {"elsewhere_applied", "good", "poor"} and "90.0 s" not in text[2] and "1.5 min" in text[2]
    table = [line.split("\t") for line in shown(capsys, monkeypatch, "--tsv").splitlines()]
    assert {len(row) for row in table} == {len(table[0])}
    by_name = dict(zip(table[0], table[2], strict=True))
    assert by_name["model"] == "good" and by_name["concepts"] == "7/8" and float(by_name["r1"]) <= 1
    rows = json.loads(shown(capsys, monkeypatch, "--json", "exp/good"))
    assert rows[0]["directions"]["en>image"]["n_queries"] == 40


def test_two_models_are_compared(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare_models(Path("exp/good"), Path("exp/poor"), draws=300)
    assert found.tested_on == "mini/test" and found.images == 40 and found.left_out == []
    mean = {one.score: one for one in found.differences if one.direction == "mean"}
    assert mean["r1"].p < 0.01 and mean["r1"].difference > 0.2
    compare = ("--compare", "exp/good", "exp/poor", "--draws", "300", "--seed", "4")
    text = shown(capsys, monkeypatch, *compare)
    assert "300 draws, seed 4" in text and "A: exp/good" in text
    table = [line.split("\t") for line in shown(capsys, monkeypatch, *compare, "--tsv").splitlines()]
    assert table[0][0] == "direction" and len(table) == 1 + 3 * len(SCORES)
    as_json = json.loads(shown(capsys, monkeypatch, *compare, "--json"))
    assert as_json["draws"] == 300 and as_json["differences"][0]["direction"] == "mean"


def test_other_test_sets_are_refused_with_the_reason(work: Path) -> None:
    write_results(Path("exp/fewer"), 0.4, images=IMAGES[:30])
    with pytest.raises(
        DataError, match=r"10 queries of en>image were put to the first model only, such as 'u-image30'"
    ):
        compare_models(Path("exp/good"), Path("exp/fewer"))
    with pytest.raises(
        DataError, match=r"no test set of a split 'test_unseen' in common: exp/good on mini/test, .*; exp/poor"
    ):
        compare_models(Path("exp/good"), Path("exp/poor"), "test_unseen")
    with pytest.raises(DataError, match=r"exp/young on nothing"):
        compare_models(Path("exp/good"), Path("exp/young"))
    results = Path("exp/poor/eval/mini/test/retrieval/results.json")
    about = json.loads(results.read_text())
    about["directions"]["en>image"]["n_targets"] = 41
    write_json(results, about)
    with pytest.raises(DataError, match="searched among 40 targets by one and 41 by the other"):
        compare_models(Path("exp/good"), Path("exp/poor"))
    (results.parent / "ranks.tsv").unlink()
    with pytest.raises(DataError, match="the ranks of the queries were not kept") as error:
        compare_models(Path("exp/good"), Path("exp/poor"))
    assert "--stage retrieval" in str(error.value)


def test_the_table_needs_no_torch(work: Path) -> None:
    code = (
        "import sys; from vgspeech.bin import show_results; show_results.main(); "
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    for arguments in ([], ["--compare", "exp/good", "exp/poor", "--draws", "10"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
