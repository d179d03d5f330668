"""Self-supervised speech models below the audio encoders: wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021), WavLM
(Chen et al. 2022), as torchaudio builds them and publishes their weights.

Seven convolutions turn 16 kHz samples into a frame every 20 ms, a transformer puts these into context. The output of one of
its layers is what the audio encoder of a language reads in place of log-mel features. The layers are torchaudio's; what runs
them is here, because torchaudio's own loop lets padding in: the first convolution of the base models is normalised over time,
padding included, and WavLM is given no mask at all. Here a caption's frames are those that torchaudio gives for it alone.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgspeech.config import SpeechModelConfig, SpeechModelSizes
from vgspeech.errors import ConfigError
from vgspeech.models.masked import Frames
from vgspeech.models.weights import read_tensors
from vgspeech.speech_networks import speech_weights_path, speech_weights_remedy, torchaudio_network

SAMPLE_RATE = 16000
ROW = 160
"""Samples in a row of the ``wave`` front end."""
_CONVOLUTIONS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
"""Kernel and stride, the same in all published networks."""


class SpeechModel(nn.Module):
    """Samples (B, T, 160) to frames (B, T', C) of a transformer layer, one every 20 ms.

    Frames are torchaudio's: the first is computed from samples 0 to 399, and there is none for the last few samples that fill no
    window. A caption of less than a window is completed with zeros and has one frame.

    Args:
        network: torchaudio's ``Wav2Vec2Model``, with as many transformer layers as are wanted.
        config: what of it is tuned.
        normalise: samples are brought to mean 0 and variance 1 first, as the network was trained.
    """

    def __init__(self, network: nn.Module, config: SpeechModelConfig, normalise: bool) -> None:
        super().__init__()
        self.network: Any = network
        self.config = config
        self.normalise = normalise
        for part in self._kept():
            part.requires_grad_(False)
        self.train()

    def _kept(self) -> list[nn.Module]:
        """The parts that do not learn."""
        kept: dict[str, list[nn.Module]] = {
            "nothing": [self.network],
            "transformer": [self.network.feature_extractor],
            "all": [],
        }
        return kept[self.config.tune]

    def train(self, mode: bool = True) -> SpeechModel:
        """What does not learn stays in evaluation mode: no dropout."""
        super().train(mode)
        for part in self._kept():
            part.eval()
        return self

    @property
    def width(self) -> int:
        """C, numbers in a frame."""
        return int(self.network.encoder.feature_projection.projection.out_features)

    @property
    def stride(self) -> int:
        """Rows of samples for each frame."""
        samples = 1
        for layer in self.network.feature_extractor.conv_layers:
            samples *= layer.stride
        return samples // ROW

    @property
    def window(self) -> int:
        """Samples that the convolutions read for a frame."""
        reach, step = 1, 1
        for layer in self.network.feature_extractor.conv_layers:
            reach, step = reach + (layer.kernel_size - 1) * step, step * layer.stride
        return reach

    @property
    def first_centre_s(self) -> float:
        """Centre of the first frame in seconds."""
        return self.window / 2 / SAMPLE_RATE

    def forward(self, rows: Tensor, lengths: Tensor) -> Frames:
        """Encode captions of which the first ``lengths`` (B,) rows are valid; what lies beyond has no influence."""
        samples = rows.flatten(1)
        counts = lengths.to(samples.device) * ROW
        samples = torch.where(_inside(counts, samples.shape[1]), samples, 0.0)
        if samples.shape[1] < self.window:
            samples = F.pad(samples, (0, self.window - samples.shape[1]))
        counts = counts.clamp_min(self.window)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.tune == "all"):
            x, counts = self._convolve(self._normalise(samples, counts), counts)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.tune != "nothing"):
            x = self._contextualise(x, counts)
        return Frames(x * _inside(counts, x.shape[1])[..., None], _frame_counts(self, lengths))

    def _normalise(self, samples: Tensor, counts: Tensor) -> Tensor:
        if not self.normalise:
            return samples
        return _normalise_over_time(samples[:, None], counts, 1e-5)[:, 0]

    def _convolve(self, samples: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) samples to (B, T', C') frames, and the numbers of valid ones."""
        x = samples[:, None]
        for layer in self.network.feature_extractor.conv_layers:
            x = layer.conv(x)
            counts = (counts - layer.kernel_size) // layer.stride + 1
            norm = layer.layer_norm
            if isinstance(norm, nn.GroupNorm):  # a group a channel: over time alone
                x = _normalise_over_time(x, counts, norm.eps) * norm.weight[:, None] + norm.bias[:, None]
            elif norm is not None:
                x = norm(x)
            x = F.gelu(x)
        return x.transpose(1, 2), counts

    def _contextualise(self, x: Tensor, counts: Tensor) -> Tensor:
        """(B, T', C') frames of the convolutions to (B, T', C) of the last transformer layer that there is."""
        encoder, transformer = self.network.encoder, self.network.encoder.transformer
        valid = _inside(counts, x.shape[1])
        x = encoder.feature_projection(x) * valid[..., None]
        x = x + transformer.pos_conv_embed(x)
        if transformer.layer_norm_first:
            x = transformer.layer_norm(x)
        x = transformer.dropout(x)
        bias: Tensor | None = None
        unheard = torch.zeros_like(valid, dtype=transformer.layer_norm.weight.dtype).masked_fill(~valid, -torch.inf)
        for layer in transformer.layers:
            if hasattr(layer.attention, "rel_attn_embed"):  # WavLM adds it to its scores by distance
                x, bias = layer(x, position_bias=bias, key_padding_mask=unheard)
            else:
                x, _ = layer(x, attention_mask=valid[:, None, None].expand(-1, 1, x.shape[1], -1))
        return x


def _inside(counts: Tensor, width: int) -> Tensor:
    """(B, width) bool, true for the first ``counts`` (B,) places."""
    return torch.arange(width, device=counts.device) < counts[:, None]


def _frame_counts(model: SpeechModel, lengths: Tensor) -> Tensor:
    """Frames of captions of so many rows, computed where the lengths are: the audio encoders count on the CPU."""
    samples = (lengths * ROW).clamp_min(model.window)
    return (samples - model.window) // (model.stride * ROW) + 1


def _normalise_over_time(x: Tensor, counts: Tensor, eps: float) -> Tensor:
    """(B, C, N) with mean 0 and variance 1 over the first ``counts`` (B,) places of every channel; zero beyond."""
    valid = _inside(counts, x.shape[2])[:, None]
    wide = x if x.dtype == torch.float64 else x.float()
    centred = torch.where(valid, wide - torch.where(valid, wide, 0.0).sum(2, keepdim=True) / counts[:, None, None], 0.0)
    variance = centred.square().sum(2, keepdim=True) / counts[:, None, None]
    return centred * torch.rsqrt(variance + eps)


def build_speech_model(config: SpeechModelConfig) -> SpeechModel | None:
    """The speech model that a configuration names, filled from its file unless ``weights`` is ``none``; None without one.

    Raises:
        ConfigError: no such network, no such file, or a file of another network.
    """
    if config.name == "none":
        return None
    import torchaudio  # takes seconds; most models have no use for it

    factory, arguments, normalise = _architecture(config)
    arguments |= {"encoder_num_layers": config.layer or arguments["encoder_num_layers"], "aux_num_out": None}
    network = getattr(torchaudio.models, f"{factory}_model")(**arguments)
    if config.weights != "none":
        _load(network, config)
    return SpeechModel(network, config, normalise)


def _architecture(config: SpeechModelConfig) -> tuple[str, dict[str, Any], bool]:
    """``wav2vec2`` or ``wavlm``, arguments of torchaudio's function of that name, and whether samples are normalised."""
    if config.name != "custom":
        published = torchaudio_network(config.name)
        return published.family, dict(published.arguments), published.normalise
    sizes = config.sizes
    ours = {"family", "extractor_width", "dropout", "normalize_waveform"}
    arguments = {key: getattr(sizes, key) for key in SpeechModelSizes.__dataclass_fields__ if key not in ours}
    arguments["extractor_conv_layer_config"] = [(sizes.extractor_width, *shape) for shape in _CONVOLUTIONS]
    for dropout in ("encoder_projection_dropout", "encoder_attention_dropout", "encoder_ff_interm_dropout", "encoder_dropout"):
        arguments[dropout] = sizes.dropout
    arguments["encoder_layer_drop"] = 0.0
    if sizes.family == "wavlm":
        arguments |= {"encoder_num_buckets": 320, "encoder_max_distance": 800}
    return sizes.family, arguments, sizes.normalize_waveform


def _load(network: nn.Module, config: SpeechModelConfig) -> None:
    """Fill a network; layers above the one that is wanted, and the outputs of a recogniser, are left out."""
    remedy = speech_weights_remedy(config)
    state = read_tensors(speech_weights_path(config), "speech_model.weights", remedy)
    layers = len(cast(Any, network).encoder.transformer.layers)
    wanted = {key: value for key, value in state.items() if not _left_out(key, layers)}
    try:
        network.load_state_dict(wanted)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        what = f"speech_model.weights: {config.weights} is not of {config.name}: {reason[:160]}"
        raise ConfigError(what, hint=remedy) from error


def _left_out(key: str, layers: int) -> bool:
    name, _, rest = key.removeprefix("encoder.transformer.").partition(".")
    return key.startswith("aux.") or (name == "layers" and int(rest.partition(".")[0]) >= layers)
