"""Weights of the released DAVEnet (2018) and ResDAVEnet-VQ (2020) checkpoints into our modules.

Their layouts: audio nets name their layers as ours do, but the stem's kernel is (C, 1, bands, 1), bands being channels
here, and a codebook is ``quantN._embedding.weight`` with ``_ema_cluster_size`` and ``_ema_w``; image nets are
torchvision's, flat (ResNet, with ``embedder``) or one ``image_model`` sequence (VGG16; entry 30 is the embedder).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from vgspeech.errors import DataError

Layout = Literal["davenet", "resdavenet", "resnet", "vgg16"]

_CODEBOOK_NAMES = {"_embedding.weight": "codebook", "_ema_cluster_size": "mass", "_ema_w": "sums"}
# Ours alone, or mere counters: may be absent from a released file.
_OPTIONAL = ("num_batches_tracked", ".usage")


def load_released_state(module: nn.Module, state: Mapping[str, Tensor], kind: Layout) -> list[str]:
    """Fill a module from a released state dict.

    Args:
        module: a :class:`Davenet`, :class:`ResDavenet` or :class:`ImageEncoder`.
        state: the released tensors; a ``module.`` prefix of data-parallel saves is taken off.
        kind: the layout.

    Returns:
        The released keys that have no use here, without prefix: the input batch normalisation that ResDAVEnet builds
        but never applies, quantisers that the module does not have, and a classifier. The caller reports them.

    Raises:
        DataError: a needed tensor is missing or of another shape.
    """
    own = module.state_dict()
    renamed: dict[str, Tensor] = {}
    skipped = []
    for key, value in state.items():
        key = key.removeprefix("module.")
        name = _our_name(key, kind)
        if name not in own or (kind == "resdavenet" and key.startswith("batchnorm1.")):
            skipped.append(key)
            continue
        if kind in ("davenet", "resdavenet") and name == "conv1.weight":
            value = value.transpose(1, 2)  # (C, 1, bands, 1) -> (C, bands, 1, 1)
        if value.shape != own[name].shape:
            raise DataError(
                f"released tensor {key} is {tuple(value.shape)}, the model's is {tuple(own[name].shape)}",
                hint="set widths, blocks, codebook_size and embedding_dim as the checkpoint has them",
            )
        renamed[name] = value
    absent = [name for name in own if name not in renamed and not name.endswith(_OPTIONAL)]
    if absent:
        raise DataError(f"the released weights lack {absent[0]}", hint=f"{len(absent)} tensors are missing in all")
    with torch.no_grad():
        module.load_state_dict(renamed, strict=False)
    return skipped


def _our_name(key: str, kind: str) -> str:
    if kind == "resdavenet" and key.startswith("quant"):
        quantizer, _, rest = key.partition(".")
        return f"{quantizer}.{_CODEBOOK_NAMES.get(rest, rest)}"
    if kind == "vgg16":
        _, number, rest = key.split(".", 2)
        return f"embedder.{rest}" if number == "30" else f"backbone.{number}.{rest}"
    if kind == "resnet" and not key.startswith("embedder."):
        return f"backbone.{key}"
    return key
