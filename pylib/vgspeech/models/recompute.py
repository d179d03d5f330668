"""Activations computed again in the backward pass instead of kept (Chen et al. 2016, "sublinear memory cost").

Of every block only the input stays in memory. Numbers do not change: blocks hold no random draws, and batch normalisation
leaves its running statistics alone the second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vgspeech.models import masked


@contextmanager
def _second_time() -> Iterator[None]:
    masked.keep_running_statistics = True
    try:
        yield
    finally:
        masked.keep_running_statistics = False


def run_block(block: nn.Module, *inputs: Any, again: bool) -> Tensor:
    """The output of a block; with ``again``, in training, what lies between is forgotten until the backward pass."""
    if not (again and block.training and torch.is_grad_enabled()):
        plain: Tensor = block(*inputs)
        return plain
    output: Tensor = checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _second_time()),
    )
    return output
