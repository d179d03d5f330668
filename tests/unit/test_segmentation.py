"""Segmentation scores: by hand, at chance, and the R-value's published properties."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vgspeech.bin import score_segmentation as command
from vgspeech.datadir import Word, write_ctm
from vgspeech.files import read_json, write_json
from vgspeech.stats.aligned_words import AlignedWords
from vgspeech.stats.clustering import agreement, contingency, information
from vgspeech.stats.segmentation import Matches, Segments, match_boundaries, match_times, match_tokens
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import Runs, collapse, write_runs
from vgspeech.units.segmentation import score_units, shuffled


def segments(*times: float) -> Segments:
    """Segments without gaps between consecutive times."""
    return Segments(np.array(times[:-1]), np.array(times[1:]))


def test_boundaries_match_one_to_one_within_the_tolerance() -> None:
    reference, found = segments(0, 0.2, 0.5, 1.0), segments(0, 0.19, 0.21, 0.53, 1.0)
    assert match_boundaries(reference, found, 0.02) == Matches(1, 2, 3)
    assert match_boundaries(reference, found, 0.03) == Matches(2, 2, 3)
    assert match_boundaries(reference, segments(0, 1.0), 0.02) == Matches(0, 2, 0)
    # a pairing by nearest neighbour would lose one: 0.10 is nearest to 0.11, which 0.12 needs
    assert match_times(np.array([0.10, 0.12]), np.array([0.085, 0.11]), 0.02) == 2


def test_a_gap_between_words_has_two_boundaries_and_the_last_end_none() -> None:
    words = Segments(np.array([0.1, 0.5]), np.array([0.3, 0.9]))
    assert words.boundaries().tolist() == [0.1, 0.3, 0.5, 0.9]
    assert match_boundaries(words, segments(0, 0.1, 0.3, 0.5, 0.9, 1.2), 0.02) == Matches(3, 3, 3)


def test_tokens_need_both_ends_and_count_once() -> None:
    reference = segments(0, 0.2, 0.5, 1.0)
    assert match_tokens(reference, segments(0, 0.21, 0.5, 0.8, 1.0), 0.02) == Matches(2, 3, 4)
    doubled = Segments(np.array([0.2, 0.2]), np.array([0.5, 0.5]))
    assert match_tokens(reference, doubled, 0.02) == Matches(1, 3, 2)


def test_r_value_and_over_segmentation() -> None:
    perfect = Matches(10, 10, 10)
    assert (perfect.r_value, perfect.over_segmentation, perfect.f1) == (1.0, 0.0, 1.0)
    # Recall 1 with as many false as right boundaries: OS = 1, r1 = 1, r2 = -1/sqrt(2)
    double = Matches(10, 10, 20)
    assert double.over_segmentation == pytest.approx(1.0)
    assert double.over_segmentation == pytest.approx(double.recall / double.precision - 1)
    assert double.r_value == pytest.approx(1 - (1 + 1 / np.sqrt(2)) / 2)
    assert Matches(0, 10, 0).scores()["over_segmentation"] == -1


def test_information_agrees_with_scikit_learn_and_names_its_normaliser() -> None:
    from sklearn.metrics import normalized_mutual_info_score

    random = np.random.default_rng(0)
    clusters, labels = random.integers(0, 9, 400), random.integers(0, 5, 400)
    clusters[:200] = labels[:200]
    names = [f"w{label}" for label in labels]
    found = information(contingency(clusters, names)[0])
    for name, method in (("nmi_mean", "arithmetic"), ("nmi_sqrt", "geometric"), ("nmi_max", "max")):
        assert found[name] == pytest.approx(normalized_mutual_info_score(labels, clusters, average_method=method))
    assert found["purity"] == pytest.approx(agreement(clusters, names)["purity"])
    assert information(np.zeros((0, 0)))["nmi_mean"] == 0


def planted(utterances: int = 80) -> tuple[list[tuple[str, Runs]], dict[str, list[Word]]]:
    """Utterances of eight words on a 20 ms grid, each word one code."""
    random = np.random.default_rng(1)
    runs, said = [], {}
    for i in range(utterances):
        lengths = random.integers(8, 25, 8)
        codes = random.integers(0, 12, 8)
        codes[1:][codes[1:] == codes[:-1]] += 12  # neighbours differ
        ends = 0.02 * np.cumsum(lengths)
        starts = np.r_[0, ends[:-1]]
        said[f"u{i:03d}"] = [Word(a, b, f"w{c}") for a, b, c in zip(starts, ends, codes, strict=True)]
        runs.append((f"u{i:03d}", Runs(codes.astype(np.int32), lengths.astype(np.int32))))
    return runs, said


CLOCK = CodeClock(0.02, 0.01)


def test_perfect_codes_score_one_and_random_codes_at_chance() -> None:
    runs, said = planted()
    words = AlignedWords.of(said)
    perfect = score_units(runs, words, 24, CLOCK, [0.02])
    row = perfect["segmentation"][0]
    assert row["tolerance_s"] == 0.02
    assert row["boundary"]["f1"] == row["token"]["f1"] == 1.0
    assert perfect["agreement"]["nmi_mean"] == pytest.approx(1.0)
    chance = score_units(list(shuffled(runs, 1)), words, 24, CLOCK, [0.02])
    random = np.random.default_rng(2)
    frames = [(utt, int(found.lengths.sum())) for utt, found in runs]
    noise = [(utt, collapse(np.repeat(random.integers(0, 24, n), 16)[:n])) for utt, n in frames]
    noisy = score_units(noise, words, 24, CLOCK, [0.02])
    for scores in (chance, noisy):
        # a boundary every 0.33 s and a window of 40 ms: 0.04 / 0.33 = .12 of the boundaries by chance (grid: up to .18)
        assert scores["segmentation"][0]["boundary"]["f1"] < 0.25
        assert scores["segmentation"][0]["token"]["f1"] < 0.2
    assert noisy["agreement"]["nmi_mean"] < 0.1


def test_the_command_writes_scores_with_their_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, said = planted(5)
    write_ctm(tmp_path / "ctm_phones", said)
    write_runs(tmp_path, runs)
    write_json(tmp_path / "codes.json", {"num_codes": 24, "frame_shift_s": 0.02, "frame_offset_s": 0.01})
    monkeypatch.setattr(sys, "argv", ["score_segmentation", "--tolerance=0.03", str(tmp_path), str(tmp_path)])
    command.main()
    stored = read_json(tmp_path / "segmentation.json")
    assert [row["tolerance_s"] for row in stored["phones"]["codes"]["segmentation"]] == [0.03]
    assert "words" not in stored
    assert "phones, tolerance 30 ms: boundary P 1.000 R 1.000" in capsys.readouterr().out
