"""The index of an embedded set: what a search reads of every item, in files that are mapped into memory, not read.

A folder ``search/`` beside ``embed/``, made at the first search and again when the embeddings change::

    index.json         what it was made of, how many items and vectors there are, the captions of the usual response
    <side>.ids         ids, one a line, sorted; a side is a language (its captions) or "images"
    <side>.counts      (I,) int32, vectors of each item: frames of a caption, cells of an image
    <side>.unit        (N, D) float16, the vectors of all items, item after item, scaled to unit length
    <side>.norms       (N,) float32, their lengths
    <side>.pooled      (I, D) float32, the mean vector of each item
    <lang>.answers     (N, 2 + languages) float32, see `ANSWERS`
    <lang>.mean        (D,) float32, the language's mean frame

All numbers are little-endian, rows one after another. Half of the bytes of the embeddings, and every score that is computed
of them comes with a bound on its error (`vgspeech.search.rough`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgspeech.errors import DataError, UsageError
from vgspeech.files import atomic_write, need_space, read_json, write_json
from vgspeech.lexicon.captions import mean_frame, windowed
from vgspeech.lexicon.discover import LanguageInput
from vgspeech.lexicon.voice_query import usual_response
from vgspeech.order import shuffled
from vgspeech.progress import track
from vgspeech.similarity import pool_frames
from vgspeech.tables import read_lines

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT = 1
"""Raised when the files change their meaning; an older index is then made again."""
IMAGES = "images"
ANSWERS = ("spoken", "window")
"""Columns of ``<lang>.answers``: one over the length of a frame without the language's mean frame, 0 in silence; one over
the length of the sum of three such unit frames, 0 where that is nothing. Then, for each language of a query, what a frame
answers to captions of that language in general (`usual_response`)."""
BACKGROUND = 20
"""Captions that a frame's usual response is to, as in query by voice."""
_BLOCK_ITEMS = 256
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Side:
    """The items of one kind.

    Attributes:
        name: a language, or ``images``.
        ids: (I) ids, sorted.
        starts: (I + 1,) int64, where each item's vectors begin and, last, where all end.
        unit: (N, D) float16.
        norms: (N,) float32.
        pooled: (I, D) float32.
    """

    name: str
    ids: list[str]
    starts: Array
    unit: Array
    norms: Array
    pooled: Array

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class CaptionSide(Side):
    """The captions of a language.

    Attributes:
        answers: (N, 2 + languages) float32, see `ANSWERS`.
        mean: (D,) float32, the language's mean frame.
        query_languages: of the last columns of ``answers``.
    """

    answers: Array
    mean: Array
    query_languages: Sequence[str]

    def usual(self, language: str) -> Array:
        """(N,) what each frame answers to captions of a language in general."""
        column: Array = self.answers[:, len(ANSWERS) + list(self.query_languages).index(language)]
        return column


class Index:
    """An index on disk; its sides are mapped when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._about = read_json(folder / "index.json")
        self._captions: dict[str, CaptionSide] = {}

    @property
    def languages(self) -> list[str]:
        """Languages that there are captions in."""
        return [name for name in self._about["sides"] if name != IMAGES]

    @cached_property
    def images(self) -> Side:
        """The images."""
        return Side(IMAGES, *self._common(IMAGES))

    def captions(self, language: str) -> CaptionSide:
        """The captions of a language."""
        if language not in self._captions:
            columns = len(ANSWERS) + len(self.languages)
            answers = self._map(f"{language}.answers", (self._sizes(language)[1], columns), "<f4")
            mean = np.array(self._map(f"{language}.mean", (self.dimension,), "<f4"))
            self._captions[language] = CaptionSide(language, *self._common(language), answers, mean, self.languages)
        return self._captions[language]

    def background(self, language: str) -> list[str]:
        """The captions of a language that the usual response is to."""
        return list(self._about["background"][language])

    @property
    def dimension(self) -> int:
        """D, of all vectors."""
        return int(self._about["dimension"])

    def _sizes(self, name: str) -> tuple[int, int]:
        """Items and vectors of a side."""
        sizes = self._about["sides"][name]
        return int(sizes["items"]), int(sizes["vectors"])

    def _common(self, name: str) -> tuple[list[str], Array, Array, Array, Array]:
        dim, (items, vectors) = self.dimension, self._sizes(name)
        counts = self._map(f"{name}.counts", (items,), "<i4")
        return (
            read_lines(self.folder / f"{name}.ids"),
            np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
            self._map(f"{name}.unit", (vectors, dim), "<f2"),
            self._map(f"{name}.norms", (vectors,), "<f4"),
            self._map(f"{name}.pooled", (items, dim), "<f4"),
        )

    def _map(self, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        path = self.folder / name
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not path.is_file() or path.stat().st_size != wanted:
            hint = f"delete {self.folder}: the next search makes it again"
            raise DataError("the index is damaged: a file is missing or cut off", where=str(path), hint=hint)
        # Copy on write, because torch does not take arrays that cannot be written to; nothing writes to them.
        return np.memmap(path, dtype=dtype, mode="c", shape=shape)


def open_index(folder: Path, embed: Path, captions: Mapping[str, LanguageInput], grids: Mapping[str, Array]) -> Index:
    """The index of an embedded set, made if it is not there or was made of other embeddings.

    Args:
        folder: of the index.
        embed: the ``embed/`` folder.
        captions: each language's frames.
        grids: cells (C, D) of the images.

    Raises:
        UsageError: the folder cannot be written to.
        DataError: no room on the disk, or a damaged embedding.
    """
    made_of = {"format": FORMAT, "files": _state_of(embed)}
    with contextlib.suppress(DataError, OSError, KeyError, TypeError):  # none, or of another version: made below
        if read_json(folder / "index.json")["made_of"] == made_of:
            return Index(folder)
    _prepare(folder)
    need_space(folder, 0.7 * sum(path.stat().st_size for path in embed.glob("*.ark")), "the index of a search")
    means = {language: mean_frame(side.frames, seed=1) for language, side in captions.items()}
    background = {language: shuffled(side.frames, seed=1)[:BACKGROUND] for language, side in captions.items()}
    usual = {}
    for language, utts in background.items():
        comparable = captions[language].comparable_frames(means[language])
        usual[language] = [comparable[utt] for utt in utts]
    sides = {}
    for language, side in captions.items():
        with _SideWriter(folder, language, ("answers",)) as writer:
            _write_captions(writer, side, means[language], usual)
            sides[language] = writer.sizes
        with atomic_write(folder / f"{language}.mean", "wb") as stream:
            stream.write(means[language].astype("<f4").tobytes())
    with _SideWriter(folder, IMAGES, ()) as writer:
        for image in track(sorted(grids), total=len(grids), what="index of images", unit="images"):
            writer.add(image, grids[image])
        sides[IMAGES] = writer.sizes
    dimension = len(next(iter(means.values())))
    about = {"made_of": made_of, "dimension": dimension, "sides": sides, "background": background}
    write_json(folder / "index.json", about)
    return Index(folder)


def _prepare(folder: Path) -> None:
    """An index that is being made does not pass for the one before it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").unlink(missing_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UsageError(f"cannot write the index to {folder}", hint="give another folder with --index DIR")


