"""Several processes as one: the same loss and the same update as a single process with the whole batch.

Each process encodes its rows of the batch, embeddings are gathered, every process computes the loss of the whole batch,
and gradients are summed as one flat buffer. The order of additions is then fixed by the number of processes, so a run
repeats bit for bit (bucketed reductions, which overlap with the backward pass, do not promise that).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vgspeech.errors import VgspeechError


class _FirstRefused(VgspeechError):
    """The first process of several ended with an expected error; this one ends with the same exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("the first process refused to go on, its message says why")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def agree(self, value: int) -> int:
        """The first process's value, in all processes."""
        if self.world_size == 1:
            return value
        box = torch.tensor(value, device=self.device)
        dist.broadcast(box, src=0)
        return int(box)

    def share(self, values: Tensor) -> None:
        """Replace a tensor's values by those of the first process."""
        if self.world_size > 1:
            dist.broadcast(values, src=0)

    def any(self, *flags: bool) -> list[bool]:
        """Whether each of the flags is set in any process; one message for all of them."""
        if self.world_size == 1:
            return list(flags)
        counts = torch.tensor(flags, dtype=torch.float32, device=self.device)
        dist.all_reduce(counts)
        return [count > 0 for count in counts.tolist()]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """For what only the first process does and may refuse to: the others then end too, instead of waiting for it.

        Raises:
            VgspeechError: in the first process the one raised inside, in the others one that points to it.
        """
        refusal = None
        try:
            yield
        except VgspeechError as error:
            refusal = error
        code = self.agree(0 if refusal is None else refusal.exit_code)
        if code:
            raise refusal or _FirstRefused(code)


def join(n_gpus: int) -> Processes:
    """Join the processes that torchrun started (environment variables RANK, WORLD_SIZE, LOCAL_RANK), or be alone.

    Args:
        n_gpus: 0 for the CPU and gloo; else this process takes the GPU of its local rank, and nccl.
    """
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if n_gpus else torch.device("cpu")
    if n_gpus:
        torch.cuda.set_device(device)
    if world_size > 1:
        dist.init_process_group("nccl" if n_gpus else "gloo")
    return Processes(rank, world_size, device)


def leave() -> None:
    """End the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


class _GatherRows(torch.autograd.Function):
    """Rows of all processes in order. Every process then computes the same loss from them, so the gradient of the sum of
    all these losses is ``world_size`` times the local one, and no communication is needed on the way back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int], rank: int) -> Tensor:
        ctx.start, ctx.length, ctx.world_size = sum(counts[:rank]), counts[rank], len(counts)
        whole = rows.new_zeros(sum(counts), *rows.shape[1:])
        whole[ctx.start : ctx.start + ctx.length] = rows
        dist.all_reduce(whole)  # a sum with zeros: exact, and processes may have different numbers of rows
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.start : ctx.start + ctx.length] * ctx.world_size, None, None


def gather_rows(rows: Tensor, counts: list[int], processes: Processes) -> Tensor:
    """All processes' rows, with gradients.

    Args:
        rows: (n, ...) this process's; those beyond its count are left out.
        counts: rows that each process contributes, in the order of ranks.

    Returns:
        (sum of counts, ...); where all processes divide the loss they compute from it by ``world_size``, summed
        parameter gradients equal those of one process.
    """
    if processes.world_size == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows[: counts[processes.rank]], counts, processes.rank)
    return gathered


def gather_padded(values: Tensor, counts: list[int], processes: Processes) -> Tensor:
    """Like ``gather_rows`` for (n, T, D) with another T in every process; zeros fill up to the longest."""
    if processes.world_size == 1:
        return values
    longest = torch.tensor(values.shape[1], device=values.device)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    padded = nn.functional.pad(values, (0, 0, 0, int(longest) - values.shape[1]))
    return gather_rows(padded, counts, processes)


def sum_gradients(parameters: Iterable[nn.Parameter], processes: Processes) -> None:
    """Add up gradients over all processes, as one flat buffer.

    A parameter without a gradient (of a language that the batch lacks, or held fixed) has none in any process, because
    the plan of a batch is the same in all; it keeps none, so that no weight decay moves it, as with one process.
    """
    learned = [p for p in parameters if p.grad is not None]
    if processes.world_size == 1 or not learned:
        return
    flat = torch.cat([p.grad.reshape(-1) for p in learned if p.grad is not None])
    dist.all_reduce(flat)
    for parameter, part in zip(learned, flat.split([p.numel() for p in learned]), strict=True):
        # In the parameter's own memory layout (channels last): fused optimisers read both as they lie.
        parameter.grad = torch.empty_like(parameter).copy_(part.view_as(parameter))
