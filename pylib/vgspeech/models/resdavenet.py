"""The ResDAVEnet audio encoder, with optional vector quantisers (Harwath et al. 2020; Hsu, Harwath, Glass 2020).

A stem convolution spans all mel bands; residual stages of 1-D convolutions each halve the frame rate. Quantiser 1
stands after the stem, quantiser n + 1 after stage n.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgspeech.config import AudioEncoderConfig
from vgspeech.models.encoder import AudioEncoder, as_frames
from vgspeech.models.masked import FrameMask, MaskedBatchNorm, apply_mask
from vgspeech.models.quantizer import VectorQuantizer, jitter
from vgspeech.models.recompute import run_block


class ResidualBlock(nn.Module):
    """conv, BN, ReLU, conv, BN, plus the input (by a strided 1x1 convolution and BN when its shape changes), ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = _frame_conv(inputs, outputs, kernel, stride)
        self.bn1 = MaskedBatchNorm(outputs)
        self.conv2 = _frame_conv(outputs, outputs, kernel)
        self.bn2 = MaskedBatchNorm(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(_frame_conv(inputs, outputs, 1, stride), MaskedBatchNorm(outputs))

    def forward(self, x: Tensor, mask: FrameMask | None) -> Tensor:
        """(B, C, 1, T) -> (B, C', 1, ceil(T / stride)); ``mask`` is that of the output."""
        y = self.bn1(self.conv1(x), mask, relu=True)
        y = self.bn2(self.conv2(y), mask)
        if self.downsample is not None:
            conv, norm = self.downsample
            x = norm(conv(x), mask)
        return F.relu(y + x, inplace=True)


class ResDavenet(AudioEncoder):
    """Mel features (B, T, F) to frames (B, ceil(T / stride), D).

    Args:
        config: widths, depths, kernels, quantisers.
        bins: F, mel bands.
        embedding_dim: D.
        compat: see :class:`AudioEncoder`; also, jitter draws once for a batch and is one frame late.
    """

    def __init__(self, config: AudioEncoderConfig, bins: int, embedding_dim: int, compat: bool = False) -> None:
        super().__init__(config, compat)
        stem = config.stem_width
        self.conv1 = nn.Conv2d(
            bins, stem, (1, config.stem_kernel), (1, config.stem_stride), (0, config.stem_kernel // 2), bias=False
        )
        self.bn1 = MaskedBatchNorm(stem)
        widths = (stem, *config.widths)
        for number, (inputs, outputs, depth) in enumerate(zip(widths, config.widths, config.blocks, strict=False), 1):
            blocks = [ResidualBlock(inputs, outputs, config.kernel, stride=2)]
            blocks += [ResidualBlock(outputs, outputs, config.kernel, stride=1) for _ in range(depth - 1)]
            self.add_module(f"layer{number}", nn.ModuleList(blocks))
        for position in config.quantizers:
            quantizer = VectorQuantizer(
                config.codebook_size, widths[position - 1], config.codebook_decay, config.commitment_weight
            )
            self.add_module(f"quant{position}", quantizer)
        self.embedder = nn.Conv2d(widths[-1], embedding_dim, 1) if config.projection else None
        self._initialise(bins)

    def _initialise(self, bins: int) -> None:
        """N(0, 2 / (kernel height * width * outputs)), the released rule; its stem kernel is ``bins`` high."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and module is not self.embedder:
                height = bins if name == "conv1" else 1
                deviation = math.sqrt(2.0 / (height * module.kernel_size[1] * module.out_channels))
                nn.init.normal_(module.weight, 0.0, deviation)

    @property
    def stride(self) -> int:
        return self.config.stem_stride * 2 ** len(self.config.widths)

    @property
    def quantizers(self) -> dict[int, VectorQuantizer]:
        return {position: getattr(self, f"quant{position}") for position in self.config.quantizers}

    @property
    def reach(self) -> int:
        stem = -(-(self.config.stem_kernel // 2) // self.stride) * self.stride
        return max(stem, self.stride * (self.config.kernel // 2))

    def _run(self, x: Tensor, mask: FrameMask, kept: dict[str, tuple[Tensor, int]] | None) -> Tensor:
        """Layers are named ``stem``, ``stage<n>`` and ``codes<position>``; a quantised layer holds quantised values."""
        shift = self.config.stem_stride
        losses: list[Tensor] = []
        mask = mask.strided(shift)
        x = self.bn1(self.conv1(x), self._masking(mask), relu=True)
        for number in range(len(self.config.widths) + 1):
            if number:
                mask, shift = mask.strided(2), shift * 2
                for block in getattr(self, f"layer{number}"):
                    x = run_block(block, x, self._masking(mask), again=self.recompute)
            if number + 1 in self.config.quantizers:
                output = self.quantizers[number + 1](x, mask, self.compat)
                x = output.values
                losses.append(output.loss)
                if kept is not None:
                    kept[f"codes{number + 1}"] = (output.codes, shift)
            if self.training and number < 2 and self.config.jitter > 0:
                x = jitter(x, self.config.jitter, self._masking(mask), self.compat)
            if kept is not None:
                kept[f"stage{number}" if number else "stem"] = (as_frames(x), shift)
        if self.embedder is not None:
            x = apply_mask(self.embedder(x), self._masking(mask))
        self.commitment_loss = torch.stack(losses).sum() if losses and self.training else None
        return x


def _frame_conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), bias=False)
