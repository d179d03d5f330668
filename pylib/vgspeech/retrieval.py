"""Retrieval: given one item, where does its partner stand when all others are ordered by similarity?

Two items belong together when they carry the same image id; an image may have any number of captions in any language.
For n languages there are n * (n + 1) directions, named ``en>image``, ``image>en``, ``en>hi`` and so on (query > targets).

**Rank.** A query's rank is 1 + the number of *wrong* targets that score at least as high as its best right target.
So ties count against the model (a model that gives every pair the same score ranks last, not first), right targets do not
compete with each other, and an image's rank among captions is that of its best caption.

**Memory.** Scores are computed in blocks, first only the blocks that hold right pairs, then all to count competitors; the
full matrix never exists. Pooled dot products are summed in float64 and rounded to float32, which makes a score, and with
it the ranks, independent of the block it was computed in; so are MISA scores wherever a rank hangs on them (`screening`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgspeech.config import SimilarityConfig
from vgspeech.errors import DataError
from vgspeech.screening import Screen
from vgspeech.similarity import score_matrix
from vgspeech.stats.intervals import percentile_interval, resampled_ratios
from vgspeech.stats.rank_files import RankedQuery, RanksByDirection
from vgspeech.stats.ranks import RECALL_AT, RankSummary, chance_summary, summarise_ranks

TIE_RULE = "pessimistic: rank = 1 + number of wrong targets that score at least as high as the best right one"
IMAGE = "image"
POOLED_BLOCK = 2048
FRAME_BLOCK = 256
"""Items a side of a block; frame by frame scores need more memory a pair and gain from skipping blocks at first."""

BlockScores = Callable[[Tensor, Tensor], Tensor]
"""(row indices (R,), column indices (C,)) -> scores (R, C) float32."""


@dataclass(frozen=True)
class Embedded:
    """Embedded images, or embedded captions of one language.

    ``pooled`` is (N, D), one vector an item. ``parts`` gives the unpooled embeddings of chosen items, as MISA and SIMA need
    them: grids (n, H, W, D) for images; frames (n, T, D) and their lengths (n,) for captions. ``ids`` names captions, for
    those who want to know each one's rank.
    """

    image_ids: Sequence[str]
    pooled: Tensor
    parts: Callable[[Tensor], Any] | None = None
    ids: Sequence[str] = ()


@dataclass(frozen=True)
class RetrievalResult(RankSummary):
    """One direction: its scores, what chance would give, and for r1, r5, r10 and mrr ``ci95``, a bootstrap over images."""

    n_queries: int
    n_targets: int
    chance: RankSummary
    ci95: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        sizes = {"n_queries": self.n_queries, "n_targets": self.n_targets}
        return {**sizes, **self.beside(self.chance), "ci95": self.ci95}


@dataclass(frozen=True)
class RetrievalTable:
    """All directions, and the means over directions of r1, r5, r10 and mrr, with their own intervals.

    ``ranks`` holds for each direction the rank of every item of its source, 0 where no target is right.
    """

    directions: dict[str, RetrievalResult]
    mean: dict[str, float]
    mean_ci95: dict[str, tuple[float, float]]
    ranks: dict[str, list[int]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        directions = {name: result.as_dict() for name, result in self.directions.items()}
        return {"directions": directions, "mean": {**self.mean, "ci95": self.mean_ci95}}


def stream_ranks(
    scores: BlockScores | Screen, row_labels: Tensor, column_labels: Tensor, block: int = POOLED_BLOCK
) -> tuple[Tensor, Tensor]:
    """Ranks of rows among columns and of columns among rows, by the rule at the top of this file.

    Args:
        scores: gives any block of the score matrix, the same values when called twice; or a :class:`Screen`, which computes
            only as precisely as the ranks need.
        row_labels, column_labels: (R,) and (C,) integers; equal labels belong together.
        block: rows and columns of a block; memory is O(block^2), the result does not depend on it.

    Returns:
        (R,) and (C,) int64 ranks; 0 where the other side holds no item with that label.

    Raises:
        DataError: a score is not finite.
    """
    best_of_row = torch.full(row_labels.shape, -torch.inf)
    best_of_column = torch.full(column_labels.shape, -torch.inf)
    beaten_row = torch.zeros(row_labels.shape, dtype=torch.long)
    beaten_column = torch.zeros(column_labels.shape, dtype=torch.long)
    for rows, columns, same in _blocks(row_labels, column_labels, block):
        if same.any():
            right = torch.full(same.shape, -torch.inf)
            right[same] = (
                scores.chosen(rows, columns, same) if isinstance(scores, Screen) else scores(rows, columns)[same]
            )
            best_of_row[rows] = torch.maximum(best_of_row[rows], right.amax(1))
            best_of_column[columns] = torch.maximum(best_of_column[columns], right.amax(0))
    for rows, columns, same in _blocks(row_labels, column_labels, block):
        if isinstance(scores, Screen):
            values = scores.compare(rows, columns, same, (best_of_row[rows], best_of_column[columns]))
        else:
            values = scores(rows, columns)
        if not torch.isfinite(values).all():
            raise DataError("a similarity score is not finite (the embeddings hold NaN or infinity)", where="retrieval")
        beaten_row[rows] += ((values >= best_of_row[rows, None]) & ~same).sum(1)
        beaten_column[columns] += ((values >= best_of_column[columns]) & ~same).sum(0)
    row_ranks = torch.where(best_of_row > -torch.inf, 1 + beaten_row, 0)
    return row_ranks, torch.where(best_of_column > -torch.inf, 1 + beaten_column, 0)


def _blocks(row_labels: Tensor, column_labels: Tensor, block: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Blocks of row and column indices with their same-label mask; sorted, so that few blocks hold right pairs."""
    for rows in row_labels.argsort(stable=True).split(block):
        for columns in column_labels.argsort(stable=True).split(block):
            yield rows, columns, row_labels[rows, None] == column_labels[columns]


