"""The codebook against the released one; what its gradient, its statistics and its jitter are."""

from __future__ import annotations

import pytest
import torch

from released_layout import golden
from vgspeech.models.masked import FrameMask
from vgspeech.models.quantizer import VectorQuantizer, jitter

CPU = torch.device("cpu")


def _as_batch(frames: torch.Tensor) -> tuple[torch.Tensor, FrameMask]:
    """(N, C) frames as one utterance."""
    return frames.t()[None, :, None], FrameMask(torch.tensor([len(frames)]), len(frames), CPU)


def test_three_updates_are_the_released_ones() -> None:
    stored = {name: torch.from_numpy(values) for name, values in golden("vq_ema").items()}
    quantizer = VectorQuantizer(8, 4, decay=0.99, eps=1e-8).train()
    quantizer.codebook.copy_(stored["codebook0"])
    quantizer.sums.copy_(stored["codebook0"])
    for step in range(3):
        output = quantizer(*_as_batch(stored["inputs"]))
        assert torch.equal(output.codes[0], stored[f"codes{step}"])
        torch.testing.assert_close(output.loss, stored[f"loss{step}"].mean(), rtol=1e-4, atol=1e-6)
        quantizer.update()
        torch.testing.assert_close(quantizer.codebook, stored[f"codebook{step + 1}"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(quantizer.mass, stored[f"cluster_size{step + 1}"], rtol=1e-4, atol=1e-6)


def test_gradient_passes_straight_through_and_commits() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(5, 3, weight=0.25).train()
    frames = torch.randn(10, 3, requires_grad=True)
    output = quantizer(*_as_batch(frames))
    upstream = torch.randn_like(output.values)
    (through,) = torch.autograd.grad((output.values * upstream).sum(), frames, retain_graph=True)
    torch.testing.assert_close(through, upstream[0, :, 0].t())
    (commitment,) = torch.autograd.grad(output.loss, frames)
    chosen = quantizer.codebook[output.codes[0]]
    torch.testing.assert_close(commitment, 0.25 * 2 * (frames - chosen) / frames.numel())
    torch.testing.assert_close(output.values[0, :, 0].t(), chosen)


def test_padding_has_no_code_and_no_weight() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(6, 3).train()
    x = torch.randn(2, 3, 1, 5)
    output = quantizer(x, FrameMask(torch.tensor([5, 2]), 5, CPU))
    assert output.codes[1, 2:].tolist() == [-1, -1, -1]
    assert not output.values[1, :, :, 2:].any()
    assert float(quantizer.batch_counts.sum()) == 7
    x[1, :, :, 2:] = 50
    assert torch.equal(quantizer(x, FrameMask(torch.tensor([5, 2]), 5, CPU)).loss, output.loss)
    released = quantizer(x, FrameMask(torch.tensor([5, 2]), 5, CPU), compat=True)
    assert released.values[1, :, :, 2:].any()
    assert torch.equal(released.loss, output.loss)


def test_evaluation_collects_nothing() -> None:
    quantizer = VectorQuantizer(6, 3).eval()
    before = {key: value.clone() for key, value in quantizer.state_dict().items()}
    quantizer(*_as_batch(torch.randn(9, 3)))
    assert not quantizer.batch_counts.any()
    assert all(torch.equal(before[key], value) for key, value in quantizer.state_dict().items())


def test_usage_counts_perplexity_and_dead_codes() -> None:
    quantizer = VectorQuantizer(4, 2).train()
    quantizer.codebook.copy_(torch.tensor([[0.0, 0], [10, 0], [0, 10], [50, 50]]))
    assert quantizer.perplexity() == 0.0
    quantizer(*_as_batch(torch.tensor([[0.0, 1], [9, 0], [11, 0], [1, 0], [0, 9], [0, 11]])))
    quantizer.update()
    assert quantizer.perplexity() == pytest.approx(3.0)
    assert quantizer.dead_codes() == 1
    quantizer.reset_usage()
    assert quantizer.dead_codes() == 4


def test_jitter_takes_neighbours_alike_within_the_utterance() -> None:
    torch.manual_seed(0)
    width = 400
    x = torch.arange(1.0, width + 1).repeat(8, 1)[:, None, None]
    lengths = torch.tensor([width] * 7 + [3])
    mask = FrameMask(lengths, width, CPU)
    moved = (jitter(mask.apply(x), 0.12, mask) - mask.apply(x))[:, 0, 0]
    assert set(moved[:7].unique().tolist()) == {-1.0, 0.0, 1.0}
    for offset in (-1.0, 1.0):
        assert float((moved[:7, 1:-1] == offset).float().mean()) == pytest.approx(0.12, abs=0.02)
    assert not torch.equal(moved[0], moved[1])
    assert not moved[7, 3:].any()
    assert float(jitter(mask.apply(x), 0.49, mask)[7, 0, 0, :3].max()) <= 3.0


def test_released_jitter_was_one_frame_late_and_shared() -> None:
    torch.manual_seed(0)
    x = torch.arange(400.0).repeat(3, 1)[:, None, None]
    moved = (jitter(x, 0.12, None, compat=True) - x)[:, 0, 0]
    assert torch.equal(moved[0], moved[1])
    assert set(moved[0, :-2].unique().tolist()) == {0.0, 1.0, 2.0}
    assert float(moved[0, :-2].mean()) == pytest.approx(1.0, abs=0.1)
