"""Weights of another training as a start (``training.init_from``, ``--init-from``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vgspeech.errors import ConfigError
from vgspeech.models import GroundingModel


class Initial(NamedTuple):
    """What a start gave a model."""

    summary: str
    """One line for the log: how much was taken, left as it was, and left out."""
    new_codebooks: list[str]
    """Those of ``GroundingModel.quantizers()`` that the start lacks."""


def load_initial(model: GroundingModel, start: str | Path, audio: str = "none") -> Initial:
    """Fill a fresh model with what another one has by the same names.

    A warm-start chain adds parts step by step (quantisers, a language): such parts keep their initial values. What has the
    same name must have the same shape; what the model lacks is left out. The similarity scale is taken over when both
    learn one.

    Args:
        model: changed in place.
        start: a model directory (its best.pt is taken) or a file of weights.
        audio: the language of it whose audio encoder those languages start from that it lacks; ``none``: afresh.

    Raises:
        ConfigError: no such file, not a file of weights, another shape, nothing in common, or no such language.
    """
    path = Path(start) / "best.pt" if Path(start).is_dir() else Path(start)
    try:
        given = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(
            f"training.init_from: no such file: {path}", hint="train that model first, or name its directory"
        ) from error
    except Exception as error:  # torch raises many kinds for a file that is damaged or none of its own
        raise ConfigError(
            f"training.init_from: {path} cannot be read: {type(error).__name__}", hint="give a model directory, or its best.pt"
        ) from error
    if audio != "none" and isinstance(given, dict):
        given = given | _audio_of_another_language(given, audio, model.config.languages, path)
    own = model.state_dict()
    if not isinstance(given, dict) or not (common := [key for key in own if key in given]):
        raise ConfigError(
            f"training.init_from: {path} has no weights of this model",
            hint="give a best.pt of the same architecture; other releases: local/import_released.sh",
        )
    for key in common:
        if given[key].shape != own[key].shape:
            raise ConfigError(
                f"training.init_from: {key} has shape {list(given[key].shape)} in {path}, here {list(own[key].shape)}",
                hint="give both models the same widths, sizes and features",
            )
    model.load_state_dict({key: given[key] for key in common}, strict=False)
    fresh = _parts(key for key in own if key not in given)
    unused = _parts(key for key in given if key not in own)
    counts = f"{len(common)} of {len(own)} tensors"
    new = [name for name in model.quantizers() if "audio.{}.{}.codebook".format(*name.split("/")) not in given]
    return Initial(f"started from {path}: {counts}; as initialised: {fresh}; not used: {unused}", new)


def _audio_of_another_language(
    given: dict[str, Tensor], audio: str, languages: Sequence[str], path: Path
) -> dict[str, Tensor]:
    """The audio encoder of a language, once for every language that has none there."""
    there = {key.split(".")[1] for key in given if key.startswith("audio.")}
    if audio not in there:
        hint = f"it has: {', '.join(sorted(there)) or 'none'}"
        raise ConfigError(f"training.init_audio: {path} has no language '{audio}'", hint=hint)
    prefix = f"audio.{audio}."
    return {
        f"audio.{language}.{key.removeprefix(prefix)}": value
        for language in languages
        if language not in there
        for key, value in given.items()
        if key.startswith(prefix)
    }


def _parts(keys: object) -> str:
    """Tensor names as the modules that hold them: ``audio.hi.layer1.0.conv1.weight`` -> ``audio.hi.layer1``."""
    names = sorted({".".join(key.split(".")[:3]) for key in keys})  # type: ignore[attr-defined]
    return ", ".join(names) if names else "none"
