"""How an image and a caption, or two captions, become one number.

With cells I (H*W vectors) and frames A (T vectors), the matchmap holds all their dot products (Harwath et al. 2018):

    SISA   mean over cells and frames: the dot product of the two mean vectors, and computed as such
    MISA   for each frame its best cell, then the mean over frames
    SIMA   for each cell its best frame, then the mean over cells

Scores are float32 whatever the embeddings' type. A caption's padding takes no part. Blocks bound the memory in use.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vgspeech.config import SimilarityConfig
from vgspeech.models.masked import Frames

BLOCK_ELEMENTS = 1 << 24
"""Dot products held at once (64 MiB of float32) by MISA and SIMA."""

_BEST_BLOCK = {torch.float32: (512, 1 << 19), torch.bfloat16: (1024, 1 << 23)}
"""Frames, and dot products, of the blocks in which maxima are found fastest: float32 ones stay in a processor's cache,
bfloat16 ones are multiplied so much faster that starting a block counts for more (measured on one core with AMX)."""
_GPU_FRAMES = 2048
"""Frames of a block on a GPU, where every block waits to be started: the fewer the better."""


def pool_frames(frames: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the valid frames: (A, T, D) and (A,) to (A, D) float32."""
    lengths = lengths.to(frames.device)
    valid = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
    with _full_precision(frames):
        total = torch.einsum("atd,at->ad", _wide(frames), valid.to(_wide(frames).dtype))
        return total / lengths[:, None]


def pool_grid(grids: Tensor) -> Tensor:
    """Mean over the cells: (I, H, W, D) to (I, D) float32."""
    return _wide(grids).mean(dim=(1, 2))


def caption_caption_matrix(pooled_a: Tensor, pooled_b: Tensor, config: SimilarityConfig) -> Tensor:
    """Scores (A, B) of two sets of pooled vectors (A, D), (B, D): dot products, or cosines with ``normalise``.

    Two captions are always compared by their pooled vectors, whatever ``config.type`` says of image and caption.
    """
    with _full_precision(pooled_a):
        a, b = _wide(pooled_a), _wide(pooled_b)
        if config.normalise:
            a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        return a @ b.t()


def score_matrix(
    grids: Tensor, frames: Tensor, lengths: Tensor, config: SimilarityConfig, block: int = BLOCK_ELEMENTS
) -> Tensor:
    """Scores (I, A) of all pairs of images and captions, float32.

    Args:
        grids: (I, H, W, D) cells.
        frames: (A, T, D) frames.
        lengths: (A,) valid frames of each caption, at least 1.
        config: type; ``normalise`` takes unit pooled vectors (SISA) or unit cells and frames (MISA, SIMA).
        block: dot products held at once.
    """
    if config.type == "SISA":
        return caption_caption_matrix(pool_grid(grids), pool_frames(frames, lengths), config)
    with _full_precision(grids):
        cells, frames = _wide(grids).flatten(1, 2), _wide(frames)
        if config.normalise:
            cells, frames = F.normalize(cells, dim=-1), F.normalize(frames, dim=-1)
        if cells.shape[0] == 0 or frames.shape[0] == 0:
            return frames.new_zeros(cells.shape[0], frames.shape[0])
        return (_misa if config.type == "MISA" else _sima)(cells, frames, lengths.cpu(), block)


def pair_scores(embeddings: Mapping[str, Tensor | Frames], pair: tuple[str, str], config: SimilarityConfig) -> Tensor:
    """Scores of one pair of views of a batch, rows the first and columns the second.

    Args:
        embeddings: ``image`` -> grids (I, H, W, D); each language -> its :class:`Frames`.
        pair: two keys, for example ``("image", "en")`` or ``("en", "hi")``.
        config: similarity of image and caption; see :func:`caption_caption_matrix` for two captions.
    """
    first, second = (embeddings[name] for name in pair)
    if isinstance(first, Frames) and isinstance(second, Frames):
        return caption_caption_matrix(pool_frames(*first), pool_frames(*second), config)
    if isinstance(first, Frames):
        assert isinstance(second, Tensor)
        return score_matrix(second, first.values, first.lengths, config).t()
    assert isinstance(second, Frames)
    return score_matrix(first, second.values, second.lengths, config)