def evaluate(
    images: Embedded,
    captions: Mapping[str, Embedded],
    similarity: SimilarityConfig,
    *,
    draws: int = 1000,
    seed: int = 0,
    block: int | None = None,
) -> RetrievalTable:
    """Score all directions between the images and the captions of every language, and between the languages.

    Speech against images uses the model's similarity; speech against speech always compares pooled vectors.

    Args:
        images: every image once.
        captions: language -> its captions; the order is that of the table.
        similarity: as the model was trained.
        draws, seed: of the bootstrap; ``draws`` 0 leaves the intervals out.
        block: see ``stream_ranks``; the default suits the similarity.

    Raises:
        DataError: a direction without a single query, a repeated image, scores that are not finite.
    """
    vocabulary = {image: label for label, image in enumerate(sorted(set(images.image_ids)))}
    if len(vocabulary) != len(images.image_ids):
        raise DataError("an image is listed more than once", where="retrieval")
    for image in (image for side in captions.values() for image in side.image_ids):
        vocabulary.setdefault(image, len(vocabulary))
    sides = {IMAGE: images, **captions}
    labels = {name: torch.tensor([vocabulary[i] for i in side.image_ids]) for name, side in sides.items()}
    vectors = {name: _comparable(side.pooled, similarity) for name, side in sides.items()}
    pooled = similarity.type == "SISA"

    ranks: dict[str, npt.NDArray[np.int64]] = {}
    pairs = [(language, IMAGE) for language in captions] + [p for p in permutations(captions, 2) if p[0] < p[1]]
    for a, b in pairs:
        if b == IMAGE and not pooled:
            scores: BlockScores | Screen = _part_scores(captions[a], images, similarity)
            size = FRAME_BLOCK
        else:
            scores, size = _pooled_scores(vectors[a], vectors[b]), POOLED_BLOCK
        of_a, of_b = stream_ranks(scores, labels[a], labels[b], block or size)
        ranks[f"{a}>{b}"], ranks[f"{b}>{a}"] = of_a.numpy(), of_b.numpy()
    ordered = [f"{a}>{b}" for language in captions for a, b in ((language, IMAGE), (IMAGE, language))]
    ordered += [f"{a}>{b}" for a, b in permutations(captions, 2)]
    return _summarise({name: ranks[name] for name in ordered}, labels, len(vocabulary), draws, seed)


def _comparable(pooled: Tensor, similarity: SimilarityConfig) -> Tensor:
    """Pooled vectors (N, D) float64 whose dot products are scores."""
    wide = pooled.double()
    return torch.nn.functional.normalize(wide, dim=-1) if similarity.normalise else wide


def _pooled_scores(rows: Tensor, columns: Tensor) -> BlockScores:
    return lambda r, c: (rows[r] @ columns[c].T).float()


def _part_scores(captions: Embedded, images: Embedded, similarity: SimilarityConfig) -> BlockScores | Screen:
    if similarity.type == "MISA":
        return Screen(*_parts(captions, images, similarity), similarity.normalise)
    return caption_image_scores(captions, images, similarity)


def caption_image_scores(captions: Embedded, images: Embedded, similarity: SimilarityConfig) -> BlockScores:
    """Gives blocks of the scores of all captions (rows) and images (columns), as the model compares them."""
    if similarity.type == "SISA":
        return _pooled_scores(_comparable(captions.pooled, similarity), _comparable(images.pooled, similarity))
    frames_of, grids_of = _parts(captions, images, similarity)

    def scores(rows: Tensor, columns: Tensor) -> Tensor:
        frames, lengths = frames_of(rows)
        return score_matrix(grids_of(columns), frames, lengths, similarity).T.cpu()

    return scores


