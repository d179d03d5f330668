"""What all audio encoders have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from vgspeech.config import AudioEncoderConfig
from vgspeech.models.masked import FrameMask, Frames, pack
from vgspeech.models.quantizer import VectorQuantizer


class AudioEncoder(nn.Module):
    """Mel features (B, T, F) to frames (B, ceil(T / stride), D), zero beyond each caption's length.

    Args:
        config: the architecture.
        compat: as the released code: padding is not masked, and a caption has floor(length / stride) output frames
            (at least 1), so that its last partial frame is lost.
    """

    def __init__(self, config: AudioEncoderConfig, compat: bool = False) -> None:
        super().__init__()
        self.config = config
        self.compat = compat
        self.recompute = False
        """Save memory in training: see `vgspeech.models.recompute`."""
        self.commitment_loss: Tensor | None = None
        """Summed over the quantisers, of the last training batch; the training step takes it from here."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Feature frames for each output frame."""

    @property
    def quantizers(self) -> dict[int, VectorQuantizer]:
        """The quantisers by position."""
        return {}

    @property
    @abstractmethod
    def reach(self) -> int:
        """Feature frames between two captions in a row from which no layer reads both; a multiple of the stride."""

    def forward(self, feats: Tensor, lengths: Tensor) -> Frames:
        """Encode a padded batch (B, T, F) of which the first ``lengths`` (B,) frames are valid."""
        padded, mask, output = self._encode(feats, lengths, None)
        return self._place(output, self.stride, mask, padded)

    def layers(self, feats: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """All outputs by layer name, in order, the last being ``output``; (B, T_n, C_n), codes (B, T_n) int64."""
        kept: dict[str, tuple[Tensor, int]] = {}
        padded, mask, output = self._encode(feats, lengths, kept)
        kept["output"] = (output, self.stride)
        return {name: self._place(x, shift, mask, padded) for name, (x, shift) in kept.items()}

    def _encode(
        self, feats: Tensor, lengths: Tensor, kept: dict[str, tuple[Tensor, int]] | None
    ) -> tuple[FrameMask, FrameMask, Tensor]:
        """Where captions came, where they stood while they were encoded, and the plane of output frames."""
        padded = FrameMask(lengths, feats.shape[1], feats.device)
        if self.compat:
            mask, plane = padded, feats
        else:
            mask = pack(padded.lengths, self.stride, self.reach, padded.device)
            plane = padded.move(feats, mask)
        return padded, mask, as_frames(self._run(plane.transpose(1, 2).unsqueeze(2), mask, kept))

    @abstractmethod
    def _run(self, x: Tensor, mask: FrameMask, kept: dict[str, tuple[Tensor, int]] | None) -> Tensor:
        """Encode a plane (rows, F, 1, width) of captions; put each layer's frames and stride into ``kept`` if given."""

    def _place(self, x: Tensor, shift: int, mask: FrameMask, padded: FrameMask) -> Frames:
        """A layer's plane, one frame every ``shift`` feature frames, as a padded batch with its valid lengths."""
        if self.compat:
            lengths = (padded.lengths // shift).clamp_min(1)
        else:
            target = padded.strided(shift)
            lengths = target.lengths
            x = mask.strided(shift).move(x, target, fill=-1 if x.dtype == torch.long else 0)
        return Frames(x, lengths.to(padded.device, non_blocking=True))

    def _masking(self, mask: FrameMask) -> FrameMask | None:
        """What layers mask with: nothing, in the released code."""
        return None if self.compat else mask


def as_frames(x: Tensor) -> Tensor:
    """Activations (B, C, 1, T) as frames (B, T, C)."""
    return x.squeeze(2).transpose(1, 2)