def _state_of(embed: Path) -> dict[str, list[int]]:
    """Size and time of change of the embeddings' files: archives are too large to be read for this."""
    files = sorted([*embed.glob("*.ark"), *embed.glob("*.scp"), embed / "embed.json"])
    return {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}


class _SideWriter:
    """Writes the files of a side, item by item; they appear together at the end, or not at all."""

    def __init__(self, folder: Path, name: str, more: Sequence[str]) -> None:
        self._folder, self._name = folder, name
        self._kinds = ("unit", "norms", "pooled", *more)
        self._ids: list[str] = []
        self._counts: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> _SideWriter:
        self._streams = {
            kind: self._stack.enter_context(atomic_write(self._folder / f"{self._name}.{kind}", "wb"))
            for kind in self._kinds
        }
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            ids = self._stack.enter_context(atomic_write(self._folder / f"{self._name}.ids"))
            ids.writelines(f"{name}\n" for name in self._ids)
            counts = self._stack.enter_context(atomic_write(self._folder / f"{self._name}.counts", "wb"))
            counts.write(np.array(self._counts, "<i4").tobytes())
        self._stack.__exit__(*error)

    @property
    def sizes(self) -> dict[str, int]:
        """How much was written."""
        return {"items": len(self._ids), "vectors": sum(self._counts)}

    def add(self, name: str, vectors: Array) -> None:
        """Append one item: (n, D) float32."""
        if not np.isfinite(vectors).all():
            raise DataError(
                f"the embedding of '{name}' holds numbers that are not finite", hint="embed again (stage 5)"
            )
        norms = np.linalg.norm(vectors, axis=1)
        unit = vectors / np.maximum(norms, _TINY)[:, None]
        pooled = pool_frames(torch.from_numpy(vectors)[None], torch.tensor([len(vectors)]))[0].numpy()
        for kind, values, dtype in (("unit", unit, "<f2"), ("norms", norms, "<f4"), ("pooled", pooled, "<f4")):
            self._streams[kind].write(values.astype(dtype).tobytes())
        self._ids.append(name)
        self._counts.append(len(vectors))

    def write(self, kind: str, values: Array) -> None:
        """Append numbers of the last items."""
        self._streams[kind].write(values.astype("<f4").tobytes())


def _write_captions(
    writer: _SideWriter, side: LanguageInput, mean: Array, background: Mapping[str, Sequence[Array]]
) -> None:
    """Captions in blocks: the usual response is one product of matrices for many of them."""
    ids = sorted(side.frames)
    comparable = side.comparable_frames(mean)
    answers: list[Array] = []
    for n, utt in enumerate(track(ids, total=len(ids), what=f"index of {side.language}", unit="captions"), start=1):
        frames = side.frames[utt].astype(np.float32, copy=False)
        writer.add(utt, frames)
        answers.append(_answers_of(frames, comparable[utt], mean))
        if n % _BLOCK_ITEMS == 0 or n == len(ids):
            block = np.concatenate(answers)
            neighbours = block[:, len(ANSWERS) :]
            usual = [usual_response(neighbours, background[language]) for language in background]
            writer.write("answers", np.column_stack([block[:, : len(ANSWERS)], *usual]))
            answers = []


def _answers_of(frames: Array, comparable: Array, mean: Array) -> Array:
    """(T, 2 + D): the two columns of `ANSWERS`, and the frames with their neighbours as a query meets them."""
    lengths = np.linalg.norm(frames - mean, axis=1)
    spoken = np.where(comparable.any(1), 1 / np.maximum(lengths, _TINY), 0)
    summed = comparable + comparable[np.maximum(np.arange(len(frames)) - 1, 0)]
    summed += comparable[np.minimum(np.arange(len(frames)) + 1, len(frames) - 1)]
    whole = np.linalg.norm(summed, axis=1)
    window = np.divide(1, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.column_stack([spoken, window, windowed(comparable)])
