"""The training loop.

An epoch: plan its batches, update the weights with each, validate when due, write everything down. Everything random derives
from (seed, epoch, step), so a run killed at any moment and started again ends with the same weights as one left alone (same
precision, threads, processes and CPU type, which are recorded and re-imposed).
"""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgspeech.config import ExperimentConfig, load_config, save_config
from vgspeech.embedding import full_float32
from vgspeech.errors import DataError, Interrupted
from vgspeech.model_check import check_model_config
from vgspeech.models import GroundingModel, build_model, save_weights
from vgspeech.training.average import WeightAverage
from vgspeech.training.cached_grids import cached_grids
from vgspeech.training.check import check_training_config
from vgspeech.training.checkpoint import load_checkpoint, record_start, same_experiment, save_checkpoint, start_facts
from vgspeech.training.codebook_start import start_codebooks
from vgspeech.training.codebooks import revive_codes, start_counting
from vgspeech.training.data import EpochBatches
from vgspeech.training.distributed import Processes
from vgspeech.training.initial import load_initial
from vgspeech.training.inputs import Pictures
from vgspeech.training.journal import GRADIENT_NORM, Journal, Line, epoch_line, spoken
from vgspeech.training.schedule import freeze_image, make_optimizer, schedule, set_schedule
from vgspeech.training.selection import keep_weights, out_of_patience, ranked, validate
from vgspeech.training.signals import StopRequest
from vgspeech.training.state import State
from vgspeech.training.step import backward, choose_precision, make_scaler, update
from vgspeech.training.training_set import TrainingSet, front_end_settings, load_training_set


def train(
    config: ExperimentConfig,
    data: Path,
    out: Path,
    processes: Processes,
    *,
    train_split: str,
    dev_split: str | None,
    then_exit: bool = False,
) -> str:
    """Train a model, or go on where an earlier call was stopped.

    Args:
        config: precision may be ``auto``, front_end_settings empty; both are filled in and written to ``config.yaml``.
        data: ``data/<corpus>``.
        out: the model directory; it gets config.yaml, training.json, metrics.jsonl, train.log, checkpoints/, best.pt.
        dev_split: best.pt is the epoch with the highest R@10 there (mean over directions), then the highest R@1, then the
            later one; None takes the last epoch.
        then_exit: the process ends after this: stop signals are ignored from then on.

    Returns:
        One sentence about the outcome.

    Raises:
        ConfigError: a setting that no training can follow.
        DriftError: configuration, data, threads, processes or CPU differ from those of the first start.
        Interrupted: SIGTERM, SIGINT or SIGUSR1 came; a checkpoint was written.
        VgspeechError: the loss is not finite any more.
    """
    check_model_config(config)
    check_training_config(config, dev_split)
    full_float32()
    config = dataclasses.replace(config, front_end_settings=front_end_settings(data, train_split, config))
    recorded = out / "config.yaml"
    first_start = bool(processes.agree(int(not recorded.exists())))
    if not first_start:
        config = same_experiment(load_config(ExperimentConfig, recorded), config, str(recorded))
    training_set = load_training_set(config, data, train_split)
    torch.manual_seed(config.seed)
    model = build_model(config).to(processes.device)
    if first_start and config.training.precision == "auto":
        config = choose_precision(model, config, training_set, processes)
        model.config = config
    with processes.first_alone():
        if processes.first:
            splits = {"train_split": train_split, "dev_split": dev_split, "train_data": training_set.fingerprint}
            save_config(config, recorded)
            record_start(out / "training.json", start_facts(config, processes) | splits)
    with StopRequest(then_exit) as stop:
        trainer = Trainer(model, training_set, out, processes, stop)
        trainer.journal.say(f"{train_split}: {training_set.summary}; {config.training.precision} on {processes.device}")
        return trainer.run(data, dev_split)


