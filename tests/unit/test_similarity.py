"""Scores against the released implementation, a plain loop, and themselves in other blocks and paddings."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from released_layout import golden
from vgspeech.config import SimilarityConfig
from vgspeech.models import Frames
from vgspeech.similarity import caption_caption_matrix, matchmap, pair_scores, pool_frames, pool_grid, score_matrix

TYPES = ["SISA", "MISA", "SIMA"]


def _loop(grids: torch.Tensor, frames: torch.Tensor, lengths: torch.Tensor, config: SimilarityConfig) -> torch.Tensor:
    """One pair at a time, as the definitions say."""
    scores = torch.zeros(len(grids), len(frames))
    for i, grid in enumerate(grids):
        for a, (caption, length) in enumerate(zip(frames, lengths, strict=True)):
            cells, valid = grid.flatten(0, 1), caption[:length]
            if config.normalise and config.type == "SISA":
                scores[i, a] = F.cosine_similarity(cells.mean(0), valid.mean(0), dim=0)
                continue
            if config.normalise:
                cells, valid = F.normalize(cells, dim=1), F.normalize(valid, dim=1)
            dots = valid @ cells.t()
            mean_of = {"SISA": dots, "MISA": dots.max(1)[0], "SIMA": dots.max(0)[0]}
            scores[i, a] = mean_of[config.type].mean()
    return scores


def _batch(images: int = 5, captions: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    lengths = torch.tensor([9, 1, 14, 4, 4, 2, 11][:captions])
    frames = torch.randn(captions, 14, 6)
    return torch.randn(images, 3, 4, 6), frames, lengths


@pytest.mark.parametrize("kind", TYPES)
def test_scores_are_the_released_ones(kind: str) -> None:
    stored = {name: torch.from_numpy(values) for name, values in golden("similarity_losses").items()}
    grids, frames = stored["image"].permute(0, 2, 3, 1), stored["audio"].transpose(1, 2)
    scores = score_matrix(grids, frames, stored["nframes"], SimilarityConfig(kind))  # type: ignore[arg-type]
    torch.testing.assert_close(scores, stored[kind], rtol=1e-4, atol=1e-5)
    if kind == "SISA":
        torch.testing.assert_close(scores, stored["pooldot"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_any_block_and_padding_gives_the_same_scores(kind: str, normalise: bool) -> None:
    grids, frames, lengths = _batch()
    config = SimilarityConfig(kind, normalise)  # type: ignore[arg-type]
    expected = _loop(grids, frames, lengths, config)
    padded = F.pad(frames, (0, 0, 0, 9), value=77.0)
    padded = torch.where((torch.arange(23) < lengths[:, None])[:, :, None], padded, 77.0)
    for block in (1, 100, 1000, 1 << 24):
        actual = score_matrix(grids, padded, lengths, config, block=block)
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_gradients_are_those_of_the_loop(kind: str) -> None:
    grids, frames, lengths = _batch()
    config = SimilarityConfig(kind, True)  # type: ignore[arg-type]
    weights = torch.randn(5, 7)
    found = []
    blocks, loop = (
        lambda g, f: score_matrix(g, f, lengths, config, block=60),
        lambda g, f: _loop(g, f, lengths, config),
    )
    for score in (blocks, loop):
        g, f = grids.clone().requires_grad_(), frames.clone().requires_grad_()
        (score(g, f) * weights).sum().backward()
        found.append((g.grad, f.grad))
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5)


def test_half_precision_embeddings_are_scored_in_float32() -> None:
    grids, frames, lengths = _batch()
    grids, frames = grids.bfloat16(), frames.bfloat16()
    expected = _loop(grids.float(), frames.float(), lengths, SimilarityConfig("MISA"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = score_matrix(grids, frames, lengths, SimilarityConfig("MISA"))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_single_item_and_none() -> None:
    grids, frames, lengths = _batch()
    for kind in TYPES:
        config = SimilarityConfig(kind)  # type: ignore[arg-type]
        whole = score_matrix(grids, frames, lengths, config)
        torch.testing.assert_close(score_matrix(grids[2:3], frames[4:5], lengths[4:5], config), whole[2:3, 4:5])
        assert score_matrix(grids, frames[:0], lengths[:0], config).shape == (5, 0)


def test_pairs_of_views_by_name() -> None:
    grids, frames, lengths = _batch(images=7)
    other = Frames(torch.randn(7, 5, 6), torch.tensor([5, 5, 3, 2, 1, 4, 5]))
    views = {"image": grids, "en": Frames(frames, lengths), "hi": other}
    misa, cosine = SimilarityConfig("MISA"), SimilarityConfig("SISA", True)
    torch.testing.assert_close(pair_scores(views, ("image", "en"), misa), score_matrix(grids, frames, lengths, misa))
    torch.testing.assert_close(pair_scores(views, ("en", "image"), misa), pair_scores(views, ("image", "en"), misa).t())
    pooled = pool_frames(*views["en"]), pool_frames(*other)
    torch.testing.assert_close(pair_scores(views, ("en", "hi"), cosine), caption_caption_matrix(*pooled, cosine))
    expected = F.cosine_similarity(pooled[0][:, None], pooled[1][None], dim=-1)
    torch.testing.assert_close(caption_caption_matrix(*pooled, cosine), expected)
    torch.testing.assert_close(pool_frames(frames, lengths)[1], frames[1, 0])


def test_a_matchmap_averages_to_sisa() -> None:
    grids, frames, lengths = _batch()
    full = matchmap(grids[1], frames[2, : lengths[2]])
    assert full.shape == (14, 3, 4)
    torch.testing.assert_close(full[5, 2, 1], grids[1, 2, 1] @ frames[2, 5])
    torch.testing.assert_close(full.mean(), score_matrix(grids, frames, lengths, SimilarityConfig())[1, 2])
    torch.testing.assert_close(pool_grid(grids)[1], grids[1].flatten(0, 1).mean(0))
