"""Score matrices of baselines, ranked exactly like a model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vgspeech.retrieval import stream_ranks
from vgspeech.stats.ranks import chance_summary, summarise_ranks


def score_pair(
    names: tuple[str, str], scores: np.ndarray, images: tuple[Sequence[str], Sequence[str]]
) -> dict[str, Any]:
    """Both directions of a score matrix, ranked like a model's, ties against it.

    Args:
        names: what rows and columns are: ``image`` or a language.
        scores: (rows, columns), higher is better.
        images: the image of every row and of every column; the same image is right.

    Returns:
        ``a>b`` and ``b>a``, each with recalls, ranks and chance as in ``results.json``, and ``r10_random_ties``: R@10
        if ties were broken at random, which is kinder to scores that know few values.
    """
    known = {image: label for label, image in enumerate(sorted({*images[0], *images[1]}))}
    labels = [torch.tensor([known[image] for image in side]) for side in images]
    matrix = torch.from_numpy(np.ascontiguousarray(scores, dtype=np.float32))
    ranks = stream_ranks(lambda rows, columns: matrix[rows][:, columns], labels[0], labels[1])
    same = labels[0][:, None] == labels[1]
    return {
        f"{names[0]}>{names[1]}": _direction(ranks[0].numpy(), matrix.numpy(), same.numpy()),
        f"{names[1]}>{names[0]}": _direction(ranks[1].numpy(), matrix.numpy().T, same.numpy().T),
    }


def _direction(ranks: np.ndarray, scores: np.ndarray, same: np.ndarray) -> dict[str, Any]:
    answerable = ranks > 0
    ranks, scores, same = ranks[answerable], scores[answerable], same[answerable]
    found, chance = summarise_ranks(ranks), chance_summary(same.sum(1), scores.shape[1])
    random_ties = {"r10_random_ties": _recall_with_random_ties(scores, same, 10)}
    sizes = {"n_queries": len(ranks), "n_targets": scores.shape[1]}
    return {**sizes, **found.beside(chance), **random_ties}


def _recall_with_random_ties(scores: np.ndarray, same: np.ndarray, k: int) -> float:
    """Expected recall at k when equal scores are ordered at random; exact where one right target has the best score."""
    best = np.where(same, scores, -np.inf).max(axis=1, keepdims=True)
    above = ((scores > best) & ~same).sum(axis=1)
    level = ((scores == best) & ~same).sum(axis=1)
    return float(np.clip((k - above) / (level + 1), 0, 1).mean())


def with_mean(directions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Directions with the means over them, as in ``results.json``."""
    mean = {name: float(np.mean([d[name] for d in directions.values()])) for name in ("r1", "r5", "r10", "mrr")}
    return {"directions": dict(directions), "mean": mean}
