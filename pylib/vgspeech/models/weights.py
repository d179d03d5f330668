"""Files of pretrained weights that a configuration names."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vgspeech.errors import ConfigError


def read_tensors(path: Path, key: str, remedy: str) -> dict[str, Tensor]:
    """A state dict. Only tensors are read: a file that would run code is refused.

    Args:
        key: of the configuration, for messages.
        remedy: what to do when the file does not serve.

    Raises:
        ConfigError: no such file, unreadable, or something else than tensors by name.
    """
    if not path.is_file():
        raise ConfigError(f"{key}: no such file: {path}", hint=remedy)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{key}: {path} is no file of weights that can be read", hint=remedy) from error
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(f"{key}: {path} holds no tensors by name", hint=remedy)
    return {str(name): value for name, value in state.items()}
