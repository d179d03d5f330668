"""Codes by k-means: seeded, of the right type, and k-means itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vgspeech.archive import ArchiveReader
from vgspeech.errors import DataError
from vgspeech.stats.clustering import agreement, majority, purity
from vgspeech.stats.kmeans import assign, kmeans, unit_rows
from vgspeech.units.clock import CodeClock
from vgspeech.units.codes import encode, learn_codebook, write_codes
from vgspeech.units.runs import collapse, expand, read_runs, separate, write_ctm_of_runs, write_runs


def blobs(spherical: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    centres = 5 * random.standard_normal((6, 16))
    labels = random.integers(0, 6, 600)
    vectors = (centres[labels] + random.standard_normal((600, 16))).astype(np.float32)
    return (unit_rows(vectors) if spherical else vectors), labels


@pytest.mark.parametrize("spherical", [False, True])
def test_kmeans_finds_separate_blobs(spherical: bool) -> None:
    vectors, truth = blobs(spherical)
    found = kmeans(vectors, 6, seed=1, restarts=4, spherical=spherical)
    assert purity(found.labels, [str(x) for x in truth]) == 1.0
    again = kmeans(vectors, 6, seed=1, restarts=4, spherical=spherical)
    np.testing.assert_array_equal(found.centroids, again.centroids)
    if spherical:
        np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, rtol=1e-5)


def test_kmeans_of_few_or_equal_vectors() -> None:
    assert len(kmeans(np.eye(3, dtype=np.float32), 10, seed=0).centroids) == 3
    found = kmeans(np.ones((5, 2), np.float32), 3, seed=0)
    assert found.objective == 0
    with pytest.raises(ValueError, match="0 vectors"):
        kmeans(np.zeros((0, 2), np.float32), 3, seed=0)


def test_assignment_is_the_nearest_centroid() -> None:
    vectors, _ = blobs()
    centroids = vectors[:9]
    labels, distances = assign(vectors, centroids)
    exact = ((vectors[:, None] - centroids) ** 2).sum(-1)
    np.testing.assert_array_equal(labels, exact.argmin(1))
    np.testing.assert_allclose(distances, exact.min(1), rtol=1e-3, atol=1e-2)


def test_codes_are_int32_vectors_of_every_caption(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frames = {f"u{i}": random.standard_normal((5 + i, 8)).astype(np.float32) for i in range(20)}
    codebook = learn_codebook(frames, 12, seed=3)
    np.testing.assert_array_equal(codebook, learn_codebook(dict(reversed(frames.items())), 12, seed=3))
    captions, used = write_codes(tmp_path, encode(frames.items(), codebook), 12)
    assert (captions, used) == (20, 12)
    stored = ArchiveReader(tmp_path / "codes.scp")
    assert stored["u7"].dtype == np.int32
    assert len(stored["u7"]) == 12
    with pytest.raises(DataError, match="no frames"):
        learn_codebook({}, 12, seed=3)


def test_agreement_of_perfect_and_of_random_clusters() -> None:
    labels = [f"w{i % 5}" for i in range(500)]
    perfect = agreement([i % 5 for i in range(500)], labels)
    assert all(value == pytest.approx(1.0) for value in perfect.values())
    chance = agreement(np.random.default_rng(0).integers(0, 5, 500), labels)
    assert chance["nmi"] < 0.05 and chance["v_measure"] == pytest.approx(chance["nmi"])
    assert agreement([], [])["purity"] == 0.0
    assert majority([0, 0, 2, 2, 2], ["b", "a", "x", "y", "x"], 3) == [
        ("a", 0.5),
        ("", 0.0),
        ("x", pytest.approx(2 / 3)),
    ]


def test_runs_give_the_codes_back_and_their_times(tmp_path: Path) -> None:
    codes = {"a": np.array([4, 4, 4, 0, 0, 4], np.int32), "b": np.array([7], np.int32), "c": np.zeros(0, np.int32)}
    assert write_runs(tmp_path, ((utt, collapse(sequence)) for utt, sequence in codes.items())) == 4
    stored = ArchiveReader(tmp_path / "runs.scp")
    assert stored["a"].tolist() == [4, 3, 0, 2, 4, 1]
    for utt, sequence in codes.items():
        np.testing.assert_array_equal(expand(separate(stored[utt])), sequence)
        np.testing.assert_array_equal(expand(collapse(sequence)), sequence)
    # frames centred at 5 ms + 80 ms f: the first run is cut at 0, the others last whole frames
    write_ctm_of_runs(tmp_path / "codes.ctm", read_runs(tmp_path), CodeClock(0.08, 0.005))
    lines = (tmp_path / "codes.ctm").read_text().splitlines()
    assert lines == ["a 1 0.0000 0.2050 4", "a 1 0.2050 0.1600 0", "a 1 0.3650 0.0800 4", "b 1 0.0000 0.0450 7"]
