"""Scores of a ranked list of links, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vgspeech.datadir import Word
from vgspeech.lexicon.clusters import Clusters
from vgspeech.lexicon.evaluate import coverage, label_clusters
from vgspeech.lexicon.precision import mean_reciprocal_rank, precision_recall, share_right


def test_the_interval_holds_the_precision() -> None:
    flags = np.arange(50) % 5 > 0
    found = share_right(flags)
    assert (found["right"], found["of"], found["precision"]) == (40, 50, 0.8)
    low, high = found["interval"]
    assert 0.65 < low < 0.8 < high < 0.95
    assert share_right(flags[:0]) == {"right": 0, "of": 0, "precision": 0.0}


def test_the_curve_has_a_point_wherever_recall_rises() -> None:
    right = [frozenset("a"), frozenset(), frozenset("a"), frozenset("b"), frozenset()]
    assert precision_recall(right, 4) == [
        {"links": 1, "precision": 1.0, "recall": 0.25},
        {"links": 4, "precision": 0.75, "recall": 0.5},
        {"links": 5, "precision": 0.6, "recall": 0.5},
    ]
    assert precision_recall([], 4) == []


def test_reciprocal_ranks_count_ties_against() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.4, 0.4, 0.2], [0.3, 0.2, 0.1]])
    right = np.array([[False, True, False], [False, True, False], [False, False, False]])
    assert mean_reciprocal_rank(scores, right) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert mean_reciprocal_rank(np.ones((2, 2)), np.zeros((2, 2), bool)) == 0


def test_coverage_counts_a_token_once() -> None:
    ctm = {"u": [Word(0, 1, "dog"), Word(1, 2, "dog"), Word(2, 3, "cat"), Word(3, 4, "dog")]}
    labels = np.array([0, 0, 0, 1])
    sizes = np.array([3, 1])
    clusters = Clusters(labels, np.zeros((2, 1), np.float32), sizes, np.zeros(2), sizes, sizes)
    times = np.array([[0.2, 0, 0], [0.6, 0, 0], [3.5, 0, 0], [2.5, 0, 0]])
    named = label_clusters(["u"] * 4, times, clusters, ctm)
    assert coverage(["u"] * 4, times, clusters, named, ctm) == {"mean": (2 / 3 + 1) / 2, "words": 2}
