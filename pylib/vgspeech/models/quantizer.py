"""Vector quantisation of frames with a codebook that follows its frames by exponential moving averages.

A frame is replaced by its nearest code (Euclidean); the gradient passes straight through; the codebook learns by moving
averages of the frames assigned to each code (van den Oord et al. 2017, appendix A.1; Harwath, Hsu, Glass 2020).
Codes are handled as indices throughout: no frames x codes one-hot matrix is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vgspeech.models.masked import FrameMask, is_distributed

_DISTANCE_BLOCK = 8192
"""Frames whose distances to all codes are held at once."""


class Quantized(NamedTuple):
    """A quantised batch: ``values`` (B, C, 1, T), ``codes`` (B, T) int64 (-1 on padding), ``loss`` a scalar."""

    values: Tensor
    codes: Tensor
    loss: Tensor


class VectorQuantizer(nn.Module):
    """A codebook of ``size`` vectors of ``dim`` numbers.

    Args:
        decay: of the moving averages, applied once for each :meth:`update`.
        weight: factor on the commitment loss.
        eps: Laplace smoothing of the code counts.
    """

    codebook: Tensor
    mass: Tensor
    sums: Tensor
    usage: Tensor
    batch_counts: Tensor
    batch_sums: Tensor

    def __init__(self, size: int, dim: int, decay: float = 0.99, weight: float = 1.0, eps: float = 1e-8) -> None:
        super().__init__()
        self.decay, self.weight, self.eps = decay, weight, eps
        self.register_buffer("codebook", torch.randn(size, dim))
        self.register_buffer("mass", torch.ones(size))
        self.register_buffer("sums", self.codebook.clone())
        # Frames per code since reset_usage(); saved, so that a resumed epoch reports what an uninterrupted one does.
        self.register_buffer("usage", torch.zeros(size))
        self.register_buffer("batch_counts", torch.zeros(size), persistent=False)
        self.register_buffer("batch_sums", torch.zeros(size, dim), persistent=False)

    def assign(self, frames: Tensor) -> Tensor:
        """Index (N,) of the code nearest to each of the frames (N, C); the lowest index among equals."""
        with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
            codebook = self.codebook
            squares = codebook.square().sum(1)
            blocks = frames.detach().to(codebook.dtype).split(_DISTANCE_BLOCK)
            nearest = [torch.addmm(squares, block, codebook.t(), alpha=-2).argmin(1) for block in blocks]
        return torch.cat(nearest)

    def forward(self, x: Tensor, mask: FrameMask, compat: bool = False) -> Quantized:
        """Quantise activations (B, C, 1, T). In training, the batch's share of the moving averages is put aside.

        Loss and averages are of valid frames only; padding becomes zero, or with ``compat`` is quantised like the rest.
        """
        batch, dim, _, width = x.shape
        listed = x.permute(0, 2, 3, 1).reshape(batch * width, dim)
        frames = listed.index_select(0, mask.rows).to(self.codebook.dtype)
        codes = self.assign(frames)
        chosen = self.codebook.index_select(0, codes)
        loss = self.weight * (frames - chosen).square().sum() / self._share(frames)
        if self.training:
            self.batch_counts.index_add_(0, codes, torch.ones_like(codes, dtype=self.batch_counts.dtype))
            self.batch_sums.index_add_(0, codes, frames.detach())
        padded = codes.new_full((batch * width,), -1).index_copy_(0, mask.rows, codes)
        if compat:
            values = self.codebook.index_select(0, self.assign(listed)).to(x.dtype)
        else:
            values = x.new_zeros(listed.shape).index_copy_(0, mask.rows, chosen.to(x.dtype))
        straight = listed + (values - listed).detach()
        straight = straight.view(batch, 1, width, dim).permute(0, 3, 1, 2)
        return Quantized(straight, padded.view(batch, width), loss)

    def _share(self, frames: Tensor) -> float:
        """Numbers that the commitment loss is a mean over: of an average process, in training, so that the mean of all
        processes' losses is that of the whole batch."""
        count = float(frames.numel())
        if self.training and is_distributed():
            total = torch.tensor(count, dtype=torch.float64, device=frames.device)
            dist.all_reduce(total)
            count = float(total) / dist.get_world_size()
        return max(count, 1.0)

    @torch.no_grad()
    def update(self) -> None:
        """Move the codebook towards the frames seen since the last update, of all processes; once per training step."""
        if is_distributed():
            dist.all_reduce(self.batch_counts)
            dist.all_reduce(self.batch_sums)
        self.usage.add_(self.batch_counts)
        self.mass.lerp_(self.batch_counts, 1 - self.decay)
        total = self.mass.sum()
        # The released code keeps the smoothed counts as the next step's average; so do we.
        self.mass.add_(self.eps).mul_(total / (total + self.mass.numel() * self.eps))
        self.sums.lerp_(self.batch_sums, 1 - self.decay)
        self.codebook.copy_(self.sums / self.mass[:, None])
        self.batch_counts.zero_()
        self.batch_sums.zero_()

    def perplexity(self) -> float:
        """exp(entropy) of the codes used since :meth:`reset_usage`: the number of codes in effective use; 0 if none."""
        total = self.usage.sum()
        if not bool(total > 0):
            return 0.0
        share = (self.usage / total).double()
        return float(torch.exp(-torch.special.xlogy(share, share).sum()))

    def dead_codes(self) -> int:
        """Codes that no frame was assigned to since :meth:`reset_usage`."""
        return int((self.usage == 0).sum())

    def reset_usage(self) -> None:
        """Start counting codes anew (at an epoch's start)."""
        self.usage.zero_()


def jitter(x: Tensor, chance: float, mask: FrameMask | None, compat: bool = False) -> Tensor:
    """Replace frames at random by their left or right neighbour (Chorowski et al. 2019), within each caption.

    Args:
        x: activations (rows, C, 1, width).
        chance: probability of the left neighbour, and of the right one.
        mask: valid frames; a frame whose neighbour is not one of them stays.
        compat: as the released code: one draw for the whole batch, and offsets 0, 1, 2 where -1, 0, 1 was meant.
    """
    rows, width = x.shape[0], x.shape[-1]
    draw = torch.rand(1 if compat else rows, width, device=x.device)
    offset = (draw >= 1 - chance).long() - (draw < chance).long() + int(compat)
    here = torch.arange(width, device=x.device).expand(rows, width)
    source = (here + offset).clamp(0, width - 1)
    if mask is not None:
        source = torch.where(mask.grid & mask.grid.gather(1, source), source, here)
    return x.gather(3, source[:, None, None, :].expand_as(x))
