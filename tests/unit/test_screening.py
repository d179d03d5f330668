"""Ranks from rough scores with error bounds: those of full precision, ties and near ties included."""

from __future__ import annotations

import pytest
import torch

from vgspeech import screening
from vgspeech.retrieval import stream_ranks
from vgspeech.screening import Screen, chosen_at_once, chosen_misa, list_frames, rough_misa


def corpus(items: int, dim: int, signal: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Grids (items, 2, 3, dim), frames (items, 9, dim) and lengths; item i of both shares a direction."""
    generator = torch.Generator().manual_seed(4)
    shared = torch.randn(items, dim, generator=generator)
    grids = torch.randn(items, 2, 3, dim, generator=generator)
    frames = torch.randn(items, 9, dim, generator=generator) + signal * shared[:, None]
    grids[:, 0, 1] += signal * shared
    return grids, frames, torch.randint(1, 10, (items,), generator=generator)


def exact_scores(grids: torch.Tensor, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """One pair at a time, summed in float64: (captions, images) float32."""
    rows = []
    for caption, length in zip(frames.double(), lengths.tolist(), strict=True):
        rows.append([float((caption[:length] @ grid.flatten(0, 1).t()).amax(1).mean()) for grid in grids.double()])
    return torch.tensor(rows).float()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_no_score_is_further_off_than_its_bound(dtype: torch.dtype, size: float) -> None:
    grids, frames, lengths = corpus(12, 64, 0.5)
    frames = frames * size
    exact = exact_scores(grids, frames, lengths)
    listed = list_frames(frames, lengths)
    scores, error = rough_misa(grids.flatten(1, 2), listed, dtype, 100)
    assert ((scores - exact).abs() <= error).all()
    assert (error < 0.1 * size * 64).all()  # a bound, not a shrug
    wanted = torch.rand(12, 12) < 0.4
    for precise in (torch.float32, torch.float64):
        torch.testing.assert_close(chosen_misa(grids.flatten(1, 2), listed, wanted, precise), exact[wanted])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pairs_of_a_gpu_have_the_same_scores(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """How pairs are scored again there, here on the processor: in blocks of five, each filled up to its longest caption."""
    monkeypatch.setattr(screening, "_PAIRS", 5)
    grids, frames, lengths = corpus(12, 64, 0.5)
    cells, listed = grids.flatten(1, 2), list_frames(frames, lengths)
    for part in (0.0, 0.3, 1.1):
        wanted = torch.rand(12, 12, generator=torch.Generator().manual_seed(1)) < part
        found = chosen_at_once(cells, listed, wanted, dtype)
        torch.testing.assert_close(found, chosen_misa(cells, listed, wanted, dtype))
        assert found.dtype == torch.float32 and len(found) == int(wanted.sum())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_ranks_are_those_of_full_precision(dtype: torch.dtype, signal: float) -> None:
    grids, frames, lengths = corpus(60, 32, signal)
    frames[1], lengths[1] = frames[0], lengths[0]  # an exact tie: two images with the same caption
    grids[7] = grids[3]
    frames[5] = frames[4] * (1 + 1e-6)  # a tie but for the last bits
    lengths[5] = lengths[4]
    exact = exact_scores(grids, frames, lengths)
    labels, images = torch.arange(60), torch.arange(60)
    labels[9] = 8  # an image with two captions, and one with none
    expected = stream_ranks(lambda rows, columns: exact[rows][:, columns], labels, images)
    for block in (60, 17):
        screen = Screen(lambda r: (frames[r], lengths[r]), lambda c: grids[c], False, dtype, block=500)
        found = stream_ranks(screen, labels, images, block)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert 0 < screen.rescored < 0.3 * 60 * 60


def test_a_constant_model_ranks_last_and_nan_is_refused() -> None:
    grids, frames = torch.full((20, 2, 2, 8), 0.3), torch.full((20, 4, 8), 0.7)
    screen = Screen(lambda r: (frames[r], torch.full((len(r),), 4)), lambda c: grids[c], True, torch.bfloat16)
    for ranks in stream_ranks(screen, torch.arange(20), torch.arange(20), 6):
        assert ranks.tolist() == [20] * 20
