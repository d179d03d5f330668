"""Similarities of two captions above what their frames answer to unrelated captions.

A block of images serves itself: one product of all its frames of one language with all of the other holds the similarities
within every image, and every frame's responses to the captions of all other images, so that the responses to R unrelated
captions cost R + 1 products a pair of captions for both languages together. They are most of the work of discovery.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vgspeech.lexicon.captions import CaptionFrames

if TYPE_CHECKING:
    from vgspeech.lexicon.captions import ImageCaptions

Array = np.ndarray[Any, np.dtype[Any]]


class FrameStack:
    """Frames of a block's captions of one language, one caption after the other.

    The memory is used again for the next block: what is read from here is gone then. Fresh memory for every block costs
    as much as filling it.

    Attributes:
        frames: (N, D) float32.
        ends: 0 and where every caption ends, in the order of the images.
        images: which captions, counted from 0, each image has.
    """

    def __init__(self) -> None:
        self._memory = np.empty((0, 0), np.float32)
        self.frames = self._memory
        self.ends: list[int] = [0]
        self.images: list[range] = []

    def fill(self, source: CaptionFrames, images: Sequence[Sequence[str]]) -> None:
        """Read the captions of the block's images.

        Args:
            source: of the language.
            images: utterance ids of every image.
        """
        self.ends, self.images = [0], []
        for utts in images:
            first = len(self.ends) - 1
            for utt in utts:
                self._append(source, utt)
            self.images.append(range(first, len(self.ends) - 1))
        self.frames = self._memory[: self.ends[-1]]

    def _append(self, source: CaptionFrames, utt: str) -> None:
        start = self.ends[-1]
        raw = source.raw(utt, self._memory[start:].reshape(-1))
        stop = start + len(raw)
        if stop > len(self._memory) or raw.shape[1] != self._memory.shape[1]:
            larger = np.empty((2 * stop, raw.shape[1]), np.float32)
            if start:
                larger[:start] = self._memory[:start]
            self._memory = larger
        source.compare(utt, raw, self._memory[start:stop])
        self.ends.append(stop)

    def rows(self, image: int) -> slice:
        """Frames of an image's captions."""
        captions = self.images[image]
        return slice(self.ends[captions.start], self.ends[captions.stop])

    def caption(self, number: int) -> slice:
        """Frames of one caption."""
        return slice(self.ends[number], self.ends[number + 1])


class Similarities:
    """Similarities of captions of one image, for one block after the other."""

    def __init__(self, subtract: bool, rough: bool) -> None:
        """``subtract``: the responses to the captions of other images; ``rough``: responses from products of bfloat16 where
        the processor is faster at them (3 times), which moves a score by 3e-4 at most on the mini corpus; the similarities
        themselves are always of float32."""
        self._subtract = subtract
        self._product = np.empty(0, np.float32)
        self._low = rough and _bfloat16_is_fast()
        self.stacks = (FrameStack(), FrameStack())

    def of_block(
        self, block: Sequence[ImageCaptions], sources: tuple[CaptionFrames, CaptionFrames]
    ) -> list[tuple[tuple[int, int], Array]]:
        """Every pair of captions of one image: their numbers in the two stacks, and their (Ta, Tb) float32 similarities,
        the mean of both frames' responses to unrelated captions subtracted. Valid until the next block.

        Args:
            block: the images. With only one there is nothing unrelated, and nothing is subtracted.
            sources: frames of both languages.
        """
        a, b = self.stacks
        a.fill(sources[0], [image.a for image in block])
        b.fill(sources[1], [image.b for image in block])
        found = []
        if not self._subtract or len(block) == 1:
            for k, m in _pairs(block, a, b):
                found.append(((k, m), a.frames[a.caption(k)] @ b.frames[b.caption(m)].T))
            return found
        product = self._all_products()
        response_a, response_b = responses(product, a, b)
        for k, m in _pairs(block, a, b):
            rows, columns = a.caption(k), b.caption(m)
            similarity = a.frames[rows] @ b.frames[columns].T if self._low else product[rows, columns]
            found.append(((k, m), similarity - 0.5 * (response_a[rows, None] + response_b[columns])))
        return found

    def _all_products(self) -> Array:
        """(all frames a, all frames b)"""
        a, b = (stack.frames for stack in self.stacks)
        if self._product.size < len(a) * len(b):
            self._product = np.empty(len(a) * len(b) * 5 // 4, np.float32)
        product = self._product[: len(a) * len(b)].reshape(len(a), len(b))
        if not self._low:
            return np.matmul(a, b.T, out=product)
        _multiply_low(a, b, product)
        return product


def responses(product: Array, a: FrameStack, b: FrameStack) -> tuple[Array, Array]:
    """(frames a,) and (frames b,) responses: the mean over the captions of other images of the maximum over their frames.

    Args:
        product: (frames a, frames b) similarities.
        a, b: whose frames these are.
    """
    best_in_b = np.maximum.reduceat(product, b.ends[:-1], axis=1)
    # One caption after the other: ``reduceat`` along the first axis takes seven times as long.
    best_in_a = np.stack([product[start:stop].max(0) for start, stop in itertools.pairwise(a.ends)], axis=1)
    return _mean_of_others(best_in_b, a, b), _mean_of_others(best_in_a, b, a)


def _mean_of_others(best: Array, own: FrameStack, other: FrameStack) -> Array:
    """Mean best match of each frame with the other language's captions of other images.

    Args:
        best: (frames, captions of the other language) highest similarity.
        own, other: whose frames, and whose captions.
    """
    means = np.empty(len(best), np.float32)
    for image, captions in enumerate(other.images):
        weights = np.full(best.shape[1], 1 / (best.shape[1] - len(captions)), np.float32)
        weights[captions.start : captions.stop] = 0
        rows = own.rows(image)
        means[rows] = best[rows] @ weights
    return means


def _pairs(block: Sequence[ImageCaptions], a: FrameStack, b: FrameStack) -> list[tuple[int, int]]:
    """Numbers, in the stacks, of the captions to be compared."""
    return [(a.images[i][k], b.images[i][m]) for i, image in enumerate(block) for k, m in image.compared()]


def _bfloat16_is_fast() -> bool:
    import torch

    from vgspeech.screening import low_precision

    return low_precision(torch.device("cpu")) == torch.bfloat16


def _multiply_low(a: Array, b: Array, out: Array) -> None:
    """``a @ b.T`` of numbers rounded to bfloat16, sums and result in float32."""
    import torch

    mkldnn: Any = torch.backends.mkldnn  # its type stubs lack ``matmul``
    settings = mkldnn.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        torch.mm(torch.from_numpy(a), torch.from_numpy(b).T, out=torch.from_numpy(out))
    finally:
        settings.fp32_precision = before
