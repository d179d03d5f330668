"""The test of links: exact, and silent where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from vgspeech.lexicon.evidence import Occurrences, _upper_tail, association_p, discovery_rates


def test_one_stratum_is_fishers_exact_test() -> None:
    for both, only_a, only_b, neither in ((3, 4, 5, 20), (8, 0, 1, 40), (1, 2, 2, 7)):
        with_a, with_b, size = both + only_a, both + only_b, both + only_a + only_b + neither
        p = _upper_tail(np.array([[with_a]]), np.array([[with_b]]), np.array([size]), np.array([both]))
        expected = fisher_exact([[both, only_a], [only_b, neither]], alternative="greater").pvalue
        assert p[0] == pytest.approx(expected, rel=1e-9)


def test_strata_add_up_as_in_simulation() -> None:
    random = np.random.default_rng(0)
    with_a, with_b, sizes = np.array([3, 6, 2]), np.array([4, 5, 9]), np.array([20, 15, 30])
    draws = sum(random.hypergeometric(a, n - a, b, 200_000) for a, b, n in zip(with_a, with_b, sizes, strict=True))
    for seen in (2, 4, 6):
        p = _upper_tail(with_a[None], with_b[None], sizes, np.array([seen]))[0]
        assert p == pytest.approx((draws >= seen).mean(), rel=0.05, abs=5e-4)


def test_a_planted_association_is_found_and_length_alone_is_none() -> None:
    random = np.random.default_rng(1)
    lengths = random.integers(10, 100, 600)
    # both clusters are likelier in long captions, but independent at a given length
    a = random.random((600, 3)) < (lengths / 200)[:, None]
    b = random.random((600, 3)) < (lengths / 200)[:, None]
    b[:, 0] = np.where(random.random(600) < 0.9, a[:, 0], b[:, 0])
    p = association_p(Occurrences(a, lengths), Occurrences(b, lengths))
    assert p[0, 0] < 1e-30
    assert p.ravel()[1:].min() > 1e-3


def test_p_values_are_calibrated_under_permuted_pairing() -> None:
    random = np.random.default_rng(2)
    calls, runs = 0, 40
    for _ in range(runs):
        a = Occurrences(random.random((300, 20)) < 0.06, random.integers(10, 60, 300))
        b = Occurrences(random.random((300, 20)) < 0.06, random.integers(10, 60, 300))
        p = association_p(a, b)
        assert (p < 0.01).mean() < 0.02
        calls += bool((discovery_rates(p) <= 0.05).any())
    assert calls <= 0.1 * runs


def test_no_clusters_no_tests() -> None:
    empty = Occurrences(np.zeros((5, 0), bool), np.arange(5))
    p = association_p(empty, empty)
    assert p.shape == (0, 0)
    assert discovery_rates(p).size == 0
