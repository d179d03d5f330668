"""Checkpoints, and the record of how a training was started, so that a resumed run ends exactly like one left alone.

Every random choice of training is a function of (seed, epoch, step), so a checkpoint needs no generator states: weights,
optimiser state, the step, and the metrics so far are everything.
"""

from __future__ import annotations

import dataclasses
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from vgspeech.config import ExperimentConfig
from vgspeech.errors import DataError, DriftError
from vgspeech.files import atomic_write, read_json, write_json
from vgspeech.training.distributed import Processes

FORMAT = 2
"""Raised when the content of a checkpoint changes its meaning."""
FREE_TO_CHANGE = ("loader_workers", "image_cache_gb", "feature_cache_gb", "checkpoint_minutes", "tensorboard")
"""Training settings that change speed and memory but no number."""
FRESH_START = "use the setting of the first start, or train afresh with --force (the old result is kept aside)"


def save_checkpoint(folder: Path, epoch: int, step: int, state: dict[str, Any]) -> None:
    """Write a file named by epoch and step, whole or not at all; of the others only the newest start of an epoch stays.

    Those from within an epoch go: which there are depends on speed and on interruptions, and nothing that a training leaves
    shall. Only within the first epoch, which has no start, is the one before it kept.

    Args:
        folder: the ``checkpoints`` folder of a model directory.
        epoch, step: the epoch under way, and its finished steps.
        state: tensors, numbers, strings, lists and dictionaries only (read back with ``weights_only``).
    """
    newest = folder / f"epoch-{epoch:05d}-step-{step:07d}.pt"
    with atomic_write(newest, "wb") as stream:
        torch.save({"format": FORMAT, **state}, stream)
    older = sorted(path for path in folder.glob("epoch-*.pt") if path != newest)
    starts = [path for path in older if path.stem.endswith("-step-0000000")]
    kept = (starts or (older if step else []))[-1:]
    for path in older:
        if path not in kept:
            path.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, or None; an unreadable one is reported and the one before it taken.

    Raises:
        DataError: it was written by a version of this program with another format.
    """
    for path in sorted(folder.glob("epoch-*.pt"), reverse=True):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            print(f"{path}: cannot be read ({error}); trying the checkpoint before it", file=sys.stderr)
            continue
        if (found := state.pop("format", 1)) != FORMAT:
            what = f"a checkpoint of format {found}, written by another version of vgspeech (this one reads {FORMAT})"
            raise DataError(what, where=str(path), hint="finish with that version, or train afresh with --force")
        return state
    return None


def cpu_name() -> str:
    """Model name of the processor: kernels, and with them the last bits of results, depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def start_facts(config: ExperimentConfig, processes: Processes) -> dict[str, Any]:
    """What decides the last bits of a result beside configuration and data (``training.json``)."""
    cuda = processes.device.type == "cuda"
    return {
        "precision": config.training.precision,
        "threads": torch.get_num_threads(),
        "processes": processes.world_size,
        "device": torch.cuda.get_device_name(processes.device) if cuda else "cpu",
        "cpu": cpu_name(),
        "torch": torch.__version__,
    }


def record_start(path: Path, facts: dict[str, Any]) -> None:
    """Write what a resumed run must have in common with the first start, or compare with what is written there.

    Raises:
        DriftError: a fact differs; the message lists old and new.
    """
    if not path.exists():
        write_json(path, facts)
        return
    recorded = read_json(path)
    refuse_differences(_flat(recorded), _flat(facts), str(path))


def same_experiment(old: ExperimentConfig, new: ExperimentConfig, where: str) -> ExperimentConfig:
    """The configuration to go on with: the new one, with ``precision: auto`` replaced by what was chosen at first.

    Raises:
        DriftError: a setting that changes results differs from the one the training was started with.
    """
    if new.training.precision == "auto":
        new = dataclasses.replace(new, training=dataclasses.replace(new.training, precision=old.training.precision))
    before, after = (_flat(dataclasses.asdict(config)) for config in (old, new))
    for name in FREE_TO_CHANGE:
        before.pop(f"training.{name}", None)
        after.pop(f"training.{name}", None)
    refuse_differences(before, after, where)
    return new


def refuse_differences(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    """Raise a DriftError that lists every key whose value differs."""
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if keys:
        changes = "; ".join(f"{key}: {old.get(key)} -> {new.get(key)}" for key in keys)
        raise DriftError(f"changed since the training was started: {changes}", where=where, hint=FRESH_START)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat
