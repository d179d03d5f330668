"""Word times, object boxes and the lexicon that come with a release. All of it serves evaluation only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from vgspeech.corpora.captions import Caption
from vgspeech.corpora.ids import image_id, release_path
from vgspeech.datadir import SceneObject, Word, ctm_lines, format_seconds, read_ctm, read_lexicon, read_tsv
from vgspeech.errors import DataError
from vgspeech.imagesets import OBJECTS_HEADER

Times = Mapping[str, Sequence[Word]]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Truth:
    """Side information of a release; empty where there is none."""

    words: dict[str, Times] = field(default_factory=dict)
    """language -> recording (path in the release) -> words"""
    phones: dict[str, Times] = field(default_factory=dict)
    """language -> recording (path in the release) -> phones"""
    objects: dict[str, list[SceneObject]] = field(default_factory=dict)
    """image id -> objects; boxes in pixels"""
    lexicon: Path | None = None


def read_truth(folder: Path) -> Truth:
    """Read the side files of a release, all optional.

    Args:
        folder: may hold ``ctm_<language>`` and ``ctm_phones_<language>`` (keyed by recording, a path in the release),
            ``objects.tsv`` (keyed by image, a path below the image root) and ``lexicon.tsv``.

    Raises:
        DataError: no such folder, or a file in it is not valid (with file and line).
    """
    if not folder.is_dir():
        raise DataError(
            "no such folder", where=str(folder), hint="--truth is optional: leave it out without such files"
        )
    phones: dict[str, Times] = {path.name[11:]: read_ctm(path) for path in sorted(folder.glob("ctm_phones_*"))}
    words: dict[str, Times] = {
        path.name[4:]: read_ctm(path) for path in sorted(folder.glob("ctm_*")) if path.name[4:11] != "phones_"
    }
    lexicon = folder / "lexicon.tsv"
    if lexicon.exists():
        read_lexicon(lexicon)
    objects = folder / "objects.tsv"
    return Truth(
        words=words,
        phones=phones,
        objects=_read_objects(objects) if objects.exists() else {},
        lexicon=lexicon if lexicon.exists() else None,
    )


def _read_objects(path: Path) -> dict[str, list[SceneObject]]:
    objects: dict[str, list[SceneObject]] = {}
    for number, (image, concept, colour, *corners) in read_tsv(path, OBJECTS_HEADER):
        try:
            x0, y0, x1, y1 = map(int, corners)
            key = image_id(release_path(image))
        except ValueError as error:
            raise DataError(f"not an object's line: {error}", where=f"{path}:{number}") from error
        objects.setdefault(key, []).append(SceneObject(concept, colour, (x0, y0, x1, y1)))
    return objects


def parse_alignment(alignment: str) -> list[Word]:
    """Word times from ``start__WORD__end`` items, in seconds, separated by blanks.

    Words are written small, as in the transcripts: the aligner's capitals carry nothing, and lexicons have none.

    Raises:
        ValueError: an item has another form, or ends before it starts.
    """
    words = []
    for item in alignment.split():
        start, first, rest = item.partition("__")
        text, second, end = rest.rpartition("__")
        if not (first and second and text):
            raise ValueError(f"'{item}' is not start__WORD__end")
        word = Word(float(start), float(end), text.lower())
        if not 0 <= word.start_s <= word.end_s < float("inf"):
            raise ValueError(f"'{item}' ends before it starts")
        words.append(word)
    return words


class _Microseconds(dict[str, int]):
    """A time in seconds, as written -> whole microseconds. Aligners write a grid of 10 ms, so the same come again and again."""

    def __missing__(self, text: str) -> int:
        seconds = float(text)
        if not 0 <= seconds < _LONGEST_S:
            raise ValueError(f"{text} is no time")
        return _keep(self, text, round(seconds * 1_000_000))


class _Written(dict[int, str]):
    """Whole microseconds -> seconds as tables have them."""

    def __missing__(self, microseconds: int) -> str:
        if microseconds < 0:
            raise ValueError("an end before the start")
        return _keep(self, microseconds, format_seconds(microseconds / 1_000_000))


def _keep(memory: dict[Key, Value], key: Key, value: Value) -> Value:
    """Remember a value, and start anew when there are too many: times off any grid would take gigabytes."""
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def alignment_lines(utterance: str, alignment: str) -> str:
    """The lines of a ctm file of an utterance whose words ``parse_alignment`` reads; several times as fast.

    Raises:
        ValueError: see ``parse_alignment``.
    """
    items = [item.split("__") for item in alignment.lower().split()]
    try:
        if "____" not in alignment:  # a word of nothing
            return "".join(
                [
                    f"{utterance} 1 {_written[start]} {_written[_microseconds[end] - start]} {word}\n"
                    for begin, word, end in items
                    for start in (_microseconds[begin],)
                ]
            )
    except ValueError:
        pass  # an underscore too many, or something that is not an alignment: parse_alignment knows
    return ctm_lines(utterance, parse_alignment(alignment))


_LONGEST_S = 1e6
_REMEMBERED = 1 << 16
_microseconds = _Microseconds()
_written = _Written()


class Alignments(Mapping[str, str]):
    """Lines of a ctm file of a set's utterances, from the metadata where these have word times, else from the side files.

    Made for one utterance at a time when asked for: those of 400,000 captions at once would take gigabytes. An alignment
    that cannot be read is noted in ``unreadable`` and counts as none. With ``metadata`` false only side files count:
    metadata know no phones.
    """

    def __init__(self, captions: Sequence[Caption], side: Times, *, metadata: bool = True) -> None:
        self._metadata = metadata
        self._captions = {c.utterance: c for c in captions if (metadata and c.alignment) or c.wav in side}
        self._side = side
        self.unreadable: dict[int, str] = {}
        """record number -> what is wrong"""

    def __getitem__(self, utterance: str) -> str:
        caption = self._captions[utterance]
        try:
            if self._metadata and caption.alignment:
                return alignment_lines(utterance, caption.alignment)
            return ctm_lines(utterance, self._side[caption.wav])
        except ValueError as error:
            self.unreadable[caption.record] = str(error)
            return ""

    def __iter__(self) -> Iterator[str]:
        return iter(self._captions)

    def __len__(self) -> int:
        return len(self._captions)
