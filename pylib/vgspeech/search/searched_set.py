"""What is searched: the embeddings of a split, the data directories they were made from, and their index."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError, UsageError
from vgspeech.files import read_json
from vgspeech.lexicon.captions import CaptionFrames
from vgspeech.lexicon.discover import LanguageInput
from vgspeech.lexicon.inputs import load_language
from vgspeech.loaded import Caption, LoadedModel, Picture
from vgspeech.localize.boxes import visible_part
from vgspeech.localize.inputs import EmbedDir, image_set
from vgspeech.search.index import open_index

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Place:
    """Where a set is: its embeddings, its corpus directory and its split."""

    embed: Path
    data: Path
    split: str

    def __str__(self) -> str:
        return f"{self.data.name}/{self.split}"


def sets_of(model: Path) -> dict[str, Place]:
    """The sets of a work directory that a model embedded: ``<corpus>/<split>`` -> where it is."""
    found = sorted(model.glob("eval/*/*/embed/embed.json"))
    places = [Place(path.parent, Path("data") / path.parts[-4], path.parts[-3]) for path in found]
    return {str(place): place for place in places}


def choose_set(model: Path, name: str | None) -> Place:
    """The set of that name; without one the largest, by the size of its embeddings.

    Raises:
        UsageError: no such set, or none at all.
    """
    places = sets_of(model)
    if not places:
        hint = (
            "embed one first: run.sh --stage embed --stop-stage embed, or steps/embed.sh and --embed, --data, --split"
        )
        raise UsageError(f"{model} has no embedded set to search", hint=hint)
    if name is not None:
        if name not in places:
            raise UsageError(f"--set: {model} has no embedded set '{name}' (there are: {', '.join(places)})")
        return places[name]
    return max(places.values(), key=lambda place: sum(path.stat().st_size for path in place.embed.glob("*.ark")))


class SearchedSet:
    """An embedded split, open for searches by one model."""

    def __init__(self, model: LoadedModel, place: Place, index: Path | None = None) -> None:
        """Open a set; the first time its index is made.

        Args:
            model: the one that embedded it.
            place: where the set is.
            index: folder of the index; by default ``search/`` beside the embeddings.

        Raises:
            DataError: the set is empty or has no images, was embedded by another model, or a file is missing or damaged.
        """
        _check(model, place)
        self.model, self.place = model, place
        self.embed = EmbedDir.load(place.embed)
        self.images = image_set(place.data, place.split)
        self.speech = {
            lang: SpeechSet.load(place.data / "speech" / f"{place.split}_{lang}") for lang in self.embed.languages
        }
        self.sides: dict[str, LanguageInput] = {
            lang: load_language(place.embed, speech) for lang, speech in self.speech.items()
        }
        if not any(len(side.frames) for side in self.sides.values()) or not len(self.embed.grids):
            raise DataError("the set is empty: it has no captions or no images", where=str(place.embed))
        self.index = open_index(index or place.embed.parent / "search", place.embed, self.sides, self.embed.grids)
        dim, wanted = self.index.dimension, model.config.embedding_dim
        if dim != wanted:
            what = f"the set was embedded by another model: in {dim} dimensions, not {wanted}"
            raise DataError(what, where=str(place.embed))

    def comparable(self, language: str, frames: Array, spoken: Array | None) -> Array:
        """Frames (T, D) without the language's mean, of unit length, zero in silence."""
        mean = self.index.captions(language).mean
        return CaptionFrames({"": frames}, mean, None if spoken is None else {"": spoken})[""]

    def background(self, language: str) -> list[Array]:
        """Unit frames (T_i, D) of the captions that the usual response is to."""
        known = self.sides[language].comparable_frames(self.index.captions(language).mean)
        return [known[utt] for utt in self.index.background(language)]

    def caption(self, language: str, utt: str) -> Caption:
        """An embedded caption of the set."""
        side = self.sides[language]
        spoken = None if side.speech is None else side.speech[utt]
        duration_s = self.speech[language].utt2dur[utt]
        return Caption(language, side.frames[utt], self.embed.times[language], duration_s, spoken)

    def picture(self, image: str) -> Picture:
        """An embedded image of the set."""
        cells = self.embed.grids[image].reshape(*self.embed.shapes[image], -1)
        return Picture(cells, visible_part(*self.images.sizes[self.images.shown(image)], self.model.config.image))

    def may_be_found(self, language: str) -> Array:
        """(I,) bool: captions whose speakers agreed that they are shown, and whose image is embedded."""
        return self._may_be_found[language]

    @cached_property
    def _may_be_found(self) -> dict[str, Array]:
        images, allowed = set(self.index.images.ids), {}
        for language, speech in self.speech.items():
            ids = self.index.captions(language).ids
            found = (speech.utt2image[utt] in images and speech.may_share(utt) for utt in ids)
            allowed[language] = np.fromiter(found, bool, len(ids))
        return allowed

    @cached_property
    def captions_of(self) -> dict[str, list[tuple[str, str]]]:
        """Image -> (language, utterance) of its captions that may be shown."""
        found: dict[str, list[tuple[str, str]]] = {}
        for language, speech in self.speech.items():
            for utt, image in speech.utt2image.items():
                if speech.may_share(utt):
                    found.setdefault(image, []).append((language, utt))
        return found


def _check(model: LoadedModel, place: Place) -> None:
    """Refuse what cannot be searched before anything large is read."""
    for path, what in (
        (place.embed / "embed.json", "is not embedded"),
        (place.embed / "images.scp", "has no embedded images"),
    ):
        if not path.is_file():
            raise DataError(
                f"the set {what}", where=str(path), hint="embed it: run.sh --stage embed, or steps/embed.sh"
            )
    about = read_json(place.embed / "embed.json")
    unknown = [lang for lang in about.get("frame_shift_s", {}) if lang not in model.languages]
    if unknown or about.get("untrained"):
        which = f"the model does not know {', '.join(unknown)}" if unknown else "with untrained weights, as a baseline"
        raise DataError(f"the set was embedded by another model ({which})", where=str(place.embed))
