"""MISA scores of many pairs at the price of a low precision, and ranks that are those of full precision all the same.

A rank only asks which scores are at least as high as one given score. So all pairs are scored roughly, together with a
bound on the error; pairs whose rough score lies further from the score in question than its bound are decided, and the
few others are scored again, in float32 and, where even that is too close, in float64 rounded to float32. That last score
depends on nothing but the pair, so neither do the ranks.

The bound. A number rounded to bfloat16 moves by a known amount; with a' the rounded frame and e = a - a', a dot product
moves by at most |e_a| |b| + |a'| |e_b| (Cauchy-Schwarz). Adding up D products in float32 moves it by at most D 2^-24 |a| |b|,
rounding the sum to bfloat16 by 2^-8 of its value. A maximum over cells moves by no more than the largest of these, a mean
over frames by no more than their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vgspeech.similarity import best_cells

_UNIT = {torch.bfloat16: 2.0**-8, torch.float32: 0.0}
"""Largest relative change when a sum is rounded to what the product of two matrices of that type is returned in."""
_SUM = 2.0**-24
"""float32: largest relative change by one addition."""
_PAIRS = 128
"""Pairs in one product on a GPU: 300 MB of float64 with 14 x 14 cells and captions of 20 s."""


class Listed(NamedTuple):
    """Captions as one list of frames without padding."""

    frames: Tensor
    """(N, D) frames, caption after caption."""
    lengths: Tensor
    """(A,) frames of each caption, on the CPU."""

    @property
    def owner(self) -> Tensor:
        """(N,) the caption of each frame."""
        return torch.arange(len(self.lengths)).repeat_interleave(self.lengths).to(self.frames.device)

    def mean(self, values: Tensor) -> Tensor:
        """Means (A, ...) over each caption's frames of values (N, ...)."""
        total = values.new_zeros(len(self.lengths), *values.shape[1:]).index_add_(0, self.owner, values)
        return total / self.lengths.to(total.device).view(-1, *[1] * (values.dim() - 1))


def list_frames(frames: Tensor, lengths: Tensor) -> Listed:
    """A padded batch (A, T, D) with lengths (A,) as a list."""
    lengths = lengths.cpu()
    valid = (torch.arange(frames.shape[1]) < lengths[:, None]).to(frames.device)
    return Listed(frames[valid], lengths)


def low_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies matrices of it faster than float32, else float32."""
    if device.type == "cuda":
        return torch.bfloat16
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # not public, so it may disappear
    return torch.bfloat16 if tiles is not None and tiles() else torch.float32


def rough_misa(cells: Tensor, captions: Listed, dtype: torch.dtype, block: int) -> tuple[Tensor, Tensor]:
    """Scores (A, I) of all captions and images, and how far each may be off.

    Args:
        cells: (I, C, D) float32.
        captions: float32.
        dtype: of the products: bfloat16 or float32.
        block: dot products held at once.
    """
    frames = captions.frames
    if dtype == torch.bfloat16 and frames.is_cuda:
        # Otherwise partial sums are rounded to bfloat16, which the bound does not know of.
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    low_cells, low_frames = cells.to(dtype), frames.to(dtype)
    best = best_cells(low_cells, low_frames, block).float()
    scores = captions.mean(best)
    frame_size, cell_size = frames.norm(dim=-1), cells.norm(dim=-1).amax(1)
    frame_change = (frames - low_frames).norm(dim=-1)
    cell_change = (cells - low_cells).norm(dim=-1).amax(1)
    sums = (frames.shape[-1] + int(captions.lengths.max())) * _SUM * 1.01
    error = captions.mean(frame_change + sums * frame_size)[:, None] * cell_size
    error += captions.mean(frame_size + frame_change)[:, None] * cell_change
    if _UNIT[dtype]:
        error += _UNIT[dtype] * captions.mean(best.abs_())
    return scores, error.mul_(1.01)


def chosen_misa(cells: Tensor, captions: Listed, wanted: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores of the wanted pairs alone, in the order of ``wanted.nonzero()``.

    Args:
        cells: (I, C, D) float32.
        captions: float32.
        wanted: (A, I) bool.
        dtype: float32, or float64 for scores that depend on nothing but the pair.

    Returns:
        (number wanted,) float32.
    """
    if cells.is_cuda:
        return chosen_at_once(cells, captions, wanted, dtype)
    device, lengths = cells.device, captions.lengths
    wanted = wanted.cpu()
    scores = torch.zeros(wanted.shape)
    starts = lengths.cumsum(0) - lengths
    for image in wanted.any(0).nonzero().squeeze(1).tolist():
        rows = wanted[:, image].nonzero().squeeze(1)
        sizes = lengths[rows]
        part = Listed(captions.frames, sizes)
        steps = torch.arange(int(sizes.sum())) + (starts[rows] - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)
        frames = captions.frames.index_select(0, steps.to(device)).to(dtype)
        best = (cells[image].to(dtype) @ frames.t()).amax(0)
        scores[rows, image] = part._replace(frames=frames).mean(best).float().cpu()
    return scores[wanted]


