"""Codebooks in training: how many codes are in use, and a second chance for those that are not.

Counts and moving averages are summed over all processes by the quantiser itself, so every process sees, and does, the same.
"""

from __future__ import annotations

import numpy as np
import torch

from vgspeech.models import GroundingModel
from vgspeech.models.quantizer import VectorQuantizer

SPREAD = 0.01
"""Distance of a revived code from the one it splits, as a part of the codebook's standard deviation."""


def codebook_usage(model: GroundingModel) -> dict[str, dict[str, float]]:
    """Perplexity and number of dead codes of each codebook since :func:`start_counting`, by ``<lang>/quant<position>``."""
    return {
        name: {"perplexity": round(quantizer.perplexity(), 3), "dead": quantizer.dead_codes()}
        for name, quantizer in model.quantizers().items()
    }


def start_counting(model: GroundingModel) -> None:
    """Forget which codes were used."""
    for quantizer in model.quantizers().values():
        quantizer.reset_usage()


def revive_codes(model: GroundingModel, seed: int, epoch: int) -> int:
    """Restart the codes that no frame has chosen since :func:`start_counting`; how many there were.

    A dead code shares the frames of a living one, drawn in proportion to use: both get half of its moving averages, and
    stand a little apart (the splitting of Linde, Buzo, Gray 1980). So the code in use hardly moves.
    """
    revived = 0
    for number, quantizer in enumerate(model.quantizers().values()):
        generator = np.random.default_rng([seed, epoch, number])
        revived += _split(quantizer, generator)
    return revived


@torch.no_grad()
def _split(quantizer: VectorQuantizer, generator: np.random.Generator) -> int:
    usage = quantizer.usage.double().cpu().numpy()
    dead = np.flatnonzero(usage == 0)
    alive = np.flatnonzero(usage)
    if not len(dead) or not len(alive):
        return 0
    # As many different parents as there are; a code that splits once too often would leave its copies without frames.
    share = usage[alive] / usage.sum()
    count = min(len(dead), len(alive))
    parents = torch.from_numpy(generator.choice(alive, size=count, replace=False, p=share)).to(quantizer.mass.device)
    children = torch.from_numpy(dead[:count]).to(quantizer.mass.device)
    noise = torch.from_numpy(generator.standard_normal((count, quantizer.codebook.shape[1])))
    step = SPREAD * quantizer.codebook[quantizer.usage > 0].std() * noise.to(quantizer.codebook)
    quantizer.mass[parents] /= 2
    quantizer.mass[children] = quantizer.mass[parents]
    quantizer.codebook[children] = quantizer.codebook[parents] + step
    for rows in (parents, children):
        quantizer.sums[rows] = quantizer.codebook[rows] * quantizer.mass[rows, None]
    return count
