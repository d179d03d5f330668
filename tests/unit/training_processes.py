"""What the processes of tests of distributed training run; ``start`` runs it in several of them.

Processes are forked from a server that has imported torch once: three of them are there in a fraction of a second.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from micro_corpus import micro_config
from vgspeech.config import ExperimentConfig, SimilarityConfig
from vgspeech.errors import EXIT_DRIFT, Interrupted, VgspeechError
from vgspeech.files import read_json, write_json
from vgspeech.models import build_model
from vgspeech.training import loop
from vgspeech.training.data import EpochBatches
from vgspeech.training.distributed import Processes, join, leave
from vgspeech.training.schedule import make_optimizer
from vgspeech.training.step import backward, make_scaler, update
from vgspeech.training.training_set import load_training_set

ALONE = Processes(0, 1, torch.device("cpu"))


def start(function: Callable[..., None], count: int, *arguments: object) -> None:
    """Run ``function(processes, *arguments)`` in ``count`` processes that train together."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = [
        context.Process(target=_member, args=(function, rank, count, port, arguments), daemon=True)
        for rank in range(count)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * count


def _member(function: Callable[..., None], rank: int, count: int, port: int, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    function(join(0), *arguments)
    leave()


def updates(
    config: ExperimentConfig, corpus: Path, processes: Processes, count: int, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Losses of some updates and the weights after them."""
    data = load_training_set(config, corpus, "train")
    torch.manual_seed(0)
    model = build_model(config).to(dtype)
    optimizer, scaler = make_optimizer(model, config.training), make_scaler(config, processes)
    losses: list[float] = []
    epoch = 0
    while len(losses) < count:
        epoch += 1
        batches = EpochBatches(data, config, epoch, processes.rank, processes.world_size)
        for step in range(min(len(batches), count - len(losses))):
            losses.append(backward(model, scaler, batches[step], processes, epoch, step)["loss"])
            update(model, optimizer, scaler, processes)
    return {"losses": torch.tensor(losses, dtype=torch.float64), **model.state_dict()}


def comparable(similarity: str) -> ExperimentConfig:
    """Batches of 3 of which some have fewer Hindi captions than there are processes, or none."""
    settings = micro_config(batch_size=3, learning_rate=2e-3)
    return dataclasses.replace(settings, similarity=SimilarityConfig(type=similarity, normalise=True))  # type: ignore[arg-type]


def save_updates(processes: Processes, corpus: str, out: str) -> None:
    """20 updates in float64, and one in float32, for two similarities."""
    for similarity in ("SISA", "MISA"):
        for name, dtype, count in (("float64", torch.float64, 20), ("float32", torch.float32, 1)):
            result = updates(comparable(similarity), Path(corpus), processes, count, dtype)
            if processes.first:
                torch.save(result, f"{out}/{similarity}.{name}.pt")


def stop_everywhere(
    processes: Processes,
    corpus: str,
    out: str,
    steps: tuple[int, ...],
    quantizers: tuple[int, ...] = (),
    **training: object,
) -> None:
    """Train once without a stop, and once stopped by a signal before each of the given steps, counted over all runs."""
    config = micro_config(epochs=2, **training)
    config = dataclasses.replace(config, audio=dataclasses.replace(config.audio, quantizers=quantizers, codebook_size=6))
    splits = {"train_split": "train", "dev_split": "dev"}
    loop.train(config, Path(corpus), Path(out) / "straight", processes, **splits)  # type: ignore[arg-type]
    real, done = loop.backward, 0

    def signalled(*arguments: Any) -> dict[str, float]:
        nonlocal done
        done += 1
        if done in steps and processes.rank == processes.world_size - 1:  # the others learn of it from this one
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    loop.backward = signalled  # type: ignore[assignment]
    try:
        for _ in steps:
            try:
                loop.train(config, Path(corpus), Path(out) / "stopped", processes, **splits)  # type: ignore[arg-type]
                raise AssertionError("was not stopped")
            except Interrupted:
                assert not processes.first or (Path(out) / "stopped/checkpoints/interrupted").exists()
        loop.train(config, Path(corpus), Path(out) / "stopped", processes, **splits)  # type: ignore[arg-type]
    finally:
        loop.backward = real


def refuse_everywhere(processes: Processes, corpus: str, out: str) -> None:
    """Train, change a recorded fact that only the first process compares, and go on: no process does, none waits."""
    config, splits = micro_config(epochs=1), {"train_split": "train", "dev_split": None}
    loop.train(config, Path(corpus), Path(out), processes, **splits)  # type: ignore[arg-type]
    if processes.first:
        record = Path(out) / "training.json"
        write_json(record, read_json(record) | {"cpu": "another"})
    try:
        loop.train(config, Path(corpus), Path(out), processes, **splits)  # type: ignore[arg-type]
    except VgspeechError as error:
        assert error.exit_code == EXIT_DRIFT
        assert ("another" in error.what) == processes.first
    else:
        raise AssertionError("was not refused")
