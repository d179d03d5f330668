"""Objectives on a matrix of scores: matching pairs above all others, in both directions.

Every loss takes scores (A, B) of row items against column items, and ``same`` (A, B) bool, true where row and column
belong to the same image (:func:`same_image`). Such entries are matches; they are never impostors for each other. Rows
or columns without a match (the image has no caption in that language) serve as impostors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mining = Literal["sampled", "semihard", "hard"]

_NEVER = -1e30
"""A score that no softmax sees, finite so that a row without impostors has a gradient of zero and not NaN."""


Ids = Sequence[str] | Sequence[int] | Tensor


def same_image(row_ids: Ids, column_ids: Ids, device: torch.device | str = "cpu") -> Tensor:
    """(A, B) bool: row a and column b belong to one image.

    Args:
        row_ids: image id of each row item, for example of every image of a batch.
        column_ids: image id of each column item, for example of the captions in one language, which some images lack.
    """
    numbers: dict[str | int, int] = {}
    listed = (ids.tolist() if isinstance(ids, Tensor) else ids for ids in (row_ids, column_ids))
    rows, columns = (torch.tensor([numbers.setdefault(i, len(numbers)) for i in ids]) for ids in listed)
    return (rows[:, None] == columns[None, :]).to(device)


def infonce(scores: Tensor, same: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Mean of the two directions' cross-entropies of each match against its impostors (van den Oord et al. 2018).

    For a match (a, b) the row direction is ``-log(e^s_ab / (e^s_ab + sum of e^s_ak over impostors k))`` with s the
    scaled scores: other matches of the same image are left out of the denominator. 0 when there is no match.

    Args:
        scores: (A, B) similarities.
        same: (A, B) bool.
        scale: factor on the scores, the inverse temperature.
    """
    return _cross_entropy(scores * scale, same)


def masked_margin(scores: Tensor, same: Tensor, margin: float = 0.001, scale: Tensor | float = 1.0) -> Tensor:
    """Masked margin softmax of Ilharco, Zhang, Baldridge (2019), arXiv 1909.08782.

    :func:`infonce` with ``margin`` taken off every match: for a match (a, b) the row direction is
    ``-log(e^(s_ab - d) / (e^(s_ab - d) + sum of e^s_ak over impostors k))``, where s are the scaled scores, d is
    ``scale * margin``, and the mask of the paper leaves out other matches of the same image. The mean of the two
    directions, where the paper takes their sum. AVLnet uses margin 0.001 and scale 1, FaST-VGS margin 1 and scale 1.

    Args:
        scores: (A, B) similarities.
        same: (A, B) bool.
        margin: in units of the scores.
        scale: factor on scores and margin.
    """
    return _cross_entropy(scores * scale, same, scale * margin, scale * margin)


def adaptive_margin(scores: Tensor, same: Tensor, factor: float = 0.5, scale: Tensor | float = 1.0) -> Tensor:
    """Adaptive mean margin of Monfort et al. (2021), Spoken Moments, arXiv 2105.04489.

    :func:`masked_margin` with another margin for every match (a, b) and direction: ``factor`` times what the match scores
    above the mean of its impostors, in the row direction ``factor * (s_ab - mean of s_ak over impostors k)``. The better a
    match is told from its impostors already, the more is asked. The margin is a constant to the gradient: through it the
    loss would push the impostors' mean up.

    Args:
        scores: (A, B) similarities.
        same: (A, B) bool.
        factor: the paper's alpha; 0 gives :func:`infonce`.
        scale: factor on the scores.
    """
    scaled = scores * scale
    legal = (~same).to(scaled.dtype)
    values = scaled.detach()
    margins = [
        factor * (values - (values * legal).sum(axis, keepdim=True) / legal.sum(axis, keepdim=True).clamp_min(1))
        for axis in (1, 0)
    ]
    return _cross_entropy(scaled, same, *margins)


def _cross_entropy(
    scaled: Tensor, same: Tensor, row_margin: Tensor | float = 0.0, column_margin: Tensor | float = 0.0
) -> Tensor:
    """Of each match, lowered by its margin, against its impostors; the mean of the two directions."""
    impostors = scaled.masked_fill(same, _NEVER)
    rows = F.softplus(impostors.logsumexp(1, keepdim=True) + row_margin - scaled)
    columns = F.softplus(impostors.logsumexp(0, keepdim=True) + column_margin - scaled)
    return torch.where(same, rows + columns, 0.0).sum() / (2 * same.sum().clamp_min(1))


def triplet(
    scores: Tensor,
    same: Tensor,
    mining: Sequence[Mining] = ("sampled", "semihard"),
    margin: float = 1.0,
    generator: torch.Generator | None = None,
    compat: bool = False,
) -> Tensor:
    """Hinge losses of each match against an impostor of its row and of its column, summed over directions and minings.

    A term is the mean over matches of ``max(0, margin + impostor - match)``; a match without a legal impostor adds 0.
    Impostors (Harwath et al. 2018; 2020): ``sampled``: a random one; ``semihard``: the most similar that is still less
    similar than the match; ``hard``: the most similar.

    Args:
        scores: (A, B) similarities.
        same: (A, B) bool.
        mining: the kinds of impostors to use.
        margin: of the hinge, in units of the scores.
        generator: of the sampled impostors, on the CPU.
        compat: semi-hard as released: refused entries count as impostors of score 0, even if all others are negative.
    """
    total = scores.new_zeros(())
    for values, match in ((scores, same), (scores.t(), same.t())):
        for kind in mining:
            total = total + _direction(values, match, kind, margin, generator, compat)
    return total


def _direction(
    scores: Tensor, same: Tensor, kind: Mining, margin: float, generator: torch.Generator | None, compat: bool
) -> Tensor:
    """The hinge terms of every match against one impostor of its row."""
    anchors, columns = same.nonzero(as_tuple=True)
    if len(anchors) == 0:
        return scores.sum() * 0.0
    matches = scores[anchors, columns]
    rows, legal = scores[anchors], ~same[anchors]
    if kind == "semihard":
        legal = legal & (rows < matches[:, None])
    preference = rows.detach()
    if kind == "sampled":  # drawn on the CPU, so that a GPU run picks the impostors a CPU run picks
        preference = torch.rand(legal.shape, generator=generator).to(scores.device)
    if kind == "semihard" and compat:
        impostors = (rows * legal).max(1)[0]
        found = torch.ones_like(legal[:, 0])
    else:
        choice = preference.masked_fill(~legal, -torch.inf).argmax(1, keepdim=True)
        impostors = rows.gather(1, choice).squeeze(1)
        found = legal.any(1)
    return torch.where(found, F.relu(margin + impostors - matches), 0.0).mean()
