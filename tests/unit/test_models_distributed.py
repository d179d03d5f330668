"""Two processes on halves of a batch compute what one computes on the whole: statistics, gradients, codebooks."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from vgspeech.config import AudioEncoderConfig, ImageEncoderConfig
from vgspeech.models.image import build_image_encoder
from vgspeech.models.resdavenet import ResDavenet


def _step(rows: slice) -> dict[str, torch.Tensor]:
    """One forward and backward pass on some rows of a fixed batch; the summed loss's gradients and all buffers."""
    torch.manual_seed(0)
    config = AudioEncoderConfig(stem_width=6, widths=(8,), blocks=(1,), kernel=3, quantizers=(2,), codebook_size=5)
    config = AudioEncoderConfig(**{**config.__dict__, "jitter": 0.0})
    audio = ResDavenet(config, 4, 8).double().train()
    image = build_image_encoder(ImageEncoderConfig(type="small", stem_width=4, widths=(6,)), 8).double().train()
    feats, lengths = torch.randn(5, 21, 4).double(), torch.tensor([21, 6, 13, 20, 4])
    images, weights = torch.randn(5, 3, 16, 16).double(), torch.randn(8).double()
    frames = audio(feats[rows], lengths[rows])
    grids = image(images[rows])
    loss = (frames.values * weights).sum(2).square().sum() + (grids * weights).sum(3).square().sum()
    assert audio.commitment_loss is not None
    loss = loss + audio.commitment_loss / (dist.get_world_size() if dist.is_initialized() else 1)
    loss.backward()
    for quantizer in audio.quantizers.values():
        quantizer.update()
    found = {}
    for name, module in (("audio", audio), ("image", image)):
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None
            if dist.is_initialized():
                dist.all_reduce(parameter.grad)
            found[f"{name}.{key}.grad"] = parameter.grad
        found.update({f"{name}.{key}": value for key, value in module.named_buffers()})
    return found


def _worker(rank: int, port: int, out: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    # In the second case none of the first process's images has a caption in the language.
    for case, parts in enumerate([(slice(0, 2), slice(2, 5)), (slice(0, 0), slice(0, 5))]):
        torch.save(_step(parts[rank]), f"{out}/{case}.{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_worker, args=(port, str(tmp_path)), nprocs=2)
    expected = _step(slice(0, 5))
    for name in ("0.0", "0.1", "1.0", "1.1"):
        actual = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                actual[key], value, rtol=1e-9, atol=1e-9, msg=lambda m, key=f"{name} {key}": f"{key}: {m}"
            )
