"""Speed and memory of a training step against the released one, ResDAVEnet-VQ {2,3} + ResNet50 at full size.

    . path.sh; python tests/bench/bench_training_step.py [--batch 64] [--steps 3] [--threads 2] [--part all]

Captions of 3 to 20 s. Each variant runs in a process of its own, so that its peak memory is its own: `released` (checked
against the golden files first), `ours` (packed, precision by --precision) and `recompute` (ours with training.recompute).
A script, not a test.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = ("released", "ours", "recompute")


def captions(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (B, T, 40) like log-mel in dB, padded to the longest, and lengths (B,)."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(300, 2001, (batch,), generator=generator)
    feats = -40 + 20 * torch.randn(batch, int(lengths.max()), 40, generator=generator)
    return feats * (torch.arange(feats.shape[1]) < lengths[:, None])[..., None], lengths


def check_golden() -> None:
    """The restated audio net computes the released numbers."""
    sys.path.insert(0, str(ROOT / "tests" / "unit"))
    from released_step import AudioNet

    from released_layout import META, golden, released_state

    net, stored = AudioNet((8, 16, 16, 32, 64), (1, 2, 3, 4, 5), 16).eval(), golden("resdavenet_vq_all")
    state = released_state(META["resdavenet_vq_keys"])
    net.load_state_dict({key: value for key, value in state.items() if not key.startswith("batchnorm1")})
    with torch.no_grad():
        out, loss = net(torch.from_numpy(stored["mel"]), torch.full((3,), 100))
    torch.testing.assert_close(out, torch.from_numpy(stored["out"]), rtol=1e-4, atol=1e-4)
    wanted = sum(float(stored[f"quant_loss{number}"].mean()) for number in range(1, 6))
    torch.testing.assert_close(float(loss), wanted, rtol=1e-4, atol=1e-4)


def released(batch: int) -> Callable[[], None]:
    from released_step import FRAMES, AudioNet, image_net, rank_loss

    check_golden()
    audio, image = AudioNet((128, 256, 256, 512, 1024), (2, 3), 1024).train(), image_net(1024).train()
    parameters = [p for net in (audio, image) for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=2e-4, weight_decay=5e-7)
    feats, lengths = captions(batch)
    mel = torch.nn.functional.pad(feats.transpose(1, 2), (0, FRAMES - feats.shape[1]))
    pictures = torch.randn(batch, 3, 224, 224)

    def step() -> None:
        out, quantisation = audio(mel, lengths)
        loss = rank_loss(image(pictures), out, lengths) + quantisation
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        audio.update()

    return step


def ours(batch: int, precision: str, recompute: bool) -> Callable[[], None]:
    from vgspeech.config import ExperimentConfig, load_config
    from vgspeech.models import build_model
    from vgspeech.training.data import Batch, BatchPlan
    from vgspeech.training.distributed import Processes
    from vgspeech.training.schedule import make_optimizer
    from vgspeech.training.step import backward, make_scaler, update

    changes = [f"training.precision={precision}", f"training.recompute={str(recompute).lower()}"]
    config = load_config(ExperimentConfig, ROOT / "egs/places/conf/resdavenet_vq23.yaml", changes)
    model, processes = build_model(config).train(), Processes(0, 1, torch.device("cpu"))
    optimizer, scaler = make_optimizer(model, config.training), make_scaler(config, processes)
    feats, lengths = captions(batch)
    rows = np.arange(batch)
    pictures = torch.randint(0, 256, (batch, 224, 224, 3), dtype=torch.uint8)
    data = Batch(pictures, np.ones(batch, int), {"en": (feats, lengths)}, BatchPlan(rows, {"en": rows}, {"en": rows}))

    def step() -> None:
        backward(model, scaler, data, processes, 1, 0)
        update(model, optimizer, scaler, processes)

    return step


def measure(args: argparse.Namespace) -> None:
    """One variant: seconds, and processor seconds, of the fastest step after one to warm up; peak memory in MiB."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    step = (
        released(args.batch) if args.part == "released" else ours(args.batch, args.precision, args.part == "recompute")
    )
    seconds = []
    for _ in range(1 + args.steps):
        started, used = time.perf_counter(), time.process_time()
        step()
        seconds.append((time.perf_counter() - started, time.process_time() - used))
    print(
        *(min(column) for column in zip(*seconds[1:], strict=True)),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bfloat16", help="of ours: bfloat16 or float32")
    parser.add_argument("--part", default="all", choices=["all", *VARIANTS], help="variant to measure in this process")
    args = parser.parse_args()
    if args.part != "all":
        measure(args)
        return
    print(f"batch {args.batch}, {args.threads} threads, ours in {args.precision}, load {os.getloadavg()[0]:.1f}")
    found = {}
    for part in VARIANTS:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--part", part], check=True, stdout=subprocess.PIPE, text=True
        )
        found[part] = wall, used, memory = tuple(map(float, done.stdout.split()))
        speed, cheaper, share = (found["released"][n] / found[part][n] for n in range(3))
        print(
            f"{part:<10}{args.batch / wall:7.2f} pairs/s{speed:7.2f} x (processor time {cheaper:.2f} x, {used:.1f} s)",
            end="",
        )
        print(f"{memory:8.0f} MiB, {1 / share:.2f} of released", flush=True)


if __name__ == "__main__":
    main()
