"""The words found in every caption, with their times: what a linguist opens beside the recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.datadir import SpeechSet
from vgspeech.lexicon.clusters import DROPPED
from vgspeech.lexicon.peaks import Peaks
from vgspeech.tables import read_rows

Array = np.ndarray[Any, np.dtype[Any]]

SHORTEST_S = 0.02
"""What is left of an interval that better ones cut into is dropped below this."""


@dataclass(frozen=True)
class FoundWord:
    """A stretch of a caption that a cluster claims.

    Attributes:
        start_s, end_s: in the caption.
        cluster: number of its cluster.
        linked: number of the linked cluster of the other language; None without a significant link, or another language.
        rank: of the link, or of the cluster of a single language, in ``lexicon.tsv``; None when it isn't significant.
        score: of the best peak there.
    """

    start_s: float
    end_s: float
    cluster: int
    linked: int | None
    rank: int | None
    score: float


@dataclass(frozen=True)
class Link:
    """A significant link as seen from one language, or a significant cluster of a single one."""

    linked: int | None
    rank: int


def significant_links(lexicon: Path, languages: Sequence[str], side: int) -> dict[int, Link]:
    """Cluster of language ``side`` (0 or 1) to its best significant link, from ``lexicon.tsv``; of a single language, the
    significant clusters.

    Raises:
        DataError: no such file, or a line with more or fewer cells than its header.
    """
    own = f"cluster_{languages[side]}"
    other = f"cluster_{languages[1 - side]}" if len(languages) > 1 else None
    links: dict[int, Link] = {}
    for row in read_rows(lexicon):  # best first; a cluster has several rows where several partners were asked for
        if row["significant"] == "yes":
            links.setdefault(int(row[own]), Link(int(row[other]) if other else None, int(row["rank"])))
    return links


def found_words(peaks: Peaks, side: int, labels: Array, links: Mapping[int, Link]) -> dict[str, list[FoundWord]]:
    """Words of every caption of one language, in time order and without overlap.

    A caption takes part in several pairs when its image has several captions, so a word may have several peaks. The best
    one counts; a lower one that lies inside it is the same stretch, and one that reaches into it is cut there.

    Args:
        peaks: of all pairs.
        side: 0 or 1, the language.
        labels: (N,) cluster of every peak in that language, ``DROPPED`` for none.
        links: significant links of its clusters.
    """
    utts, times = ((peaks.utt_a, peaks.times_a), (peaks.utt_b, peaks.times_b))[side]
    by_caption: dict[str, list[int]] = defaultdict(list)
    for i, utt in enumerate(utts):
        if labels[i] != DROPPED:
            by_caption[utt].append(i)
    words = {}
    for utt in sorted(by_caption):
        best_first = sorted(by_caption[utt], key=lambda i: (-peaks.scores[i], times[i, 0]))
        taken: list[tuple[float, float, int]] = []
        for i in best_first:
            at, start, end = times[i].tolist()
            free = _free_part(at, start, end, [(first, last) for first, last, _ in taken])
            if free is not None:
                taken.append((*free, i))
        words[utt] = [
            _word(start, end, int(labels[i]), float(peaks.scores[i]), links) for start, end, i in sorted(taken)
        ]
    return words


def _word(start: float, end: float, cluster: int, score: float, links: Mapping[int, Link]) -> FoundWord:
    link = links.get(cluster)
    return FoundWord(start, end, cluster, link.linked if link else None, link.rank if link else None, score)


def _free_part(at: float, start: float, end: float, taken: list[tuple[float, float]]) -> tuple[float, float] | None:
    """The part of [start, end] around ``at`` that no interval of ``taken`` covers; None when there is none."""
    for first, last in taken:
        if first <= at <= last:
            return None
        if last < at:
            start = max(start, last)
        else:
            end = min(end, first)
    return (start, end) if end - start >= SHORTEST_S else None


@dataclass(frozen=True)
class Recording:
    """A sound file and the words found in it, in its own time.

    Attributes:
        name: its id in ``wav.scp``.
        path: the file; None when it comes out of a command.
        duration_s: its length, as far as the speech set knows it.
        words: caption id and word, in time order.
    """

    name: str
    path: Path | None
    duration_s: float
    words: list[tuple[str, FoundWord]]


def by_recording(speech: SpeechSet, words: Mapping[str, list[FoundWord]]) -> list[Recording]:
    """Words of captions as words of recordings, for those whose speakers agreed to be shown.

    Captions cut out of one recording (``segments``) come together; where they overlap, a later caption's word is cut
    where the earlier one's ends.
    """
    captions: dict[str, list[tuple[float, str]]] = defaultdict(list)
    ends: dict[str, float] = defaultdict(float)
    for utt in speech.ids:
        name = speech.recording_of(utt)
        start = speech.segments[utt].start_s if speech.segments else 0.0
        ends[name] = max(ends[name], start + speech.utt2dur[utt])
        if utt in words and speech.may_share(utt):
            captions[name].append((start, utt))
    return [
        Recording(name, _file(speech.wav[name]), ends[name], _in_order(captions[name], words, ends[name]))
        for name in sorted(captions)
    ]


def private_recordings(speech: SpeechSet) -> set[str]:
    """Recordings without a caption whose speaker agreed that it is shown."""
    return set(speech.wav) - {speech.recording_of(utt) for utt in speech.ids if speech.may_share(utt)}


def _file(location: str) -> Path | None:
    return None if location.endswith("|") else Path(location).absolute()


def _in_order(
    captions: list[tuple[float, str]], words: Mapping[str, list[FoundWord]], end_of_recording: float
) -> list[tuple[str, FoundWord]]:
    shifted = [
        (utt, replace(word, start_s=word.start_s + offset, end_s=word.end_s + offset))
        for offset, utt in captions
        for word in words[utt]
    ]
    placed: list[tuple[str, FoundWord]] = []
    free_from = 0.0
    for utt, word in sorted(shifted, key=lambda item: item[1].start_s):
        cut = replace(word, start_s=max(word.start_s, free_from), end_s=min(word.end_s, end_of_recording))
        if cut.end_s - cut.start_s >= SHORTEST_S:
            placed.append((utt, cut))
            free_from = cut.end_s
    return placed
