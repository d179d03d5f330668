"""Image encoders: a backbone without its pooling and classifier, then a convolution to the embedding.

Input: (B, 3, H, W) images normalised by the ImageNet mean and deviation. Output: a grid (B, H', W', D) of cells.

Clips are sets of video frames. Each goes through the backbone by itself, and the features of a clip are pooled over its video
frames, cell by cell, before the embedding. ``max`` is the pooling of Spoken Moments (Monfort et al. 2021, section 4.1) and AVLnet
(Rouditchenko et al. 2021), which pool whole pictures by it. ``mean``, the default, commutes with the embedding, which is linear:
the matchmap of a clip is the mean of its video frames' matchmaps, so every video frame has its say in where a word lights up,
and SISA is the mean over all cells of all of them. Under both the order of video frames makes no difference, and a clip in which
nothing moves equals the still.

torchvision is imported by the backbones that it builds and not above: it takes as long as torch, and every command that
opens a model would wait for it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vgspeech.config import ImageEncoderConfig
from vgspeech.errors import ConfigError
from vgspeech.model_check import weights_path, weights_remedy
from vgspeech.models.masked import MaskedBatchNorm
from vgspeech.models.recompute import run_block
from vgspeech.models.weights import read_tensors


class ImageEncoder(nn.Module):
    """A backbone (B, 3, H, W) -> (B, C, H', W') and an embedding convolution C -> D; no activation on top."""

    def __init__(self, backbone: nn.Module, embedder: nn.Conv2d, clip_pooling: Literal["mean", "max"] = "mean") -> None:
        super().__init__()
        self.backbone = backbone
        self.embedder = embedder
        self.clip_pooling = clip_pooling

    def forward(self, images: Tensor, counts: list[int] | None = None) -> Tensor:
        """(F, 3, H, W) -> (B, H', W', D); see :meth:`features`."""
        return self.embed(self.features(images, counts))

    def features(self, images: Tensor, counts: list[int] | None = None) -> Tensor:
        """What the backbone gives: (F, 3, H, W) -> (B, C, H', W').

        Args:
            images: of B pictures, those of one picture one after the other.
            counts: number of images of each picture; None when all are stills, B = F.
        """
        features: Tensor = self.backbone(_channels_last(images))
        return features if counts is None else pool_clips(features, counts, self.clip_pooling)

    def embed(self, features: Tensor) -> Tensor:
        """What the embedding convolution makes of it: (B, C, H', W') -> (B, H', W', D)."""
        return self.embedder(_channels_last(features)).permute(0, 2, 3, 1)


def _channels_last(x: Tensor) -> Tensor:
    """In the memory order that the weights have, on devices whose convolutions gain by it."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" or x.is_cuda else x


def pool_clips(features: Tensor, counts: list[int], how: Literal["mean", "max"]) -> Tensor:
    """Features (F, C, H, W) of images to those of pictures (B, C, H, W); a still's are passed on unchanged."""
    pooled = []
    for part in features.split(counts):
        if len(part) == 1:
            pooled.append(part[0])
        else:
            pooled.append(part.mean(0) if how == "mean" else part.max(0)[0])
    return torch.stack(pooled).contiguous(memory_format=torch.channels_last)


class _ResNet(nn.Module):
    """torchvision's ResNet up to its last stage, with our batch normalisation; parameter names are torchvision's."""

    recompute = False

    def __init__(self, name: str) -> None:
        super().__init__()
        import torchvision

        build = getattr(torchvision.models, name)
        net = build(weights=None, norm_layer=MaskedBatchNorm)
        self.width = net.fc.in_features
        for part in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(part, getattr(net, part))

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for part in self.children():
            for block in part if isinstance(part, nn.Sequential) else [part]:
                x = run_block(block, x, again=self.recompute and block is not part)
        return x


class _Vgg16(nn.Sequential):
    """The feature layers of torchvision's VGG16 without the last pooling, which DAVEnet leaves out."""

    recompute = False

    def __init__(self) -> None:
        import torchvision

        super().__init__(*torchvision.models.vgg16(weights=None).features[:-1])

    def forward(self, input: Tensor) -> Tensor:
        ends = [number for number, layer in enumerate(self) if isinstance(layer, nn.MaxPool2d)]
        layers, again = list(self), self.recompute and self.training
        for start, end in zip([0, *ends], [*ends, len(layers)], strict=True):
            input = run_block(nn.Sequential(*layers[start:end]), input, again=again)
        return input


class _Block(nn.Module):
    """The basic residual block of He et al. (2016, figure 5 left) at stride 2, shortcut by a strided 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), MaskedBatchNorm(outputs))
        self.conv1: nn.Module = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.bn1 = MaskedBatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = MaskedBatchNorm(outputs)
        self.downsample = downsample

    def centred_later(self) -> None:
        """Look half a step down and to the right instead of up and to the left."""
        assert isinstance(self.conv1, nn.Conv2d)
        self.conv1.padding = (0, 0)
        self.conv1 = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), self.conv1)
        self.downsample = nn.Sequential(nn.ZeroPad2d((-1, 0, -1, 0)), *self.downsample)

    def forward(self, images: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(images), relu=True)))
        return nn.functional.relu(inner + self.downsample(images))


class _SmallNet(nn.Module):
    """A strided 3x3 convolution and one strided basic residual block a stage: 128 pixels become 8 x 8 cells.

    A strided convolution with padding 1 on both sides looks half a step up and to the left of its cell, which adds up to
    half a cell over the stages. The last stage looks half a (larger) step down and to the right instead, so that a cell's
    receptive field is centred on the cell to half a pixel.
    """

    recompute = False

    def __init__(self, stem: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.width = widths[-1]
        self.conv1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = MaskedBatchNorm(stem)
        blocks = [_Block(inputs, outputs) for inputs, outputs in zip((stem, *widths), widths, strict=False)]
        blocks[-1].centred_later()
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images), relu=True)
        for block in self.blocks:
            x = run_block(block, x, again=self.recompute)
        return x


def build_image_encoder(config: ImageEncoderConfig, embedding_dim: int) -> ImageEncoder:
    """The encoder a config describes, its backbone filled from ``config.weights`` unless that is ``none``.

    Raises:
        ConfigError: the weights file is missing or is not of this backbone.
    """
    if config.type == "vgg16":
        backbone: nn.Module = _Vgg16()
        embedder = nn.Conv2d(512, embedding_dim, 3, padding=1)
    else:
        net = _SmallNet(config.stem_width, config.widths) if config.type == "small" else _ResNet(config.type)
        backbone, embedder = net, nn.Conv2d(net.width, embedding_dim, 1)
    if config.weights != "none":
        _load_backbone(backbone, config)
    return ImageEncoder(backbone, embedder, config.clip_pooling)


def _load_backbone(backbone: nn.Module, config: ImageEncoderConfig) -> None:
    """Fill a backbone from a state dict in torchvision's layout (the classifier is left out)."""
    state = read_tensors(weights_path(config), "image.weights", weights_remedy(config))
    prefix = "features." if config.type == "vgg16" else ""
    wanted = {key: state[prefix + key] for key in backbone.state_dict() if prefix + key in state}
    absent = [key for key in backbone.state_dict() if key not in wanted and not key.endswith("num_batches_tracked")]
    if absent:
        raise ConfigError(
            f"image.weights: {config.weights} lacks {absent[0]} of {config.type}", hint=weights_remedy(config)
        )
    backbone.load_state_dict(wanted, strict=False)
