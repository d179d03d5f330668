"""vgspeech: learn spoken words from pictures.

People describe images aloud, untranscribed and in any number of languages; the models here learn to match speech with
images, and the analyses find the words, what they show, and which word of one language means which of another.

``vgspeech.load("exp/mini")`` opens a trained model (``docs/api.md``). The library holds all numerics and knows nothing of
the shell recipes. Its layers stand in ``layers.txt`` beside this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vgspeech.loaded import LoadedModel

__version__ = "0.1.0"


def load(source: str | Path, device: str = "cpu") -> LoadedModel:
    """Open a trained model; see `vgspeech.loaded.LoadedModel`.

    Args:
        source: a model directory (``exp/<model>``, with ``config.yaml`` and ``best.pt``) or what ``utils/pack_model.sh`` wrote.
        device: ``cpu`` or ``cuda``.

    Raises:
        DataError: there is no trained model, or it is damaged.
    """
    from vgspeech.loaded import LoadedModel  # brings torch, which most commands do not need

    return LoadedModel(source, device)
