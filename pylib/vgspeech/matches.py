"""The best images for every caption and the best captions for every image of a set, whoever belongs to whom.

Nothing here knows the truth: ids and scores are all there is. Scores are computed in blocks, and of each row and column
only the best are kept, so that memory grows with the number of items, not with its square.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vgspeech.retrieval import BlockScores

BLOCK = 256
"""Captions, and images, whose scores are computed at once."""


class Best(NamedTuple):
    """The best columns of each row (or rows of each column), the best first; equal scores in the order of the items."""

    items: Tensor
    """(N, n) their numbers."""
    scores: Tensor
    """(N, n) float32."""


def best_matches(scores: BlockScores, rows: int, columns: int, top: int, block: int = BLOCK) -> tuple[Best, Best]:
    """The ``top`` best columns of every row, and the best rows of every column (fewer where there are fewer).

    Args:
        scores: gives any block of the score matrix.
        rows, columns: its size.
        block: of the computation; the result does not depend on it.
    """
    of_columns = [_nothing(part) for part in torch.arange(columns).split(block)]
    of_rows = []
    for row_part in torch.arange(rows).split(block):
        best = _nothing(row_part)
        for number, column_part in enumerate(torch.arange(columns).split(block)):
            values = scores(row_part, column_part)
            best = _better(best, values, column_part, top)
            of_columns[number] = _better(of_columns[number], values.T, row_part, top)
        of_rows.append(best)
    return _joined(of_rows), _joined(of_columns)


def _nothing(part: Tensor) -> Best:
    return Best(torch.empty(len(part), 0, dtype=torch.long), torch.empty(len(part), 0))


def _better(best: Best, scores: Tensor, items: Tensor, top: int) -> Best:
    """The best of what was found before and of new items, which come after those: a stable sort keeps their order."""
    found = torch.cat([best.scores, scores.float()], 1)
    numbers = torch.cat([best.items, items.expand(len(scores), -1)], 1)
    values, order = found.sort(dim=1, descending=True, stable=True)
    return Best(numbers.gather(1, order[:, :top]), values[:, :top])


def _joined(parts: list[Best]) -> Best:
    return Best(torch.cat([part.items for part in parts]), torch.cat([part.scores for part in parts]))