def chosen_at_once(cells: Tensor, captions: Listed, wanted: Tensor, dtype: torch.dtype) -> Tensor:
    """As :func:`chosen_misa`, many pairs in one product: a GPU takes longer to start one for each image than to compute it."""
    device = cells.device
    rows, images = wanted.cpu().nonzero(as_tuple=True)
    lengths, starts = captions.lengths[rows], (captions.lengths.cumsum(0) - captions.lengths)[rows]
    scores = torch.zeros(len(rows))
    if not len(rows):
        return scores
    for pairs in lengths.argsort(stable=True).split(_PAIRS):  # of similar length, so that little is padding
        sizes = lengths[pairs, None]
        steps = torch.arange(int(sizes.max()))
        frames = captions.frames[(starts[pairs, None] + torch.minimum(steps, sizes - 1)).to(device)].to(dtype)
        best = (frames @ cells[images[pairs].to(device)].to(dtype).transpose(1, 2)).amax(2)
        mean = best.masked_fill((steps >= sizes).to(device), 0.0).sum(1) / sizes.squeeze(1).to(device)
        scores[pairs] = mean.float().cpu()
    return scores


class Screen:
    """Blocks of MISA scores between captions and images, as :func:`vgspeech.retrieval.stream_ranks` asks for them.

    Args:
        captions: gives chosen captions: frames (n, T, D) and lengths (n,).
        images: gives chosen images: grids (n, H, W, D).
        normalise: take unit frames and cells.
        dtype: of the rough scores; the faster by default.
        block: dot products held at once.
    """

    def __init__(
        self,
        captions: Callable[[Tensor], tuple[Tensor, Tensor]],
        images: Callable[[Tensor], Tensor],
        normalise: bool,
        dtype: torch.dtype | None = None,
        block: int = 1 << 23,
    ) -> None:
        self._captions, self._images = captions, images
        self._normalise, self._dtype, self._block = normalise, dtype, block
        # The last rows and columns asked for: a row of blocks is gone through with the same rows.
        self._held_captions: tuple[Tensor, Listed] | None = None
        self._held_cells: tuple[Tensor, Tensor] | None = None
        self.rescored = 0
        """Pairs scored more than once, for those who measure."""

    def _frames(self, rows: Tensor) -> Listed:
        if self._held_captions is None or self._held_captions[0] is not rows:
            listed = list_frames(*self._captions(rows))
            self._held_captions = rows, listed._replace(frames=self._unit(listed.frames))
        return self._held_captions[1]

    def _cells(self, columns: Tensor) -> Tensor:
        if self._held_cells is None or self._held_cells[0] is not columns:
            self._held_cells = columns, self._unit(self._images(columns).flatten(1, 2))
        return self._held_cells[1]

    def _unit(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors.float(), dim=-1) if self._normalise else vectors.float()

    def chosen(self, rows: Tensor, columns: Tensor, wanted: Tensor) -> Tensor:
        """Scores of the wanted ones of these pairs."""
        return chosen_misa(self._cells(columns), self._frames(rows), wanted, torch.float64)

    def compare(self, rows: Tensor, columns: Tensor, ignored: Tensor, thresholds: tuple[Tensor, Tensor]) -> Tensor:
        """Scores (R, C) that compare with their row's and their column's threshold as the exact ones do.

        Args:
            rows, columns: which captions and images.
            ignored: (R, C) bool, pairs that are not compared.
            thresholds: (R,) and (C,).
        """
        cells, captions = self._cells(columns), self._frames(rows)
        dtype = self._dtype or low_precision(cells.device)
        scores, error = (x.cpu() for x in rough_misa(cells, captions, dtype, self._block))
        for precise in (torch.float32, torch.float64)[dtype == torch.float32 :]:
            near = _near(scores, error, thresholds) & ~ignored
            self.rescored += int(near.sum())
            if not near.any():
                break
            scores[near] = chosen_misa(cells, captions, near, precise)
            error[near] = _float32_error(cells, captions)[near] if precise == torch.float32 else -1.0
        return scores


def _near(scores: Tensor, error: Tensor, thresholds: tuple[Tensor, Tensor]) -> Tensor:
    of_rows, of_columns = thresholds
    return ((scores - of_rows[:, None]).abs() <= error) | ((scores - of_columns).abs() <= error)


def _float32_error(cells: Tensor, captions: Listed) -> Tensor:
    sums = (cells.shape[-1] + int(captions.lengths.max())) * _SUM * 1.01
    return (sums * captions.mean(captions.frames.norm(dim=-1))[:, None] * cells.norm(dim=-1).amax(1)).cpu()
