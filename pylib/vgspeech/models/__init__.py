"""Audio encoders, image encoders, vector quantisers, and the grounding model that joins them."""

from vgspeech.models.grounding import AudioInfo, GroundingModel, build_model
from vgspeech.models.masked import FrameMask, Frames, MaskedBatchNorm
from vgspeech.models.released import load_released_state
from vgspeech.models.stored import load_model, save_weights

__all__ = [
    "AudioInfo",
    "FrameMask",
    "Frames",
    "GroundingModel",
    "MaskedBatchNorm",
    "build_model",
    "load_model",
    "load_released_state",
    "save_weights",
]
