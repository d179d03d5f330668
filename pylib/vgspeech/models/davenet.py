"""The DAVEnet audio encoder (Harwath et al. 2018): five convolutions over time with max pooling between them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vgspeech.config import AudioEncoderConfig
from vgspeech.models.encoder import AudioEncoder, as_frames
from vgspeech.models.masked import FrameMask, MaskedBatchNorm, apply_mask

_WIDTHS = (128, 256, 512, 512)
_KERNELS = (1, 11, 17, 17, 17)


class Davenet(AudioEncoder):
    """Mel features (B, T, F) to frames (B, ceil(T / stride), D), all non-negative.

    Args:
        config: only ``last_pool`` concerns DAVEnet.
        bins: F, mel bands.
        embedding_dim: D.
        compat: see :class:`AudioEncoder`.
    """

    def __init__(self, config: AudioEncoderConfig, bins: int, embedding_dim: int, compat: bool = False) -> None:
        super().__init__(config, compat)
        self.batchnorm1 = MaskedBatchNorm(1)
        widths = (bins, *_WIDTHS, embedding_dim)
        for number, kernel in enumerate(_KERNELS, 1):
            conv = nn.Conv2d(widths[number - 1], widths[number], (1, kernel), padding=(0, kernel // 2))
            self.add_module(f"conv{number}", conv)

    @property
    def stride(self) -> int:
        return 16 if self.config.last_pool else 8

    @property
    def reach(self) -> int:
        return 8 * 8  # conv5 sees every eighth frame and reaches eight of those

    def _run(self, x: Tensor, mask: FrameMask, kept: dict[str, tuple[Tensor, int]] | None) -> Tensor:
        """Layers are named ``conv1`` to ``conv5``, each after its pooling."""
        shift = 1
        x = self._normalise_input(x, mask)
        for number in range(1, 6):
            x = F.relu(getattr(self, f"conv{number}")(x), inplace=True)
            x = apply_mask(x, self._masking(mask))
            if number > 1 and (number < 5 or self.config.last_pool):
                # Padding of zeros never wins a maximum over rectified values, but a last frame reaches beyond the end.
                mask, shift = mask.strided(2), shift * 2
                x = apply_mask(F.max_pool2d(x, (1, 3), (1, 2), (0, 1)), self._masking(mask))
            if kept is not None:
                kept[f"conv{number}"] = (as_frames(x), shift)
        return x

    def _normalise_input(self, x: Tensor, mask: FrameMask) -> Tensor:
        """One mean and one variance for all bands (the released BatchNorm2d(1))."""
        rows, bins, _, width = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(rows, 1, 1, width * bins)
        y = self.batchnorm1(flat, self._masking(mask.repeated(bins)))
        return y.reshape(rows, 1, width, bins).permute(0, 3, 1, 2)
