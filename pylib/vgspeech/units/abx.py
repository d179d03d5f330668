"""ABX: is a sound nearer to another of the same phone than to one of another phone in the same surroundings?

A and X are the same phone, B differs from them in that phone only: same phones around it, same speaker as A. Within
speakers, X is by that speaker too; across, by another. A triple is an error when d(A, X) > d(B, X), half an error when
they are equal; 50 % is chance. Errors are averaged within a cell (contexts, phones, speakers), cells over contexts and
X's speakers, then over speakers, then over ordered pairs of phones, as in ZeroSpeech 2021 (Schatz 2016; Nguyen et al.
2020) and fastabx.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vgspeech.errors import DataError
from vgspeech.units.abx_items import Item
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import collapse
from vgspeech.units.warping import Metric, PairDistances, prepared

Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["within", "across"]
MODES: tuple[Mode, ...] = ("within", "across")

_TRIPLES = 1 << 22
"""Triples compared at once."""


@dataclass(frozen=True)
class Trial:
    """All cells of one A: tokens as places in the context's list.

    Attributes:
        mode: within or across speakers.
        phone, speaker: of A.
        a: tokens of A.
        x: tokens of X by X's speaker (``a`` itself within a speaker).
        b: tokens of B by B's phone.
    """

    mode: Mode
    phone: str
    speaker: str
    a: list[int]
    x: dict[str, list[int]]
    b: dict[str, list[int]]


@dataclass
class Context:
    """Two phones around a third: the items that occur in a trial, and the trials."""

    items: list[int] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    def wanted(self) -> Array:
        """(N, N) bool: which distances the trials need."""
        mask = np.zeros((len(self.items), len(self.items)), bool)
        for trial in self.trials:
            x = [token for tokens in trial.x.values() for token in tokens]
            others = trial.a + [token for tokens in trial.b.values() for token in tokens]
            mask[np.ix_(x, others)] = True
        return mask


def plan(
    items: Sequence[Item], modes: Iterable[Mode], max_size_group: int = 0, max_x_across: int = 0, seed: int = 1
) -> list[Context]:
    """The trials that items allow.

    Args:
        items: from an item file.
        modes: within and / or across speakers.
        max_size_group: most tokens of one phone, context and speaker, drawn by seed; 0 takes all.
        max_x_across: most speakers of X for one A across speakers, drawn by seed; 0 takes all.
        seed: of the draws, which depend on nothing else than the items drawn from.

    Raises:
        DataError: there is no trial at all.
    """
    groups: dict[tuple[str, str], dict[str, dict[str, list[int]]]] = {}
    for i, item in enumerate(items):
        by_phone = groups.setdefault((item.previous, item.following), {})
        by_phone.setdefault(item.phone, {}).setdefault(item.speaker, []).append(i)
    contexts = []
    for key in sorted(groups):
        by_phone = groups[key]
        if len(by_phone) < 2:
            continue
        drawn = {
            phone: {who: _draw(tokens, max_size_group, seed, items) for who, tokens in speakers.items()}
            for phone, speakers in by_phone.items()
        }
        context = _context(drawn, tuple(modes), max_x_across, f"{seed} {key}")
        if context.trials:
            contexts.append(context)
    if not contexts:
        raise DataError("no two sounds can be compared", hint="ABX needs two phones in one context by one speaker")
    return contexts


def _order(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _draw(tokens: list[int], limit: int, seed: int, items: Sequence[Item]) -> list[int]:
    if not limit or len(tokens) <= limit:
        return tokens
    return sorted(sorted(tokens, key=lambda i: _order(f"{seed} {items[i].file} {items[i].onset_s}"))[:limit])


def _context(drawn: dict[str, dict[str, list[int]]], modes: tuple[Mode, ...], max_x: int, salt: str) -> Context:
    context, places = Context(), dict[int, int]()

    def place(tokens: list[int]) -> list[int]:
        for token in tokens:
            if token not in places:
                places[token] = len(context.items)
                context.items.append(token)
        return [places[token] for token in tokens]

    for phone in sorted(drawn):
        for speaker in sorted(drawn[phone]):
            others = {q: drawn[q][speaker] for q in sorted(drawn) if q != phone and speaker in drawn[q]}
            if not others:
                continue
            a = drawn[phone][speaker]
            for mode in modes:
                x = {speaker: a} if mode == "within" else _others(drawn[phone], speaker, max_x, f"{salt} {phone}")
                if x and (mode == "across" or len(a) > 1):
                    placed = ({who: place(tokens) for who, tokens in side.items()} for side in (x, others))
                    context.trials.append(Trial(mode, phone, speaker, place(a), *placed))
    return context


def _others(speakers: dict[str, list[int]], speaker: str, limit: int, salt: str) -> dict[str, list[int]]:
    names = sorted(name for name in speakers if name != speaker)
    if limit and len(names) > limit:
        names = sorted(sorted(names, key=lambda name: _order(f"{salt} {speaker} {name}"))[:limit])
    return {name: speakers[name] for name in names}


def item_frames(item: Item, frames: Array, clock: CodeClock) -> Array:
    """The frames whose centres lie in an item, both ends included; the one nearest to its middle where there is none.

    A sound shorter than a frame is thus scored by one frame on every layer, and layers are compared on the same items.
    """
    slack = 1e-6  # of a frame: item files hold rounded decimals
    first = int(np.ceil((item.onset_s - clock.offset_s) / clock.shift_s - slack))
    last = int(np.floor((item.offset_s - clock.offset_s) / clock.shift_s + slack)) + 1
    first, last = max(first, 0), min(last, len(frames))
    if first >= last:
        middle = round(((item.onset_s + item.offset_s) / 2 - clock.offset_s) / clock.shift_s)
        first = min(max(middle, 0), len(frames) - 1)
        last = first + 1
    return frames[first:last]


def tokens_of(
    items: Sequence[Item],
    contexts: Sequence[Context],
    frames: Mapping[str, Array],
    clock: CodeClock,
    metric: Metric,
    segments: bool = False,
) -> dict[int, Array]:
    """The prepared frames (or codes) of every item in a trial.

    Args:
        items: all; their files are keys of ``frames``.
        contexts: the trials.
        frames: file to (T, D) frames or (T,) codes; each file is read once.
        clock: of the frames.
        metric: they are prepared for it.
        segments: collapse repeated codes (segment ABX).

    Raises:
        DataError: a file has no frames.
    """
    by_file: dict[str, list[int]] = {}
    for context in contexts:
        for i in context.items:
            by_file.setdefault(items[i].file, []).append(i)
    tokens: dict[int, Array] = {}
    for file in sorted(by_file):
        if file not in frames:
            raise DataError(f"the item file names '{file}', which has no features", hint="use the items of this split")
        matrix = frames[file]
        if not len(matrix):
            raise DataError(f"'{file}' has no frame")
        for i in by_file[file]:
            token = np.array(item_frames(items[i], matrix, clock))
            tokens[i] = prepared(collapse(token).codes if segments else token, metric)
    return tokens


def abx_errors(contexts: Sequence[Context], tokens: Mapping[int, Array], metric: Metric) -> dict[Mode, dict[str, Any]]:
    """Error rate and number of cells of every mode.

    Returns:
        mode -> {"error": 0 to 1, "cells", "triples"}; a mode without cells is left out.
    """
    pairs = PairDistances(metric)
    matrices = [pairs.add([tokens[i] for i in context.items], context.wanted()) for context in contexts]
    pairs.finish()
    sums: dict[Mode, dict[tuple[str, str, str], list[float]]] = {}
    triples: dict[Mode, int] = {}
    for context, matrix in zip(contexts, matrices, strict=True):
        for trial in context.trials:
            errors, count = _trial_errors(trial, matrix)
            triples[trial.mode] = triples.get(trial.mode, 0) + count
            for phone, cells in zip(trial.b, errors.T, strict=True):
                total = sums.setdefault(trial.mode, {}).setdefault((trial.phone, phone, trial.speaker), [0.0, 0.0])
                total[0] += float(cells.sum())
                total[1] += len(cells)
    return {
        mode: {
            "error": _average(table),
            "cells": int(sum(count for _, count in table.values())),
            "triples": triples[mode],
        }
        for mode, table in sums.items()
    }


def _trial_errors(trial: Trial, matrix: Array) -> tuple[Array, int]:
    """(X's speakers, B's phones) error rates of a trial's cells, and its number of triples."""
    x = [token for tokens in trial.x.values() for token in tokens]
    b = [token for tokens in trial.b.values() for token in tokens]
    to_a, to_b = matrix[np.ix_(x, trial.a)], matrix[np.ix_(x, b)]
    if trial.mode == "within":
        to_a = to_a.copy()
        np.fill_diagonal(to_a, np.nan)  # a sound is not compared with itself: no comparison with nan is true
    wrong = np.zeros((len(x), len(b)))
    step = max(1, _TRIPLES // wrong.size)
    for begin in range(0, len(trial.a), step):
        near = to_a[:, begin : begin + step, None]
        wrong += (near > to_b[:, None]).sum(1) + 0.5 * (near == to_b[:, None]).sum(1)
    x_sizes, b_sizes = ([len(tokens) for tokens in side.values()] for side in (trial.x, trial.b))
    summed = np.add.reduceat(np.add.reduceat(wrong, _starts(x_sizes), axis=0), _starts(b_sizes), axis=1)
    a_size = len(trial.a) - (trial.mode == "within")
    trials = a_size * np.outer(x_sizes, b_sizes)
    return summed / trials, int(trials.sum())


def _starts(sizes: list[int]) -> Array:
    return np.cumsum(sizes) - sizes


def _average(table: dict[tuple[str, str, str], list[float]]) -> float:
    """Mean over contexts (and X's speakers), then over speakers, then over pairs of phones."""
    pairs: dict[tuple[str, str], list[float]] = {}
    for (phone, other, _), (total, count) in table.items():
        pairs.setdefault((phone, other), []).append(total / count)
    return float(np.mean([np.mean(values) for values in pairs.values()]))