_Parts = Callable[[Tensor], Any]


def _parts(captions: Embedded, images: Embedded, similarity: SimilarityConfig) -> tuple[_Parts, _Parts]:
    if captions.parts is None or images.parts is None:
        raise ValueError(f"{similarity.type} needs unpooled embeddings")
    return captions.parts, images.parts


def _summarise(
    ranks: Mapping[str, npt.NDArray[np.int64]], labels: Mapping[str, Tensor], n_images: int, draws: int, seed: int
) -> RetrievalTable:
    """Scores of every direction and of their mean, with intervals from the same draws of images."""
    names = ("r1", "r5", "r10", "mrr")
    sums, counts, summaries = [], [], {}
    for direction, all_ranks in ranks.items():
        source, target = direction.split(">")
        answerable = all_ranks > 0
        if not answerable.any():
            what = f"no query of {direction} has a right answer: no common image in this split"
            raise DataError(what, where="retrieval", hint="take languages that describe the same images, or fewer languages")
        query_labels, kept = labels[source].numpy()[answerable], all_ranks[answerable]
        n_correct = np.bincount(labels[target].numpy(), minlength=n_images)[query_labels]
        summaries[direction] = (summarise_ranks(kept), chance_summary(n_correct, len(labels[target])), kept.size)
        for values in (*(kept <= k for k in RECALL_AT), 1.0 / kept):
            sums.append(np.bincount(query_labels, weights=values, minlength=n_images).astype(float))
            counts.append(np.bincount(query_labels, minlength=n_images).astype(float))
    used = np.stack(counts).sum(0) > 0
    drawn = resampled_ratios(np.stack(sums)[:, used], np.stack(counts)[:, used], draws=draws, seed=seed)
    drawn = drawn.reshape(draws, len(ranks), len(names))

    results = {}
    for i, (direction, (found, chance, n_queries)) in enumerate(summaries.items()):
        intervals = {name: percentile_interval(drawn[:, i, j]) for j, name in enumerate(names)} if draws else {}
        n_targets = len(labels[direction.split(">")[1]])
        results[direction] = RetrievalResult(
            **found.scores(), n_queries=n_queries, n_targets=n_targets, chance=chance, ci95=intervals
        )
    mean = {name: float(np.mean([getattr(r, name) for r in results.values()])) for name in names}
    mean_intervals = (
        {name: percentile_interval(drawn[:, :, j].mean(1)) for j, name in enumerate(names)} if draws else {}
    )
    return RetrievalTable(results, mean, mean_intervals, {name: found.tolist() for name, found in ranks.items()})


def ranks_of_queries(table: RetrievalTable, images: Embedded, captions: Mapping[str, Embedded]) -> RanksByDirection:
    """The rank of every query that has a right answer, by name, in the order of the items.

    Args:
        table: of these images and captions.
        images, captions: as `evaluate` took them; captions with ``ids``.
    """
    sides = {IMAGE: images, **captions}
    found: RanksByDirection = {}
    for direction, ranks in table.ranks.items():
        side = sides[direction.partition(">")[0]]
        named = zip(side.ids or side.image_ids, side.image_ids, ranks, strict=True)
        found[direction] = {query: RankedQuery(image, rank) for query, image, rank in named if rank}
    return found


def format_table(table: RetrievalTable) -> str:
    """The table a person reads: percent, ranks, and what chance would give."""
    head = f"{'direction':<14}{'R@1':>7}{'R@5':>7}{'R@10':>7}  {'95 % of R@10':<15}"
    head += f"{'medR':>6}{'meanR':>8}{'MRR':>7}{'chance R@10':>13}"
    lines = [head]
    for name, r in table.directions.items():
        recalls = "".join(f"{100 * value:7.1f}" for value in (r.r1, r.r5, r.r10))
        ranks = f"{r.median:6g}{r.mean:8.1f}{r.mrr:7.3f}{100 * r.chance.r10:13.1f}"
        lines.append(f"{name.replace('>', ' > '):<14}{recalls}  {_interval(r.ci95):<15}{ranks}")
    recalls = "".join(f"{100 * table.mean[name]:7.1f}" for name in ("r1", "r5", "r10"))
    lines.append(f"{'mean':<14}{recalls}  {_interval(table.mean_ci95):<15}{'':14}{table.mean['mrr']:7.3f}")
    return "\n".join(lines)


def _interval(intervals: Mapping[str, tuple[float, float]]) -> str:
    if "r10" not in intervals:
        return ""
    low, high = intervals["r10"]
    return f"{100 * low:.1f} to {100 * high:.1f}"
