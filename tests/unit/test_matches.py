"""Best partners of every caption and image: those of the whole score matrix, in any blocks, ties in the order of the items."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vgspeech.config import SimilarityConfig
from vgspeech.matches import best_matches
from vgspeech.retrieval import Embedded, caption_image_scores
from vgspeech.similarity import score_matrix


def by_sorting(scores: torch.Tensor, top: int) -> list[list[int]]:
    rows = scores.tolist()
    return [sorted(range(len(row)), key=lambda i, row=row: (-row[i], i))[:top] for row in rows]


@pytest.mark.parametrize("block", [1, 3, 7, 256])
@pytest.mark.parametrize("top", [1, 4, 50])
def test_best_of_rows_and_columns(block: int, top: int) -> None:
    scores = torch.randint(0, 5, (17, 11), generator=torch.Generator().manual_seed(3)).float()  # many ties
    of_rows, of_columns = best_matches(lambda r, c: scores[r][:, c], 17, 11, top, block)
    assert of_rows.items.tolist() == by_sorting(scores, top) and of_columns.items.tolist() == by_sorting(scores.T, top)
    assert torch.equal(of_rows.scores, scores.gather(1, of_rows.items))
    assert torch.equal(of_columns.scores, scores.T.gather(1, of_columns.items))


@pytest.mark.parametrize("kind", ["SISA", "MISA", "SIMA"])
@pytest.mark.parametrize("normalise", [False, True])
def test_scores_are_those_that_the_model_compares_by(kind: Any, normalise: bool) -> None:
    torch.manual_seed(0)
    similarity = SimilarityConfig(kind, normalise)
    frames, grids, lengths = torch.randn(5, 9, 4), torch.randn(6, 3, 2, 4), torch.tensor([9, 3, 1, 7, 9])
    pooled = torch.stack([item[:length].mean(0) for item, length in zip(frames, lengths.tolist(), strict=True)])
    captions = Embedded([""] * 5, pooled, lambda rows: (frames[rows], lengths[rows]))
    images = Embedded([""] * 6, grids.mean((1, 2)), lambda rows: grids[rows])
    block = caption_image_scores(captions, images, similarity)(torch.tensor([3, 0]), torch.tensor([1, 5, 2]))
    wanted = score_matrix(grids, frames, lengths, similarity).T[[3, 0]][:, [1, 5, 2]]
    torch.testing.assert_close(block, wanted, rtol=1e-5, atol=1e-6)
