"""Losses against the released values and plain loops; what may and may not be an impostor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from released_layout import golden
from vgspeech.losses import Mining, adaptive_margin, infonce, masked_margin, same_image, triplet

EYE = torch.eye(6, dtype=torch.bool)


def _scores(seed: int = 0, rows: int = 6, columns: int = 6) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sign", ["pos", "neg"])
def test_compat_semihard_is_the_released_one(sign: str) -> None:
    stored = {name: torch.from_numpy(values) for name, values in golden("similarity_losses").items()}
    scores = stored[f"S_{sign}"]
    same = torch.eye(len(scores), dtype=torch.bool)
    expected = stored[f"semihard_rows_{sign}"] + stored[f"semihard_cols_{sign}"]
    torch.testing.assert_close(triplet(scores, same, ["semihard"], 1.0, compat=True), expected, rtol=1e-4, atol=1e-5)
    if sign == "neg":  # the phantom impostor of score 0 makes a difference
        assert abs(float(triplet(scores, same, ["semihard"], 1.0) - expected)) > 0.1


def test_infonce_is_symmetric_cross_entropy() -> None:
    scores, labels = _scores(), torch.arange(6)
    expected = (F.cross_entropy(3 * scores, labels) + F.cross_entropy(3 * scores.t(), labels)) / 2
    torch.testing.assert_close(infonce(scores, EYE, 3.0), expected)
    torch.testing.assert_close(infonce(40 * scores, EYE, 3.0), infonce(scores, EYE, 120.0))


def test_infonce_of_a_constant_score_is_chance() -> None:
    torch.testing.assert_close(infonce(torch.zeros(6, 6), EYE), torch.tensor(6.0).log())


def test_infonce_learns_its_scale() -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    infonce(torch.eye(6), EYE, scale).backward()
    assert scale.grad is not None
    assert scale.grad < 0


@pytest.mark.parametrize("mining", ["infonce", "sampled", "semihard", "hard"])
def test_items_of_the_same_image_are_never_impostors(mining: str) -> None:
    """Rows 0 and 1 are of one image: what they score with each other's partner gets no push."""
    same = same_image(["a", "a", "b", "c"], ["a", "a", "b", "c"])
    scores = _scores(3, 4, 4)
    scores[0, 1] = scores[1, 0] = 5.0

    def loss(values: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
        if mining == "infonce":
            return infonce(values, match)
        return triplet(values, match, [mining], 10.0, torch.Generator().manual_seed(0))  # type: ignore[list-item]

    values = scores.clone().requires_grad_()
    loss(values, same).backward()
    assert values.grad is not None
    assert float(values.grad[0, 1]) <= 0  # a match may be pulled together, never apart
    assert float(values.grad[1, 0]) <= 0
    if mining == "infonce":
        by_hand = 0.0
        for matrix, match in ((scores, same), (scores.t(), same.t())):
            for row, column in match.nonzero().tolist():
                kept = torch.cat([matrix[row, column][None], matrix[row][~match[row]]])
                by_hand = by_hand + (kept.logsumexp(0) - matrix[row, column])
        torch.testing.assert_close(loss(scores, same), by_hand / 12)


@pytest.mark.parametrize("mining", ["semihard", "hard"])
def test_triplet_is_the_loop_over_anchors(mining: Mining) -> None:
    scores = _scores(1)
    total = 0.0
    for matrix in (scores, scores.t()):
        for anchor in range(6):
            match = matrix[anchor, anchor]
            impostors = torch.cat([matrix[anchor, :anchor], matrix[anchor, anchor + 1 :]])
            if mining == "semihard":
                impostors = impostors[impostors < match]
            if len(impostors):
                total = total + F.relu(0.5 + impostors.max() - match) / 6
    torch.testing.assert_close(triplet(scores, EYE, [mining], 0.5), total)


def test_sampled_impostors_follow_the_generator_and_reach_all() -> None:
    scores = _scores(2)

    def once(seed: int) -> float:
        return float(triplet(scores, EYE, ["sampled"], 1.0, torch.Generator().manual_seed(seed)))

    assert once(4) == once(4)
    values = torch.zeros(6, 6, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        triplet(values, EYE, ["sampled"], 1.0, generator).backward()
    assert values.grad is not None
    off = values.grad[~EYE]
    assert float(off.min()) > 0
    assert float(off.max() / off.min()) < 2.5
    assert bool((values.grad[EYE] < 0).all())


def test_minings_and_directions_are_summed() -> None:
    scores = _scores(5)
    parts = [triplet(scores, EYE, [kind], 1.0) for kind in ("semihard", "hard")]
    torch.testing.assert_close(triplet(scores, EYE, ["semihard", "hard"], 1.0), sum(parts))
    torch.testing.assert_close(triplet(scores.t(), EYE, ["hard"], 1.0), parts[1])


@pytest.mark.parametrize("loss", ["infonce", "sampled", "semihard", "hard"])
def test_missing_captions_and_lonely_anchors_are_harmless(loss: str) -> None:
    """Five images, three captions of which one is of none of them; then nothing but matches; then no match at all."""
    cases = [
        same_image(["a", "b", "c", "d", "e"], ["d", "b", "x"]),
        torch.ones(2, 2, dtype=torch.bool),
        torch.zeros(2, 3, dtype=torch.bool),
        torch.ones(1, 1, dtype=torch.bool),
    ]
    for same in cases:
        scores = _scores(7, *same.shape).requires_grad_()
        if loss == "infonce":
            value = infonce(scores, same)
        else:
            value = triplet(scores, same, [loss], 3.0, torch.Generator().manual_seed(1))  # type: ignore[list-item]
        value.backward()
        assert torch.isfinite(value)
        assert scores.grad is not None
        assert torch.isfinite(scores.grad).all()
        if same.all() or not same.any():
            assert float(value.detach()) == 0.0
        else:
            assert float(value.detach()) > 0.0


def test_ids_may_be_names_numbers_or_tensors() -> None:
    expected = torch.tensor([[False, True], [False, False], [True, False]])
    assert torch.equal(same_image(["x", "y", "z"], ["z", "x"]), expected)
    assert torch.equal(same_image([4, 5, 6], [6, 4]), expected)
    assert torch.equal(same_image(torch.tensor([4, 5, 6]), torch.tensor([6, 4])), expected)


def test_margins_are_taken_off_the_match_and_other_matches_are_masked() -> None:
    """Against the published formulas, written out; rows 0 and 1 are of one image, column 3 is of none."""
    same = same_image(["a", "a", "b"], ["a", "b", "a", "x"])
    scores, scale, margin, alpha = _scores(4, 3, 4), 3.0, 0.2, 0.5
    masked, adaptive = 0.0, 0.0
    for matrix, match in ((scores, same), (scores.t(), same.t())):
        for row, column in match.nonzero().tolist():
            impostors = matrix[row][~match[row]]
            for kind in ("masked", "adaptive"):
                by_mean = alpha * (matrix[row, column] - impostors.mean())
                lowered = matrix[row, column] - (margin if kind == "masked" else by_mean)
                term = torch.cat([scale * lowered[None], scale * impostors]).logsumexp(0) - scale * lowered
                masked, adaptive = (masked + term, adaptive) if kind == "masked" else (masked, adaptive + term)
    count = 2 * int(same.sum())
    torch.testing.assert_close(masked_margin(scores, same, margin, scale), masked / count)
    torch.testing.assert_close(adaptive_margin(scores, same, alpha, scale), adaptive / count)
    torch.testing.assert_close(masked_margin(scores, same, 0.0, scale), infonce(scores, same, scale))
    torch.testing.assert_close(adaptive_margin(scores, same, 0.0, scale), infonce(scores, same, scale))


@pytest.mark.parametrize("loss", [masked_margin, adaptive_margin])
def test_margin_losses_push_impostors_only_down_and_survive_missing_captions(loss: Callable[..., Tensor]) -> None:
    for same in (EYE, same_image(["a", "b", "c"], ["b", "x"]), torch.ones(2, 2).bool(), torch.zeros(2, 3).bool()):
        scores = _scores(6, *same.shape).requires_grad_()
        value = loss(scores, same, 0.5, 2.0)
        value.backward()
        assert torch.isfinite(value) and scores.grad is not None and torch.isfinite(scores.grad).all()
        assert bool((scores.grad[~same] >= 0).all()) and bool((scores.grad[same] <= 0).all())
        assert (float(value.detach()) > 0) == bool(same.any() and not same.all())
