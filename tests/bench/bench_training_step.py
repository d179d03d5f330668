"""Speed and memory of a training step against the released one, ResDAVEnet-VQ {2,3} + ResNet50 at full size.

    . path.sh; python tests/bench/bench_training_step.py [--device cuda] [--batch 64] [--steps 3] [--threads 2] [--part all]

Captions of 3 to 20 s. Each variant runs in a process of its own, so that its peak memory is its own: `released` (float32,
checked against the golden files first), ours in `bfloat16` and in `float32`, and `recompute` (bfloat16 with
training.recompute). No TF32 anywhere. Batches come from the processor's memory in every step, as in training. On a GPU memory
is what torch has allocated there at most; on the processor that of the process.

The part of the peak: products and convolutions that the step does, counted by torch, a second, against what a large square
product of matrices of that type reaches in the same process. A script, not a test.
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
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = ("released", "bfloat16", "float32", "recompute")
SQUARE = {"cuda": 8192, "cpu": 2048}
"""Side of the matrices whose product is taken for the peak."""


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


def released(batch: int, device: torch.device) -> Callable[[], None]:
    from released_step import FRAMES, AudioNet, image_net, rank_loss

    check_golden()
    audio, image = (net.to(device).train() for net in (AudioNet((128, 256, 256, 512, 1024), (2, 3), 1024), image_net(1024)))
    parameters = [p for net in (audio, image) for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=2e-4, weight_decay=5e-7)
    feats, lengths = captions(batch)
    mel = pinned(torch.nn.functional.pad(feats.transpose(1, 2), (0, FRAMES - feats.shape[1])), device)
    pictures = pinned(torch.randn(batch, 3, 224, 224), device)

    def step() -> None:
        out, quantisation = audio(mel.to(device, non_blocking=True), lengths.to(device))
        loss = rank_loss(image(pictures.to(device, non_blocking=True)), out, lengths) + quantisation
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        audio.update()

    return step


def ours(batch: int, device: torch.device, precision: str, recompute: bool) -> Callable[[], None]:
    from vgspeech.config import ExperimentConfig, load_config
    from vgspeech.models import build_model
    from vgspeech.training.data import Batch, BatchPlan
    from vgspeech.training.distributed import Processes
    from vgspeech.training.schedule import make_optimizer
    from vgspeech.training.step import backward, make_scaler, update

    changes = [f"training.precision={precision}", f"training.recompute={str(recompute).lower()}"]
    config = load_config(ExperimentConfig, ROOT / "egs/places/conf/resdavenet_vq23.yaml", changes)
    model, processes = build_model(config).to(device).train(), Processes(0, 1, device)
    optimizer, scaler = make_optimizer(model, config.training), make_scaler(config, processes)
    feats, lengths = captions(batch)
    rows = np.arange(batch)
    pictures = pinned(torch.randint(0, 256, (batch, 224, 224, 3), dtype=torch.uint8), device)
    speech = {"en": (pinned(feats, device), lengths)}
    data = Batch(pictures, np.ones(batch, int), speech, BatchPlan(rows, {"en": rows}, {"en": rows}))

    def step() -> None:
        backward(model, scaler, data, processes, 1, 0)
        update(model, optimizer, scaler, processes)

    return step


def pinned(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """As the loader of training hands it over."""
    return x.pin_memory() if device.type == "cuda" else x


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds, and processor seconds."""
    started, used = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - used


def peak_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second in the product of two large square matrices, the fastest of ten."""
    side = SQUARE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    (a @ b).sum().item()
    return 2 * side**3 / min(timed(lambda: a @ b, device)[0] for _ in range(10))


def measure(args: argparse.Namespace) -> None:
    """One variant: seconds and processor seconds of the fastest step after one to warm up; peak memory in MiB; operations of
    a step; operations a second at best."""
    from vgspeech.embedding import full_float32

    full_float32()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    if args.part == "released":
        step = released(args.batch, device)
    else:
        precision = "bfloat16" if args.part == "recompute" else args.part
        step = ours(args.batch, device, precision, args.part == "recompute")
    step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = [timed(step, device) for _ in range(args.steps)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 2**20
    with FlopCounterMode(display=False) as counter:
        step()
    dtype = torch.float32 if args.part in ("released", "float32") else torch.bfloat16
    print(*(min(column) for column in zip(*seconds, strict=True)), memory, counter.get_total_flops(), peak_rate(device, dtype))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--part", default="all", choices=["all", *VARIANTS], help="variant to measure in this process")
    args = parser.parse_args()
    if args.part != "all":
        measure(args)
        return
    name = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} threads"
    print(f"batch {args.batch}, {name}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    found = {}
    for part in VARIANTS:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--part", part], check=True, stdout=subprocess.PIPE, text=True
        )
        found[part] = wall, used, memory, work, peak = tuple(map(float, done.stdout.split()))
        speed, cheaper, share = (found["released"][n] / found[part][n] for n in range(3))
        print(
            f"{part:<10}{args.batch / wall:8.2f} pairs/s{speed:7.2f} x (processor time {cheaper:.2f} x, {used:.2f} s); "
            f"{memory:.0f} MiB, {1 / share:.2f} of released; "
            f"{work / wall / 1e12:.2f} Tflop/s, {100 * work / wall / peak:.0f} % of {peak / 1e12:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
