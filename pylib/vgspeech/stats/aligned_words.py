"""Aligned words (or phones) of a whole corpus as a few arrays: 8 million tokens in 200 MB, read in one pass.

`vgspeech.datadir.read_ctm` gives the same as objects, which is handier for a few captions and ten times as large.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vgspeech.datadir import Word
from vgspeech.errors import DataError
from vgspeech.tables import bad_line, split_ctm_line

Array = np.ndarray[Any, np.dtype[Any]]


class Tokens(NamedTuple):
    """Words of one utterance by start time: ``ids`` (N,) int32 into the vocabulary, ``starts`` and ``ends`` (N,) s."""

    ids: Array
    starts: Array
    ends: Array


class AlignedWords:
    """Word times of many utterances.

    Attributes:
        vocabulary: distinct words in C order; token ids count in it.
    """

    def __init__(self, utterances: Sequence[str], utt: Array, starts: Array, ends: Array, texts: _Texts) -> None:
        """Arrays of N tokens in any order.

        Args:
            utterances: names of all utterances, those without words too.
            utt: (N,) which of them.
            starts, ends: (N,) seconds.
            texts: (N,) words.
        """
        order = np.lexsort((starts, utt))
        self.vocabulary, ids = _encode(texts)
        self._ids, self._starts, self._ends = ids[order], starts[order], ends[order]
        bounds = np.searchsorted(utt[order], np.arange(len(utterances) + 1)).tolist()
        self._spans = dict(zip(utterances, pairwise(bounds), strict=True))

    @classmethod
    def of(cls, words: Mapping[str, Sequence[Word]]) -> AlignedWords:
        """From words as objects."""
        flat = [(i, word) for i, said in enumerate(words.values()) for word in said]
        utt = np.array([i for i, _ in flat], dtype=np.int32)
        starts, ends = (np.array([getattr(word, name) for _, word in flat], float) for name in ("start_s", "end_s"))
        return cls(list(words), utt, starts, ends, _codes_of((word.text for _, word in flat)))

    @classmethod
    def read(cls, path: Path) -> AlignedWords:
        """From a ctm file; words in Unicode NFC.

        Raises:
            DataError: no such file, or a line is not of that form; names file and line.
        """
        utterances: dict[str, int] = {}
        vocabulary: dict[str, int] = {}
        utt, ids, starts, ends = array("i"), array("i"), array("d"), array("d")
        try:
            with open(path, encoding="utf-8", newline="\n") as stream:
                for number, line in enumerate(stream, start=1):
                    if "\r" in line:
                        raise bad_line(path, number, "has a carriage return (a Windows line end)")
                    name, start, duration, text = split_ctm_line(line, f"{path}:{number}")
                    utt.append(utterances.setdefault(name, len(utterances)))
                    ids.append(vocabulary.setdefault(text, len(vocabulary)))
                    starts.append(start)
                    ends.append(start + duration)
        except FileNotFoundError as error:
            raise DataError("no word times", where=str(path), hint="this score needs an alignment (ctm)") from error
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8 text", where=str(path)) from error
        texts = _Texts([unicodedata.normalize("NFC", text) for text in vocabulary], np.frombuffer(ids, np.int32))
        begin, end = np.frombuffer(starts, float), np.frombuffer(ends, float)
        return cls(list(utterances), np.frombuffer(utt, np.int32), begin, end, texts)

    def __contains__(self, utt: object) -> bool:
        return utt in self._spans

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, utt: str) -> Tokens:
        first, last = self._spans[utt]
        return Tokens(self._ids[first:last], self._starts[first:last], self._ends[first:last])

    def utterances(self) -> Iterable[str]:
        """Names of all utterances."""
        return self._spans.keys()


class _Texts(NamedTuple):
    """N words as ``ids`` (N,) into ``names``, which may hold a word twice."""

    names: list[str]
    ids: Array


def _codes_of(texts: Iterable[str]) -> _Texts:
    names: dict[str, int] = {}
    ids = np.array([names.setdefault(text, len(names)) for text in texts], dtype=np.int32)
    return _Texts(list(names), ids)


def _encode(texts: _Texts) -> tuple[list[str], Array]:
    """Vocabulary in C order and (N,) int32 ids in it."""
    vocabulary = sorted(set(texts.names))
    place = {name: i for i, name in enumerate(vocabulary)}
    return vocabulary, np.array([place[name] for name in texts.names], dtype=np.int32)[texts.ids]
