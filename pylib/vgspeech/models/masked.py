"""Layers for batches of unequal length in which padding has no influence.

A batch of captions is padded to its longest. Three things would let that padding leak into an embedding: convolutions
read it at an utterance's end, batch statistics count it, and pooling averages it. Here every activation is zero outside
the valid frames (a :class:`FrameMask` says which those are), batch statistics are taken over valid frames only, and the
lengths travel with the values. With several processes the statistics are those of the whole batch.

Activations are (B, C, 1, T) in channels-last memory, so that a frame is one contiguous vector of C numbers: collecting
the valid frames, running the ordinary fused kernels on them and putting them back then costs only two copies.
"""

from __future__ import annotations

import heapq
from functools import cached_property
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vgspeech.errors import DataError

PACKED_ROWS = 16
WIDTH_STEP = 64  # feature frames
keep_running_statistics = False
"""True while activations are computed a second time (`vgspeech.models.recompute`)."""


class Frames(NamedTuple):
    """Frames of a padded batch: ``values`` (B, T, D), zero outside the first ``lengths`` (B,) frames of each row."""

    values: Tensor
    lengths: Tensor


class FrameMask:
    """Where the frames of a batch of captions stand in a plane of rows x width frames; all else is padding, and zero.

    Args:
        lengths: (B,) frames of each caption, kept on the CPU so that counting frames never waits for a GPU.
        width: frames in a row.
        device: where the masked activations live.
        places: (B, 2) row and first column of each caption; by default row b and column 0.

    Raises:
        DataError: a length is zero, or a caption exceeds its row.
    """

    def __init__(self, lengths: Tensor, width: int, device: torch.device, places: Tensor | None = None) -> None:
        self.lengths = lengths.cpu().long()
        self.width = width
        self.device = device
        self.places = F.pad(torch.arange(len(lengths))[:, None], (0, 1)) if places is None else places
        if len(lengths) and int(self.lengths.min()) < 1:
            number = int(self.lengths.argmin())
            raise DataError("a caption without frames cannot be encoded", where=f"caption {number} of the batch")
        beyond = self.lengths + self.places[:, 1] > width
        if beyond.any():
            number = int(beyond.long().argmax())
            what = f"length {int(self.lengths[number])} exceeds the {width} frames given"
            raise DataError(what, where=f"caption {number} of the batch")
        self._weights: dict[torch.dtype, Tensor] = {}

    @property
    def height(self) -> int:
        """Rows of the plane."""
        return int(self.places[:, 0].max()) + 1 if len(self.places) else 0

    @cached_property
    def full(self) -> bool:
        """True when nothing is padding."""
        return int(self.lengths.sum()) == self.height * self.width

    @cached_property
    def rows(self) -> Tensor:
        """Indices of the valid frames among all of the plane, caption after caption."""
        starts = self.places[:, 0] * self.width + self.places[:, 1]
        before = self.lengths.cumsum(0) - self.lengths
        steps = torch.arange(int(self.lengths.sum()))
        return (steps + (starts - before).repeat_interleave(self.lengths)).to(self.device, non_blocking=True)

    @cached_property
    def grid(self) -> Tensor:
        """(rows, width) bool, true for valid frames."""
        plane = torch.zeros(self.height * self.width, dtype=torch.bool, device=self.device)
        return plane.index_fill_(0, self.rows, True).view(self.height, self.width)

    def apply(self, x: Tensor) -> Tensor:
        """Activations (rows, C, 1, width) with zeros in place of padding."""
        if self.full:
            return x
        if x.dtype not in self._weights:
            self._weights[x.dtype] = self.grid.to(x.dtype)[:, None, None, :]
        return x * self._weights[x.dtype]

    def strided(self, stride: int) -> FrameMask:
        """The mask after a centred layer of odd kernel and this stride: lengths become ceil(length / stride)."""
        if stride == 1:
            return self
        up = stride - 1
        columns = self.places // torch.tensor([1, stride])
        return FrameMask((self.lengths + up) // stride, (self.width + up) // stride, self.device, columns)

    def repeated(self, times: int) -> FrameMask:
        """The mask of a plane in which every frame stands as ``times`` consecutive frames."""
        columns = self.places * torch.tensor([1, times])
        return FrameMask(self.lengths * times, self.width * times, self.device, columns)

    def move(self, frames: Tensor, target: FrameMask, fill: float = 0.0) -> Tensor:
        """The same captions placed as ``target`` says: (rows, width, ...) to its (rows, width, ...)."""
        listed = frames.reshape(-1, *frames.shape[2:]).index_select(0, self.rows)
        plane = frames.new_full((target.height * target.width, *frames.shape[2:]), fill)
        return plane.index_copy(0, target.rows, listed).view(target.height, target.width, *frames.shape[2:])


def pack(lengths: Tensor, stride: int, gap: int, device: torch.device) -> FrameMask:
    """Places for captions side by side in few rows, so that little of the plane is padding.

    A batch padded to its longest caption is often a third padding. Captions of one row are at least ``gap`` frames
    apart, which must be as far as any layer reaches, and start at multiples of the network's ``stride``, so that every
    layer's strides meet each caption as if it stood alone. The longest captions are placed first, each in the emptiest
    row. The width is rounded up, because convolutions on the CPU are set up anew for every shape: with a few shapes
    instead of one a batch, a training step takes a quarter less time.
    """
    sizes = lengths.tolist()
    rows = max(1, min(PACKED_ROWS, -(-len(sizes) // 4)))
    width, places = _fill_rows(sizes, rows, stride, gap)
    width = -(-max(width, 1) // (step := max(stride, WIDTH_STEP))) * step
    return FrameMask(lengths, width, device, torch.tensor(places, dtype=torch.long).view(-1, 2))


def _fill_rows(sizes: list[int], rows: int, stride: int, gap: int) -> tuple[int, list[tuple[int, int]]]:
    """Width, and the (row, column) of each caption."""
    order = sorted(range(len(sizes)), key=lambda number: -sizes[number])
    ends = [(0, row) for row in range(rows)]
    places = [(0, 0)] * len(sizes)
    width = 0
    for number in order:
        column, row = heapq.heappop(ends)
        places[number] = (row, column)
        width = max(width, column + sizes[number])
        heapq.heappush(ends, (-(-(column + sizes[number]) // stride) * stride + gap, row))
    return width, places


def apply_mask(x: Tensor, mask: FrameMask | None) -> Tensor:
    """Zero the padding; without a mask (the released code's behaviour) return x as it is."""
    return x if mask is None else mask.apply(x)


def gather_frames(x: Tensor, rows: Tensor) -> Tensor:
    """The frames ``rows`` of (B, C, 1, T) activations as a (len(rows), C) matrix."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).index_select(0, rows)


def scatter_frames(frames: Tensor, rows: Tensor, batch: int, width: int) -> Tensor:
    """Inverse of :func:`gather_frames`: (B, C, 1, T) channels-last activations, zero outside ``rows``."""
    full = frames.new_zeros(batch * width, frames.shape[1]).index_copy_(0, rows, frames)
    return full.view(batch, 1, width, frames.shape[1]).permute(0, 3, 1, 2)


def is_distributed() -> bool:
    """True in a process group of more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over valid frames, the same for one process and for many.

    Parameters, buffers and evaluation are those of ``nn.BatchNorm2d``. In training, mean and variance are taken over
    the frames that the mask calls valid, of all processes together (Ioffe and Szegedy 2015, over sum(lengths) instead
    of B * T values). Without a mask it is ordinary, synchronised batch normalisation and serves images too.
    """

    def forward(self, input: Tensor, mask: FrameMask | None = None, relu: bool = False) -> Tensor:
        """Normalise (B, C, H, W) activations (H = 1 and W = T with a mask); zero the padding; optionally rectify."""
        if not self.training:
            z = F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
            return apply_mask(F.relu(z, inplace=True) if relu else z, mask)
        if input.shape[0] == 0 and not is_distributed():
            return input
        assert self.num_batches_tracked is not None
        if not keep_running_statistics:
            self.num_batches_tracked.add_(1)
        rows = None if mask is None or mask.full else mask.rows
        running = (self.running_mean, self.running_var)
        arguments = (input, self.weight, self.bias, *running, rows, self.momentum, self.eps, relu)
        y: Tensor = _BatchNormFunction.apply(*arguments)
        return y


class _BatchNormFunction(torch.autograd.Function):
    """Training-mode batch normalisation of selected frames with statistics shared by all processes.

    Running statistics are updated in place: variance by the unbiased estimate, as torch does.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        rows: Tensor | None,
        momentum: float,
        eps: float,
        relu: bool,
    ) -> Tensor:
        values = x if rows is None else gather_frames(x, rows)
        count = values.numel() // values.shape[1]
        ctx.shared = is_distributed()
        if ctx.shared:
            mean, var, count = _shared_statistics(values, count)
            _update_running(running_mean, running_var, mean, var, count, momentum)
            y = F.batch_norm(values, mean, var, weight, bias, False, 0.0, eps) if len(values) else values.clone()
            spread = var
        else:
            # One value has no unbiased variance: leave the running statistics alone instead of making them NaN.
            running = (running_mean, running_var) if count > 1 and not keep_running_statistics else (None, None)
            y, mean, spread = torch.ops.aten.native_batch_norm(values, weight, bias, *running, True, momentum, eps)
        if relu:
            y = y.relu_()
        ctx.save_for_backward(values, y if relu else None, weight, mean, spread, rows)
        ctx.count, ctx.eps, ctx.batch, ctx.width = count, eps, x.shape[0], x.shape[-1]
        return y if rows is None else scatter_frames(y, rows, x.shape[0], x.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, y, weight, mean, spread, rows = ctx.saved_tensors
        if rows is not None:
            grad = gather_frames(grad, rows)
        if y is not None:
            grad = torch.ops.aten.threshold_backward(grad, y, 0)
        if ctx.shared:
            grad_x, grad_weight, grad_bias = _shared_backward(grad, values, weight, mean, spread, ctx.count, ctx.eps)
        else:
            grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
                grad, values, weight, None, None, mean, spread, True, ctx.eps, [True, True, True]
            )
        if rows is not None:
            grad_x = scatter_frames(grad_x, rows, ctx.batch, ctx.width)
        return grad_x, grad_weight, grad_bias, None, None, None, None, None, None


def _shared_statistics(values: Tensor, count: int) -> tuple[Tensor, Tensor, int]:
    """Mean, biased variance (C,) and number of values per channel over all processes; summed in float64."""
    wide = values if values.dtype == torch.float64 else values.float()
    if count:
        var, mean = torch.var_mean(wide, dim=[d for d in range(values.dim()) if d != 1], correction=0)
    else:  # none of this process's images has a caption in the language; it still takes part in the sums
        var = mean = wide.new_zeros(values.shape[1])
    mean64 = mean.double()
    sums = torch.cat([mean64 * count, (var.double() + mean64.square()) * count, mean64.new_tensor([count])])
    dist.all_reduce(sums)
    total = sums[-1]
    first, second = (sums[:-1] / total.clamp_min(1)).chunk(2)
    return first.to(mean.dtype), (second - first.square()).clamp_min(0).to(mean.dtype), int(total)


def _update_running(
    running_mean: Tensor, running_var: Tensor, mean: Tensor, var: Tensor, count: int, momentum: float
) -> None:
    if count > 1 and not keep_running_statistics:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * (count / (count - 1))).to(running_var.dtype), momentum)


def _shared_backward(
    grad: Tensor, values: Tensor, weight: Tensor, mean: Tensor, var: Tensor, count: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of this process's values, weight and bias, given statistics of all processes.

    Through mean and variance of the whole batch a value's gradient gets, with z the normalised value and sums over the
    n values of all processes, ``-weight / std * (sum(grad) + z * sum(grad * z)) / n``: affine in the value.
    """
    if len(values):
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, values, weight, mean, var, None, None, False, eps, [True, True, True]
        )
    else:
        grad_x, grad_weight, grad_bias = grad, torch.zeros_like(weight), torch.zeros_like(weight)
    sums = torch.cat([grad_weight, grad_bias]).double()
    dist.all_reduce(sums)
    if len(values):
        by_z, constant = sums.to(weight.dtype).chunk(2)
        factor = -weight * torch.rsqrt(var + eps) / count
        grad_x = grad_x + F.batch_norm(values, mean, var, factor * by_z, factor * constant, False, 0.0, eps)
    return grad_x, grad_weight, grad_bias
