"""Speed of retrieval ranks by MISA. A script, not a test.

    . path.sh; python tests/bench/bench_misa.py [--items 1000] [--cells 14] [--loop-images 20] [--threads 2] [--device cpu]

Ranks of captions of 3 to 20 s (19 to 125 frames) among images and back, against a loop over pairs that skips padding
too. The loop is timed on the first --loop-images images with all captions, and its time scaled to all images. Three ways:
rough scores in bfloat16 with the pairs near a tie scored again, the same in float32, and the whole matrix in float32.
The first two must give the same ranks, and the ranks of the float32 matrix where no two of its scores agree within rounding.
On a GPU (no TF32) each of the three is done twice, and the second time counts: the first one loads programs.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from vgspeech.config import SimilarityConfig
from vgspeech.embedding import full_float32
from vgspeech.retrieval import FRAME_BLOCK, stream_ranks
from vgspeech.screening import Screen
from vgspeech.similarity import score_matrix

Result = TypeVar("Result")
DIM = 1024
STRENGTH = 0.35
"""Of an object beside the noise: R@10 is then about that of a trained model on 1,000 pairs."""


def embeddings(items: int, side: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Grids (N, side, side, D), frames (N, 125, D) and lengths (N,) that match about as those of a trained model.

    A caption names three of its image's four objects, each in a stretch of its frames; an object fills a few cells.
    """
    generator = torch.Generator().manual_seed(0)
    objects = torch.randn(max(20, items // 4), DIM, generator=generator)
    lengths = torch.randint(19, 126, (items,), generator=generator)
    grids = torch.randn(items, side * side, DIM, generator=generator)
    frames = torch.randn(items, 125, DIM, generator=generator)
    for item in range(items):
        for number, which in enumerate(torch.randint(len(objects), (4,), generator=generator).tolist()):
            first = int(torch.randint(side * side - 3, (1,), generator=generator))
            grids[item, first : first + 4] += STRENGTH * objects[which]
            if number < 3:
                start = int(torch.randint(int(lengths[item]) - 6, (1,), generator=generator))
                frames[item, start : start + 6] += STRENGTH * objects[which]
    return grids.view(items, side, side, DIM).to(device), frames.to(device), lengths


def pair_loop(grids: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """The plain way: (A, I) scores, one pair after the other."""
    captions = [caption[:length] for caption, length in zip(frames, lengths.tolist(), strict=True)]
    return torch.tensor([[float((g @ c.t()).max(0)[0].mean()) for g in grids.flatten(1, 2)] for c in captions])


def screened(
    grids: Tensor, frames: Tensor, lengths: Tensor, dtype: torch.dtype
) -> tuple[tuple[Tensor, Tensor], int]:
    """Ranks of captions and of images, and how many pairs were scored more than once."""
    screen = Screen(lambda r: (frames[r], lengths[r]), lambda c: grids[c], False, dtype)
    labels = torch.arange(len(lengths))
    return stream_ranks(screen, labels, labels, FRAME_BLOCK), screen.rescored


def timed(work: Callable[[], Result], device: str) -> tuple[float, Result]:
    """Seconds, and what was computed."""
    if device == "cuda":
        work()
        torch.cuda.synchronize()
    started = time.perf_counter()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def peak_mib(device: str) -> float:
    """Of the process; on a GPU of what torch holds there."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000, help="captions, and images")
    parser.add_argument("--cells", type=int, default=14, help="cells a side of an image")
    parser.add_argument("--loop-images", type=int, default=20, help="images that the loop over pairs is timed on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    args = parser.parse_args()
    full_float32()
    torch.set_num_threads(args.threads)
    grids, frames, lengths = embeddings(args.items, args.cells, args.device)
    name = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    size = (grids.nbytes + frames.nbytes) / 2**20
    print(
        f"{args.items} x {args.items}, {args.cells} x {args.cells} cells, {int(lengths.sum())} frames, D {DIM}, ",
        end="",
    )
    print(f"{args.threads} threads, {name}, load {os.getloadavg()[0]:.1f}; embeddings {size:.0f} MiB")
    part = grids[: args.loop_images]
    pair_loop(part[:1], frames, lengths)  # warm
    before, loop_scores = timed(lambda: pair_loop(part, frames, lengths), args.device)
    loop = before * args.items / len(part)

    ranks, peak = {}, peak_mib(args.device)
    for dtype in (torch.bfloat16, torch.float32):
        seconds, (ranks[dtype], again) = timed(lambda d=dtype: screened(grids, frames, lengths, d), args.device)
        share = 100 * again / args.items**2
        found = (ranks[dtype][0] <= 10).float().mean()
        print(
            f"ranks, {str(dtype)[6:]}: {seconds:.2f} s, {loop / seconds:.1f} x the loop; {share:.2f} % of pairs again; ",
            end="",
        )
        print(f"R@10 {100 * found:.1f} %")
    print(f"memory beyond embeddings and loop: {peak_mib(args.device) - peak:.0f} MiB")
    seconds, matrix = timed(
        lambda: score_matrix(grids, frames, lengths, SimilarityConfig("MISA")).t().cpu(), args.device
    )
    print(f"matrix, float32: {seconds:.2f} s, {loop / seconds:.1f} x the loop")
    after, _ = timed(lambda: pair_loop(part, frames, lengths), args.device)
    print(f"loop over pairs: {loop:.1f} s, again after the others {after * args.items / len(part):.1f} s (scaled)")

    torch.testing.assert_close(matrix[:, : len(part)], loop_scores)
    labels = torch.arange(args.items)
    plain = stream_ranks(lambda r, c: matrix[r][:, c], labels, labels)
    same = all(torch.equal(a, b) for a, b in zip(ranks[torch.bfloat16], ranks[torch.float32], strict=True))
    differing = sum(int((a != b).sum()) for a, b in zip(ranks[torch.bfloat16], plain, strict=True))
    print(
        f"ranks of the two precisions are {'the same' if same else 'DIFFERENT'}; {differing} differ from the float32 matrix's"
    )


if __name__ == "__main__":
    main()
