"""Captions that occur more than once: the same sound, or nearly the same words."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

FEWEST_WORDS = 4
"""Shorter captions are nearly the same by chance."""
_NOT_WORD = re.compile(r"[^\w\s]+")


def same_sound(digests: Mapping[str, str]) -> list[list[str]]:
    """Utterances whose sounds are the same, in groups.

    Args:
        digests: utterance -> hash of its samples.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for utterance, digest in digests.items():
        if digest:
            groups[digest].append(utterance)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def similar_text(texts: Mapping[str, str]) -> list[list[str]]:
    """Utterances that say nearly the same, in groups: each differs from another of its group by at most one word.

    Case and punctuation do not count. Two captions differ by one word (left out, put in, or another) exactly when they
    become the same by leaving out at most one word of each, so hashes of all such shortened captions are compared.

    Args:
        texts: utterance -> transcript.
    """
    ids = sorted(texts)
    hashes: list[int] = []
    owners: list[int] = []
    for index, utterance in enumerate(ids):
        words = plain_words(texts[utterance])
        if len(words) >= FEWEST_WORDS:
            shortened = _shortened(words)
            hashes += shortened
            owners += [index] * len(shortened)
    return [[ids[index] for index in group] for group in _joined(np.array(hashes, np.uint64), np.array(owners, np.int64))]


def plain_words(text: str) -> list[str]:
    """Words without case and punctuation."""
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFC", text).casefold()).split()


def _shortened(words: list[str]) -> set[int]:
    variants = {" ".join(words)} | {" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))}
    return {int.from_bytes(hashlib.blake2b(v.encode(), digest_size=8).digest(), "big") for v in variants}


def _joined(hashes: np.ndarray, owners: np.ndarray) -> Iterable[list[int]]:
    """Groups of owners that share hashes, directly or through others."""
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    same = np.flatnonzero(hashes[1:] == hashes[:-1])
    parent: dict[int, int] = {}

    def root(index: int) -> int:
        while parent.get(index, index) != index:
            parent[index] = parent.get(parent[index], parent[index])
            index = parent[index]
        return index

    for a, b in zip(owners[same].tolist(), owners[same + 1].tolist(), strict=True):
        low, high = sorted((root(a), root(b)))
        parent[high] = low
        parent.setdefault(low, low)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in sorted(parent):
        groups[root(index)].append(index)
    return [group for _, group in sorted(groups.items()) if len(group) > 1]
