"""Words of three languages and more: the lexicons of all pairs of languages, joined.

Every pair of languages has clusters of its own, so a language's clusters of two pairs are matched first: by how many moments
of the same captions they share (Dice, mutually best). Links across languages and matches within one then join clusters to
groups, the strongest first, as long as a group holds one cluster at most of each language of each pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from vgspeech.lexicon.links import mutual_best

Array = np.ndarray[Any, np.dtype[Any]]

SAME_MOMENT_S = 0.1
"""Two peaks of one caption this close are of the same word: half of a short word."""
FEWEST = 3
"""Languages of a group."""


@dataclass(frozen=True)
class Side:
    """The peaks of one language in the lexicon of a pair of languages.

    Attributes:
        utts: (N) utterance of every peak.
        times: (N,) seconds.
        labels: (N,) cluster, below 0 for none.
    """

    utts: Sequence[str]
    times: Array
    labels: Array


class Node(NamedTuple):
    """A cluster: of a language in the lexicon of a pair."""

    language: str
    pair: tuple[str, str]
    cluster: int


class Edge(NamedTuple):
    """Two clusters that mean the same.

    Attributes:
        strength: Dice of a link or of a match, 0 to 1.
        q: of a link, its false discovery rate; None for a match.
    """

    strength: float
    one: Node
    other: Node
    q: float | None


@dataclass
class Group:
    """Clusters of one meaning.

    Attributes:
        nodes: sorted.
        links: links across languages inside the group.
        q: the largest of their false discovery rates.
    """

    nodes: list[Node]
    links: int
    q: float

    @property
    def languages(self) -> list[str]:
        """Languages of the group, sorted."""
        return sorted({node.language for node in self.nodes})


def match_clusters(one: Side, other: Side) -> list[tuple[int, int, float]]:
    """Clusters of one language in two lexicons that mark the same moments of its captions.

    Returns:
        (cluster, other cluster, Dice of the moments) that are mutually best.
    """
    sizes = [np.bincount(side.labels[side.labels >= 0]) for side in (one, other)]
    counts = np.zeros((len(sizes[0]), len(sizes[1])), np.int64)
    by_utt: dict[str, list[tuple[float, int]]] = {}
    for utt, time, label in zip(other.utts, other.times.tolist(), other.labels.tolist(), strict=True):
        if label >= 0:
            by_utt.setdefault(utt, []).append((time, label))
    for utt, time, label in zip(one.utts, one.times.tolist(), one.labels.tolist(), strict=True):
        if label < 0:
            continue
        for near in {found for at, found in by_utt.get(utt, ()) if abs(at - time) <= SAME_MOMENT_S}:
            counts[label, near] += 1
    dice = np.minimum(2.0 * counts / np.maximum(sizes[0][:, None] + sizes[1], 1), 1.0)
    return [(int(a), int(b), float(dice[a, b])) for a, b in zip(*mutual_best(dice, counts, best=1), strict=True)]


def matches(sides: Mapping[tuple[str, str], Mapping[str, Side]]) -> list[Edge]:
    """Matches of every language's clusters between all pairs of lexicons that it takes part in.

    Args:
        sides: pair of languages -> language -> its peaks.
    """
    edges = []
    for first, second in combinations(sorted(sides), 2):
        for language in sorted(set(first) & set(second)):
            found = match_clusters(sides[first][language], sides[second][language])
            edges += [Edge(dice, Node(language, first, a), Node(language, second, b), None) for a, b, dice in found]
    return edges


def join(edges: Iterable[Edge]) -> list[Group]:
    """Groups of at least ``FEWEST`` languages; those of most languages and links first, then the surest.

    Args:
        edges: significant links across languages, and ``matches`` within them.
    """
    home: dict[Node, set[Node]] = {}
    kept = []
    for edge in sorted(edges, key=lambda edge: (-edge.strength, edge.one, edge.other)):
        one, other = (home.setdefault(node, {node}) for node in (edge.one, edge.other))
        if one is not other:
            if {node[:2] for node in one} & {node[:2] for node in other}:
                continue
            one |= other
            home.update(dict.fromkeys(one, one))
        kept.append(edge)
    links: dict[int, list[float]] = {}
    for edge in kept:
        if edge.q is not None:
            links.setdefault(id(home[edge.one]), []).append(edge.q)
    distinct = {id(nodes): nodes for nodes in home.values()}
    groups = [Group(sorted(nodes), len(links[key]), max(links[key])) for key, nodes in distinct.items() if key in links]
    groups = [group for group in groups if len(group.languages) >= FEWEST]
    return sorted(groups, key=lambda group: (-len(group.languages), -group.links, group.q, group.nodes))
