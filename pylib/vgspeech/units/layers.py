"""Outputs of any layer of a model's audio encoder, read like an archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgspeech.archive import ArchiveReader
from vgspeech.datadir import feature_scp
from vgspeech.embedding import blocks_of_job, check_front_end, device_of, full_float32, padded_features
from vgspeech.errors import UsageError
from vgspeech.models import GroundingModel, load_model
from vgspeech.units.clock import CodeClock

Array = np.ndarray[Any, np.dtype[Any]]

_PROBE_FRAMES = 1024
"""Divisible by every stride, so that a layer's output length tells its stride exactly."""


def model_and_features(
    model: Path, data: Path, split: str, language: str, device: str
) -> tuple[GroundingModel, ArchiveReader]:
    """A trained model and the features of a split that it reads.

    Raises:
        DataError, DriftError: there are no such features, or they are of another front end.
    """
    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    full_float32()
    loaded = load_model(model, device)
    scp = feature_scp(data, split, language, loaded.config)
    check_front_end(scp.with_suffix(".yaml"), loaded.config)
    return loaded, ArchiveReader(scp)


def layer_names(model: GroundingModel, language: str, features: Mapping[str, Array]) -> list[str]:
    """The layers of a language's audio encoder, lowest first."""
    return list(_probe(model, language, next(iter(features.values())).shape[1]))


@torch.inference_mode()
def _probe(model: GroundingModel, language: str, bins: int) -> dict[str, int]:
    """Layer to its number of frames for ``_PROBE_FRAMES`` feature frames."""
    zeros = torch.zeros(1, _PROBE_FRAMES, bins, device=device_of(model))
    layers = model.audio_layers(language, zeros, torch.tensor([_PROBE_FRAMES]))
    return {name: output.values.shape[1] for name, output in layers.items()}


class LayerOutputs(Mapping[str, Array]):
    """Utterance -> (T', C) float32 output of a layer, or (T',) int64 codes; computed when asked for."""

    def __init__(self, model: GroundingModel, language: str, features: Mapping[str, Array], layer: str) -> None:
        """``features``: (T, F) as stage 1 wrote them; ``layer``: a name of ``GroundingModel.audio_layers``.

        Raises:
            UsageError: the encoder has no such layer; names those it has.
        """
        self._model, self._language, self._features, self._layer = model, language, features, layer
        bins = next(iter(features.values())).shape[1]
        lengths = _probe(model, language, bins)
        if layer not in lengths:
            raise UsageError(f"the model has no layer '{layer}'", hint=f"it has: {', '.join(lengths)}")
        self.stride = _PROBE_FRAMES // lengths[layer]
        """Feature frames for each frame of the layer."""
        info = model.audio_info(language)
        whole = model.audio_stride(language)
        self.clock = CodeClock(self.stride * info.frame_shift_s / whole, info.frame_offset_s)
        """When the layer's frames are: every layer is centred on the same first frame."""

    def __getitem__(self, utt: str) -> Array:
        return next(self._run([utt]))[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def batches(self) -> Iterator[tuple[str, Array]]:
        """All utterances in order, a block at a time: faster than one by one."""
        for block in blocks_of_job(self._features, 1, 1):
            yield from self._run(block)

    @torch.inference_mode()
    def _run(self, block: list[str]) -> Iterator[tuple[str, Array]]:
        values, lengths = padded_features([self._features[utt] for utt in block], self._model.config.normalisation)
        layers = self._model.audio_layers(self._language, values.to(device_of(self._model)), lengths)
        outputs, counts = layers[self._layer]
        for utt, output, count in zip(block, outputs.cpu(), counts.tolist(), strict=True):
            yield utt, output[:count].numpy()
