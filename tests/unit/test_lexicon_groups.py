"""Words of three languages, from the lexicons of all pairs."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from lexicon_simulation import simulate_languages
from test_lexicon_discover import run, write_corpus
from vgspeech.bin import cluster_peaks, find_peaks, group_lexicons, link_clusters
from vgspeech.errors import DataError
from vgspeech.lexicon.groups import Edge, Node, Side, join, match_clusters
from vgspeech.tables import read_tsv


def node(language: str, pair: str, cluster: int) -> Node:
    return Node(language, (pair[0], pair[1]), cluster)


def test_clusters_match_where_they_mark_the_same_moments() -> None:
    one = Side(["u", "u", "v", "v", "w"], np.array([1.0, 2.0, 1.0, 3.0, 1.0]), np.array([0, 1, 0, 1, -1]))
    other = Side(["u", "v", "u", "v", "w"], np.array([1.05, 0.95, 2.3, 3.0, 1.0]), np.array([1, 1, 0, 0, 0]))
    assert match_clusters(one, other) == [(0, 1, 1.0), (1, 0, pytest.approx(2 / 5))]


def test_a_weak_edge_may_not_join_two_meanings() -> None:
    links = [
        Edge(0.9, node("a", "ab", 0), node("b", "ab", 0), 0.001),
        Edge(0.8, node("b", "bc", 4), node("c", "bc", 4), 0.002),
        Edge(0.7, node("a", "ab", 1), node("b", "ab", 1), 0.003),
    ]
    same = [
        Edge(0.6, node("b", "ab", 0), node("b", "bc", 4), None),
        Edge(0.5, node("b", "ab", 1), node("b", "bc", 4), None),
    ]
    (group,) = join([*same, *links])
    assert group.languages == ["a", "b", "c"]
    assert (group.links, group.q) == (2, 0.002)
    assert node("a", "ab", 1) not in group.nodes
    assert join(links) == []


def test_three_languages_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    languages = ("en", "hi", "ja")
    inputs, ctms, _ = simulate_languages(languages, 300, concepts=12)
    monkeypatch.chdir(tmp_path)
    for side, ctm in zip(inputs, ctms, strict=True):
        write_corpus(tmp_path, side, ctm, languages)
    with pytest.raises(DataError, match="groups need 3 languages"):
        run(monkeypatch, group_lexicons, tmp_path / "lexicon")
    for pair in combinations(languages, 2):
        speech = [tmp_path / "data" / "sim" / "speech" / f"train_{tag}" for tag in pair]
        out = tmp_path / "lexicon" / "-".join(pair)
        run(monkeypatch, find_peaks, tmp_path / "embed", *speech, out / "jobs")
        run(monkeypatch, cluster_peaks, "--num-clusters", 24, *speech, out / "jobs", out)
        run(monkeypatch, link_clusters, tmp_path / "embed", *speech, out)
    run(monkeypatch, group_lexicons, tmp_path / "lexicon")
    path = tmp_path / "lexicon" / "groups.tsv"
    header = path.read_text().splitlines()[0].split("\t")
    assert header[:4] == ["group", "languages", "links", "q"]
    found = [dict(zip(header, cells, strict=True)) for _, cells in read_tsv(path, header)]
    words = [{row[f"words_{tag}"].removeprefix(tag) for tag in languages} for row in found]
    assert all(row["languages"] == "en,hi,ja" for row in found)
    assert np.mean([len(names) == 1 for names in words]) >= 0.9
    assert len(set().union(*(names for names in words if len(names) == 1))) >= 9  # of 12 concepts