def matchmap(grid: Tensor, frames: Tensor) -> Tensor:
    """Dot products of every frame and cell: (H, W, D) and (T, D) to (T, H, W) float32."""
    with _full_precision(grid):
        height, width, dim = grid.shape
        return (_wide(frames) @ _wide(grid).reshape(-1, dim).t()).view(-1, height, width)


def _misa(cells: Tensor, frames: Tensor, lengths: Tensor, block: int) -> Tensor:
    """Frames of all captions stand in one list without padding; each block of it meets all images."""
    images, per_image, dim = cells.shape
    valid = torch.arange(frames.shape[1]) < lengths[:, None]
    rows = valid.flatten().nonzero().squeeze(1)
    owner = (rows // frames.shape[1]).to(frames.device)
    listed = frames.reshape(-1, dim).index_select(0, rows.to(frames.device))
    if torch.is_grad_enabled() and (cells.requires_grad or frames.requires_grad):
        flat = cells.reshape(-1, dim).t()
        step = max(1, block // (images * per_image))
        # max(-1)[0], not amax: amax divides its gradient among ties, which takes twice the time.
        best = torch.cat([(part @ flat).view(len(part), images, per_image).max(-1)[0] for part in listed.split(step)])
    else:
        best = best_cells(cells, listed, block)
    sums = frames.new_zeros(len(lengths), images).index_add(0, owner, best)
    return (sums / lengths.to(frames.device)[:, None]).t()


def best_cells(cells: Tensor, frames: Tensor, block: int) -> Tensor:
    """Dot product of each frame (N, D) with its best cell of each image (I, C, D): (N, I), of their type; no gradient.

    The maximum is taken over the middle of (images, cells, frames), which runs along the frames in memory: over a last
    dimension of a few cells it takes several times as long.
    """
    images, per_image, dim = cells.shape
    best = frames.new_empty(images, len(frames))
    frames_at_once, products = _BEST_BLOCK.get(frames.dtype, _BEST_BLOCK[torch.float32])
    if frames.is_cuda:
        frames_at_once, products = _GPU_FRAMES, block
    block = min(block, products)
    width = max(1, min(frames_at_once, block // per_image))
    height = max(1, block // (width * per_image))
    for first in range(0, len(frames), width):
        part = frames[first : first + width].t()
        for top in range(0, images, height):
            dots = cells[top : top + height].reshape(-1, dim) @ part
            torch.amax(dots.view(-1, per_image, dots.shape[1]), 1, out=best[top : top + height, first : first + width])
    return best.t()


def _sima(cells: Tensor, frames: Tensor, lengths: Tensor, block: int) -> Tensor:
    """Captions in blocks of similar length, so that little of a block is padding."""
    images, per_image, dim = cells.shape
    flat = cells.reshape(-1, dim).t()
    order = lengths.argsort()
    scores = []
    for part in _length_blocks(lengths[order], max(1, block // (images * per_image))):
        chosen = order[part]
        width = int(lengths[chosen].max())
        values = frames.index_select(0, chosen.to(frames.device))[:, :width]
        padding = (torch.arange(width) >= lengths[chosen][:, None]).to(frames.device)
        dots = (values.reshape(-1, dim) @ flat).view(len(chosen), width, images * per_image)
        dots = dots.masked_fill(padding[:, :, None], -torch.inf)
        scores.append(dots.max(1)[0].view(len(chosen), images, per_image).mean(-1))
    back = order.argsort().to(frames.device)
    return torch.cat(scores).index_select(0, back).t()


def _length_blocks(ascending: Tensor, budget: int) -> list[slice]:
    """Consecutive slices of an ascending list of lengths, each of at most ``budget`` padded frames (or one caption)."""
    blocks, start = [], 0
    lengths = ascending.tolist()
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - start) * lengths[end] > budget:
            blocks.append(slice(start, end))
            start = end
    return blocks


def _wide(x: Tensor) -> Tensor:
    """float32, or float64 if it is that already."""
    return x if x.dtype == torch.float64 else x.float()


def _full_precision(x: Tensor) -> torch.autocast:
    """Scores are not taken in the reduced precision that the networks may run in."""
    return torch.autocast(x.device.type, enabled=False)
