"""What a frozen backbone makes of the training images, computed once (``training.cache_grids``).

A backbone that does not learn gives the same for an image in every epoch, and on a processor it takes most of the time. So
every image goes through it once, before the first epoch, as it is and, where training flips images, mirrored. Then losses
are those of a training without the cache, up to the rounding of the networks' sums. A training that is resumed computes the
same again.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vgspeech.config import ExperimentConfig
from vgspeech.errors import ConfigError
from vgspeech.images import to_tensor
from vgspeech.imagesets import groups_of_pictures
from vgspeech.models import GroundingModel
from vgspeech.progress import track
from vgspeech.training.augment import no_image_changes
from vgspeech.training.inputs import Grids, Indices, Pictures
from vgspeech.training.objective import autocast

BLOCK = 32
"""Pictures that are read, and images that go through the backbone, at once."""


@torch.no_grad()
def cached_grids(model: GroundingModel, pictures: Pictures, config: ExperimentConfig, device: torch.device) -> Grids:
    """Send all images through the backbone.

    Args:
        model: with the weights that its image encoder keeps; left in evaluation mode.
        pictures: the images.
        config: precision, ``augment.image_flip`` and ``training.image_cache_gb``.
        device: of the model.

    Returns:
        In the type that the backbone gives: half the size in bfloat16.

    Raises:
        ConfigError: it is larger than ``training.image_cache_gb``.
    """
    model.eval()
    sides = (False, True) if config.augment.image_flip else (False,)
    starts = [(side, first) for side in range(len(sides)) for first in range(0, len(pictures), BLOCK)]
    values: Tensor | None = None
    for side, first in track(starts, total=len(starts), what="images through the frozen backbone", unit="batches"):
        indices = np.arange(first, min(first + BLOCK, len(pictures)))
        changes = no_image_changes(len(indices))
        changes.flip[:] = sides[side]
        features = backbone_features(model, pictures.take(indices, changes), pictures.image_counts(indices), device).cpu()
        if values is None:
            _need_memory(features[0].nbytes * len(pictures) * len(sides), config)
            values = features.new_empty(len(sides), len(pictures), *features.shape[1:])
        values[side, first : first + len(indices)] = features
    assert values is not None
    return Grids(values)


@torch.no_grad()
def backbone_features(model: GroundingModel, images: Tensor, counts: Indices, device: torch.device) -> Tensor:
    """What the backbone makes of images (F, S, S, 3) uint8 of N pictures, ``counts`` (N,) of each, in the precision of
    training: (N, C, H, W) on the device. A few images at a time, however many video frames a clip has."""
    ends, parts = np.concatenate([[0], np.cumsum(counts)]), []
    for group in groups_of_pictures(counts.tolist(), BLOCK):
        inputs = to_tensor(images[ends[group.start] : ends[group.stop]].to(device)).to(model.log_scale.dtype)
        with autocast(model, device):
            parts.append(model.image_features(inputs, counts[group].tolist()))
    return torch.cat(parts)


def _need_memory(size: int, config: ExperimentConfig) -> None:
    limit = config.training.image_cache_gb
    if size > limit * 2**30:
        raise ConfigError(
            f"training.cache_grids: what the backbone makes of all images takes {size / 2**30:.1f} GB of memory, "
            f"training.image_cache_gb allows {limit:g}",
            hint="raise image_cache_gb if there is that much, take a smaller image.type, or set cache_grids: false",
        )