class Trainer:
    """A model in training, and the files of its model directory."""

    def __init__(
        self, model: GroundingModel, training_set: TrainingSet, out: Path, processes: Processes, stop: StopRequest
    ) -> None:
        self.config, self.model, self.out, self.processes, self.stop = model.config, model, out, processes, stop
        self.training_set, self.journal = training_set, Journal(out, processes)
        self.state = State()
        self.norms: list[Tensor] = []
        self.saved_at = time.monotonic()
        settings = self.config.training
        checkpoint = load_checkpoint(out / "checkpoints")
        if checkpoint is None and settings.init_from != "none":
            self._start_from(settings.init_from, settings.init_audio)
        self.average = WeightAverage(model, settings.weight_average) if settings.weight_average else None
        self.optimizer = make_optimizer(model, settings)
        self.scaler = make_scaler(self.config, processes)
        if checkpoint is not None:
            self._restore(checkpoint)
        if settings.cache_grids:
            self._cache_grids()
        if settings.compile:
            model.image.compile()
        self.interrupted = out / "checkpoints" / "interrupted"
        """Tells steps/train.sh that the processes stopped on purpose: torchrun turns every exit status into 1."""
        if processes.first:
            self.interrupted.unlink(missing_ok=True)
        self.journal.go_on(self.state.history, self.state.epoch, settings.tensorboard)

    def _start_from(self, start: str, audio: str) -> None:
        """Weights of another model, and codebooks that it lacks from data."""
        initial = load_initial(self.model, start, audio)
        self.journal.say(initial.summary)
        if initial.new_codebooks and self.config.training.codebook_start == "kmeans":
            self.state.codebook_start = start_codebooks(
                self.model, self.training_set, initial.new_codebooks, self.processes
            )
            for name, about in self.state.codebook_start.items():
                self.journal.say(f"{name}: {about['codes']} codes by k-means of {about['frames']} frames")

    def run(self, data: Path, dev_split: str | None) -> str:
        """All epochs that are left."""
        state, best = self.state, self.out / "best.pt"
        if state.finished:
            if not best.exists():
                raise DataError("training was finished, its result is gone", where=str(best), hint="train with --force")
            return f"Training was finished before ({state.epoch - 1} epochs): {best} is kept ({self._choice()})."
        if state.epoch > 1 or state.step:
            self.journal.say(f"going on at epoch {state.epoch}, after {state.step} steps of it")
        while not self.state.finished:
            self._epoch()
            self.journal.add(self._finish_epoch(data, dev_split))
            if not self.state.finished:
                self._pause(False)
        return f"Trained {self.state.epoch - 1} epochs: {best} ({self._choice()})."

    def _epoch(self) -> None:
        """The remaining steps of the epoch under way."""
        settings, state, processes = self.config.training, self.state, self.processes
        batches = EpochBatches(self.training_set, self.config, state.epoch, processes.rank, processes.world_size)
        group = settings.accumulate
        updates = -(-len(batches) // group)
        self.model.train()
        freeze_image(self.model, settings, state.epoch)
        started = time.monotonic()
        for batch in batches.loader(state.step, settings.loader_workers, processes.device.type == "cuda"):
            first = state.step // group * group
            size = min(group, len(batches) - first)
            losses = backward(self.model, self.scaler, batch, processes, state.epoch, state.step, size)
            state.step += 1
            state.add(losses)
            if state.step < first + size:
                continue  # the update, and with it a checkpoint, waits for the rest of the group
            past = (state.epoch - 1) * updates + first // group
            set_schedule(self.optimizer, *schedule(settings, past, settings.epochs * updates, updates))
            norm = update(self.model, self.optimizer, self.scaler, processes)
            if norm is not None:
                self.norms.append(norm)
            if self.average is not None:
                self.average.update(self.model, past + 1)
            now = time.monotonic()
            state.seconds += now - started
            started = now
            self._pause(now - self.saved_at > 60 * settings.checkpoint_minutes and state.step < len(batches))

    def _finish_epoch(self, data: Path, dev_split: str | None) -> Line:
        """Validate when due, keep the best weights, and write a checkpoint that starts the next epoch."""
        state, settings = self.state, self.config.training
        last = state.epoch == settings.epochs
        self._count_norms()
        line = epoch_line(state, self.model, self.optimizer)
        state.history.append(line)
        kept = self.model if self.average is None else self.average.model
        if self.processes.first and dev_split is None and last:
            save_weights(kept, self.out / "best.pt")
        elif self.processes.first and dev_split is not None and (last or state.epoch % settings.validate_every == 0):
            table = validate(kept, data, dev_split)
            directions = {name: [r.r1, r.r5, r.r10] for name, r in table.directions.items()}
            line["dev"] = {**table.mean, "directions": directions}
            state.best = ranked(state.best, table.mean["r10"], table.mean["r1"], state.epoch, settings.keep_best)
            keep_weights(kept, self.out, state.best, state.epoch, settings.keep_best)
        finished = last or bool(self.processes.agree(out_of_patience(state.history, state.best, settings.patience)))
        if settings.revive_codes:
            line["revived_codes"] = revive_codes(self.model, self.config.seed, state.epoch)
        start_counting(self.model)
        self.journal.say(spoken(line))
        self.state = state.next_epoch(finished)
        self._save()
        return line

    def _cache_grids(self) -> None:
        """Put what the frozen backbone makes of the images in their place."""
        started, pictures = time.monotonic(), self.training_set.pictures
        assert isinstance(pictures, Pictures)
        grids = cached_grids(self.model, pictures, self.config, self.processes.device)
        self.training_set = dataclasses.replace(self.training_set, pictures=grids)
        size, seconds = grids.values.nbytes / 2**20, time.monotonic() - started
        self.journal.say(f"the frozen backbone saw all images once: {size:.0f} MB, {seconds:.1f} s")

    def _pause(self, due: bool) -> None:
        """Between two updates: write a checkpoint when one is due, and stop, all processes alike, if a signal asks for it."""
        due, stopped = self.processes.any(due, self.stop.asked)
        if due or stopped:
            self._save()
        if stopped:
            state = self.state
            if self.processes.first:
                self.interrupted.touch()
            self.journal.say(f"stopped by a signal in epoch {state.epoch}, after {state.step} steps of it")
            raise Interrupted(
                f"stopped in epoch {state.epoch} of {self.config.training.epochs}; a checkpoint was written",
                where=str(self.out),
                hint="run the same command again to go on",
            )

    def _count_norms(self) -> None:
        """Not after every update, because reading a number waits for the GPU. float16: those that overflowed change nothing."""
        for norm in torch.stack(self.norms).tolist() if self.norms else []:
            if math.isfinite(norm):
                self.state.add({GRADIENT_NORM: norm})
        self.norms.clear()

    def _save(self) -> None:
        self._count_norms()
        if self.processes.first:
            content = {
                "model": self.model.state_dict(),
                "average": None if self.average is None else self.average.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "state": dataclasses.asdict(self.state),
            }
            save_checkpoint(self.out / "checkpoints", self.state.epoch, self.state.step, content)
        self.saved_at = time.monotonic()

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        self.model.load_state_dict(checkpoint["model"])
        if self.average is not None:
            self.average.model.load_state_dict(checkpoint["average"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        self.state = State(**checkpoint["state"])
        mine = self.state.epoch, self.state.step
        if mine != (theirs := tuple(map(self.processes.agree, mine))):
            what = f"process {self.processes.rank} reads epoch and step {mine}, the first one {theirs}"
            raise DataError(
                what, where=str(self.out / "checkpoints"), hint="put the model on a disk that all nodes share"
            )

    def _choice(self) -> str:
        if not self.state.best:
            return "the last epoch"
        r10, r1, _ = self.state.best[0]
        return f"the best development R@10 {100 * r10:.1f}, R@1 {100 * r1:.1f}"
