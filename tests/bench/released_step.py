"""The released ResDAVEnet-VQ training step, restated plainly, to compare with: captions padded to 2,048 frames, float32,
one-hot codes, impostors looked for one pair at a time. Tensor names are the released ones."""

from __future__ import annotations

import random
from itertools import pairwise

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

FRAMES = 2048


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, (1, 9), (1, stride), (0, 4), bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, (1, 9), 1, (0, 4), bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, (1, stride), bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Quantizer(nn.Module):
    """One-hot codes; the codebook follows by moving averages (decay .99) in :meth:`update`."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self._embedding = nn.Embedding(size, dim)
        self._embedding.weight.requires_grad_(False)
        self.register_buffer("_ema_cluster_size", torch.ones(size))
        self.register_buffer("_ema_w", self._embedding.weight.clone())
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        listed = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        weight = self._embedding.weight
        distances = listed.pow(2).sum(1, keepdim=True) + weight.pow(2).sum(1) - 2 * listed @ weight.t()
        codes = distances.argmin(1)
        one_hot = torch.zeros(len(codes), len(weight), device=x.device).scatter_(1, codes[:, None], 1)
        values = one_hot @ weight
        loss = (values.detach() - listed)[valid].pow(2).mean()
        if self.training:
            self.seen = [(listed.detach()[valid], one_hot[valid])]
        straight = listed + (values - listed).detach()
        return straight.view(x.shape[0], x.shape[3], 1, x.shape[1]).permute(0, 3, 2, 1), loss

    def update(self) -> None:
        (frames, one_hot), size = self.seen.pop(), len(self._ema_cluster_size)
        self._ema_cluster_size.mul_(0.99).add_(0.01 * one_hot.sum(0))
        total = self._ema_cluster_size.sum()
        self._ema_cluster_size.add_(1e-8).div_(total + size * 1e-8).mul_(total)
        self._ema_w.mul_(0.99).add_(0.01 * one_hot.t() @ frames)
        self._embedding.weight.data = self._ema_w / self._ema_cluster_size[:, None]


class AudioNet(nn.Module):
    def __init__(self, widths: tuple[int, ...], positions: tuple[int, ...], codes: int) -> None:
        super().__init__()
        self.positions = positions
        self.conv1 = nn.Conv2d(1, widths[0], (40, 1), bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
            self.add_module(f"layer{number}", nn.Sequential(Block(inputs, outputs, 2), Block(outputs, outputs, 1)))
        for position in positions:
            self.add_module(f"quant{position}", Quantizer(codes, widths[position - 1]))

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 40, T) and (B,), on one device -> (B, C, 1, T / 16) and the sum of the quantisers' losses."""
        x, loss, whole = F.relu(self.bn1(self.conv1(mel[:, None]))), mel.new_zeros(()), mel.shape[-1]
        for number in range(5):
            if number:
                x = getattr(self, f"layer{number}")(x)
            if number + 1 in self.positions:
                ends = lengths * x.shape[-1] / whole
                valid = (torch.arange(x.shape[-1], device=x.device) < ends[:, None]).flatten()
                x, more = getattr(self, f"quant{number + 1}")(x, valid)
                loss = loss + more
            if self.training and number < 2:
                draw = torch.rand(x.shape[-1], device=x.device)
                source = torch.arange(x.shape[-1], device=x.device) + (draw >= 0.88).long() - (draw < 0.12).long() + 1
                x = x[..., source.clamp(0, x.shape[-1] - 1)]
        return x, loss

    def update(self) -> None:
        for position in self.positions:
            getattr(self, f"quant{position}").update()


def image_net(dim: int) -> nn.Module:
    """ResNet50 without pooling and classifier, and a 1x1 convolution."""
    net = torchvision.models.resnet50(weights=None)
    return nn.Sequential(*list(net.children())[:-2], nn.Conv2d(2048, dim, 1))


def rank_loss(image: Tensor, audio: Tensor, lengths: Tensor) -> Tensor:
    """Sampled and semi-hard hinge losses of the pooled dot product, margin 1, one pair after the other."""
    pooled = torch.stack([a[:, 0, : max(1, n // 16)].mean(1) for a, n in zip(audio, lengths.tolist(), strict=True)])
    vectors, count = image.mean((2, 3)), len(image)
    scores = vectors @ pooled.t()
    loss = scores.new_zeros(())
    for i in range(count):
        j, k = (random.choice([n for n in range(count) if n != i]) for _ in range(2))
        loss = loss + F.relu(1 + scores[i, j] - scores[i, i]) + F.relu(1 + scores[k, i] - scores[i, i])
        for line in (scores[i], scores[:, i]):
            below = (line < scores[i, i]).float()
            loss = loss + F.relu(1 + (line * below).max() - scores[i, i])
    return loss / count
