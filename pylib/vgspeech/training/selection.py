"""Which epochs' weights are kept, and when to stop: by retrieval on the development set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgspeech.datadir import present_languages
from vgspeech.embedding import embed_split
from vgspeech.models import GroundingModel, save_weights
from vgspeech.retrieval import RetrievalTable, evaluate

Scores = list[list[float]]
"""R@10, R@1 and number of an epoch, the best first."""


def validate(model: GroundingModel, data: Path, split: str) -> RetrievalTable:
    """Retrieval on a development split, in float32; the model is in evaluation mode afterwards."""
    languages = present_languages(model.config, data, split)
    images, captions = embed_split(model.eval(), data, split, languages)
    return evaluate(images, captions, model.config.similarity, draws=0)


def ranked(best: Scores, r10: float, r1: float, epoch: int, keep: int) -> Scores:
    """The ``keep`` best epochs with one more: by R@10, then R@1, then the later one."""
    return sorted([*best, [r10, r1, epoch]], reverse=True)[:keep]


def keep_weights(model: GroundingModel, out: Path, best: Scores, epoch: int, keep: int) -> None:
    """Write the weights of this epoch if it is among the best; best.pt is the first of them.

    Args:
        model: the weights to keep.
        out: the model directory.
        best: with this epoch in it, if it is good enough.
        keep: number of epochs kept; beyond 1, each also has a file ``checkpoints/best-epoch-N.pt``.
    """
    epochs = [int(entry[2]) for entry in best]
    if epochs[0] == epoch:
        save_weights(model, out / "best.pt")
    if keep == 1:
        return
    names = {number: out / "checkpoints" / f"best-epoch-{number:05d}.pt" for number in epochs}
    if epoch in names:
        save_weights(model, names[epoch])
    for path in (out / "checkpoints").glob("best-epoch-*.pt"):
        if path not in names.values():
            path.unlink()


def out_of_patience(history: Sequence[Mapping[str, Any]], best: Scores, patience: int) -> bool:
    """Whether the last ``patience`` validations of the history were all worse than the best; never with 0."""
    if not best or not patience:
        return False
    return sum("dev" in line and line["epoch"] > best[0][2] for line in history) >= patience
