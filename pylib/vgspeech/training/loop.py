"""The training loop.

An epoch: plan its batches, update the weights with each, validate when due, write everything down. Everything random derives
from (seed, epoch, step), so a run killed at any moment and started again ends with the same weights as one left alone (same
precision, threads, processes and CPU type, which are recorded and re-imposed).
"""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vgspeech.config import ExperimentConfig, load_config, save_config
from vgspeech.embedding import embed_split, full_float32, present_languages
from vgspeech.errors import DataError, Interrupted
from vgspeech.files import atomic_write
from vgspeech.models import GroundingModel, build_model, save_weights
from vgspeech.retrieval import RetrievalTable, evaluate
from vgspeech.training.checkpoint import load_checkpoint, record_start, same_experiment, save_checkpoint, start_facts
from vgspeech.training.data import EpochBatches, TrainingSet, front_end_settings, load_training_set
from vgspeech.training.distributed import Processes
from vgspeech.training.schedule import make_optimizer, schedule, set_schedule
from vgspeech.training.step import choose_precision, training_step

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@dataclass
class State:
    """How far a training has come; with model and optimiser this is a checkpoint."""

    epoch: int = 1
    """The epoch under way."""
    step: int = 0
    """Its finished steps."""
    sums: dict[str, float] = field(default_factory=dict)
    """Losses summed over these steps, and how long they took."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The lines of metrics.jsonl."""
    best: list[float] = field(default_factory=lambda: [-1.0, -1.0])
    """R@10 and R@1 of best.pt on the development set."""


def train(
    config: ExperimentConfig, data: Path, out: Path, processes: Processes, *, train_split: str, dev_split: str | None
) -> str:
    """Train a model, or go on where an earlier call was stopped.

    Args:
        config: precision may be ``auto``, front_end_settings empty; both are filled in and written to ``config.yaml``.
        data: ``data/<corpus>``.
        out: the model directory; it gets config.yaml, training.json, metrics.jsonl, train.log, checkpoints/, best.pt.
        dev_split: best.pt is the epoch with the highest R@10 there (mean over directions), then the highest R@1, then the
            later one; None takes the last epoch.

    Returns:
        One sentence about the outcome.

    Raises:
        DriftError: configuration, data, threads, processes or CPU differ from those of the first start.
        Interrupted: SIGTERM, SIGINT or SIGUSR1 came; a checkpoint was written.
    """
    full_float32()
    config = dataclasses.replace(config, front_end_settings=front_end_settings(data, train_split, config))
    recorded = out / "config.yaml"
    first_start = not recorded.exists()
    if not first_start:
        config = same_experiment(load_config(ExperimentConfig, recorded), config, str(recorded))
    training_set = load_training_set(config, data, train_split)
    torch.manual_seed(config.seed)
    model = build_model(config).to(processes.device)
    if first_start and config.training.precision == "auto":
        config = choose_precision(model, config, training_set, processes)
        model.config = config
    if processes.first:
        splits = {"train_split": train_split, "dev_split": dev_split, "train_data": training_set.fingerprint}
        save_config(config, recorded)
        record_start(out / "training.json", start_facts(config, processes) | splits)
    trainer = Trainer(model, training_set, out, processes)
    trainer.log(f"{train_split}: {training_set.summary}; {config.training.precision} on {processes.device}")
    with trainer.stopped_by_signals():
        return trainer.run(data, dev_split)


class Trainer:
    """A model in training, and the files of its model directory."""

    def __init__(self, model: GroundingModel, training_set: TrainingSet, out: Path, processes: Processes) -> None:
        self.config, self.model, self.out, self.processes = model.config, model, out, processes
        self.training_set = training_set
        self.optimizer = make_optimizer(model, self.config.training)
        self.state = State()
        self.stop_signal = 0
        self.saved_at = time.monotonic()
        checkpoint = load_checkpoint(out / "checkpoints")
        if checkpoint is not None:
            model.load_state_dict(checkpoint["model"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            self.state = State(**checkpoint["state"])
        self.interrupted = out / "checkpoints" / "interrupted"
        """Tells steps/train.sh that the processes stopped on purpose: torchrun turns every exit status into 1."""
        if processes.first:
            self.interrupted.unlink(missing_ok=True)
            # A run killed between two files may have left a line too many or too few: the checkpoint decides.
            with atomic_write(out / "metrics.jsonl") as stream:
                stream.writelines(json.dumps(line) + "\n" for line in self.state.history)

    def run(self, data: Path, dev_split: str | None) -> str:
        """All epochs that are left."""
        epochs = self.config.training.epochs
        best = self.out / "best.pt"
        if self.state.epoch > epochs:
            if not best.exists():
                raise DataError("training was finished, its result is gone", where=str(best), hint="train with --force")
            return f"Training was finished before ({epochs} epochs): {best} is kept ({self._choice()})."
        if self.state.epoch > 1 or self.state.step:
            self.log(f"going on at epoch {self.state.epoch}, after {self.state.step} steps of it")
        while self.state.epoch <= epochs:
            self._epoch()
            line = self._finish_epoch(data, dev_split)
            if self.processes.first:
                with open(self.out / "metrics.jsonl", "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
            self._stop_if_asked()
        return f"Trained {epochs} epochs: {best} ({self._choice()})."

    def _epoch(self) -> None:
        """The remaining steps of the epoch under way."""
        settings, state, processes = self.config.training, self.state, self.processes
        batches = EpochBatches(self.training_set, self.config, state.epoch, processes.rank, processes.world_size)
        self.model.train()
        started = time.monotonic()
        for batch in batches.loader(state.step, settings.loader_workers, processes.device.type == "cuda"):
            past = (state.epoch - 1) * len(batches) + state.step
            set_schedule(self.optimizer, *schedule(settings, past, settings.epochs * len(batches), len(batches)))
            losses = training_step(self.model, self.optimizer, batch, processes, state.epoch, state.step)
            state.step += 1
            for name, value in losses.items():
                state.sums[name] = state.sums.get(name, 0.0) + value
            now = time.monotonic()
            state.sums["seconds"] = state.sums.get("seconds", 0.0) + now - started
            started = now
            due = now - self.saved_at > 60 * settings.checkpoint_minutes
            if state.step < len(batches) and processes.agree(due):
                self._save()
            self._stop_if_asked()

    def _finish_epoch(self, data: Path, dev_split: str | None) -> dict[str, Any]:
        """Validate when due, keep the best weights, and write a checkpoint that starts the next epoch."""
        state, settings = self.state, self.config.training
        last = state.epoch == settings.epochs
        means = {name: total / state.step for name, total in state.sums.items() if name != "seconds"}
        line: dict[str, Any] = {"epoch": state.epoch, "loss": means.pop("loss"), "losses": means}
        line["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        if self.model.log_scale.requires_grad:
            line["scale"] = self.model.scale().item()
        line["seconds"] = round(state.sums["seconds"], 3)
        if self.processes.first and dev_split is None and last:
            save_weights(self.model, self.out / "best.pt")
        elif self.processes.first and dev_split is not None and (last or state.epoch % settings.validate_every == 0):
            table = validate(self.model, data, dev_split)
            line["dev"] = {
                **table.mean,
                "directions": {name: [r.r1, r.r5, r.r10] for name, r in table.directions.items()},
            }
            if [table.mean["r10"], table.mean["r1"]] >= state.best:
                state.best = [table.mean["r10"], table.mean["r1"]]
                save_weights(self.model, self.out / "best.pt")
        state.history.append(line)
        self.log(_spoken(line))
        self.state = dataclasses.replace(state, epoch=state.epoch + 1, step=0, sums={})
        self._save()
        return line

    def _save(self) -> None:
        if self.processes.first:
            content = {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "state": dataclasses.asdict(self.state),
            }
            save_checkpoint(self.out / "checkpoints", self.state.epoch, self.state.step, content)
        self.saved_at = time.monotonic()

    def _stop_if_asked(self) -> None:
        """All processes stop after the same step, with a checkpoint."""
        if self.processes.any(bool(self.stop_signal)):
            self._save()
            if self.processes.first:
                self.interrupted.touch()
            state = self.state
            self.log(f"stopped by a signal in epoch {state.epoch}, after {state.step} steps of it")
            raise Interrupted(
                f"stopped in epoch {state.epoch} of {self.config.training.epochs}; a checkpoint was written",
                where=str(self.out),
                hint="run the same command again to go on",
            )

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """While this holds, SIGTERM, SIGINT and SIGUSR1 stop training after the step under way."""

        def note(number: int, frame: object) -> None:
            self.stop_signal = number

        before = [signal.signal(number, note) for number in STOP_SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(STOP_SIGNALS, before, strict=True):
                signal.signal(number, handler)

    def _choice(self) -> str:
        r10, r1 = self.state.best
        return "the last epoch" if r10 < 0 else f"the best development R@10 {100 * r10:.1f}, R@1 {100 * r1:.1f}"

    def log(self, text: str) -> None:
        """One line to the terminal and to train.log."""
        if self.processes.first:
            print(text, flush=True)
            with open(self.out / "train.log", "a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def validate(model: GroundingModel, data: Path, split: str) -> RetrievalTable:
    """Retrieval on a development split, in float32; the model is in evaluation mode afterwards."""
    languages = present_languages(model.config, data, split)
    images, captions = embed_split(model.eval(), data, split, languages)
    return evaluate(images, captions, model.config.similarity, draws=0)


def _spoken(line: dict[str, Any]) -> str:
    """One epoch in a line of the log."""
    terms = ", ".join(f"{name} {value:.3f}" for name, value in line["losses"].items())
    text = f"epoch {line['epoch']}: loss {line['loss']:.3f} ({terms}), {line['seconds']:.1f} s"
    if "dev" in line:
        text += f"; dev R@10 {100 * line['dev']['r10']:.1f}, R@1 {100 * line['dev']['r1']:.1f}"
    return text
