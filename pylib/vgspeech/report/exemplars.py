"""What the picture dictionary shows of a peak: the part of the image that it looks at, and the sounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgspeech.config import ExperimentConfig
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.errors import DataError
from vgspeech.images import read_pixels
from vgspeech.localize.boxes import View, visible_part
from vgspeech.plots import view_of
from vgspeech.report.inputs import ReportInput
from vgspeech.tables import Row

CROP_SHARE = 0.45
"""Side of a crop as a share of the view that the model sees."""
CROP_SIDE = 148
CLIP_MARGIN_S = 0.08
SHORTEST_CLIP_S = 0.4


@dataclass(frozen=True)
class Exemplars:
    """The split that the lexicon was found on: its images and captions.

    Attributes:
        split: its name.
        languages: of the lexicon's sides a and b, or its only one.
        images: its images.
        source: gives the sounds.
    """

    split: str
    languages: Sequence[str]
    images: ImageSet
    source: ReportInput

    @classmethod
    def open(cls, source: ReportInput, languages: Sequence[str], example: Row) -> Exemplars:
        """Find the split by the utterances of one exemplar.

        Raises:
            DataError: no split of the corpus has them.
        """
        folders = sorted(path.parent for path in (source.data / "images").glob("*/images.scp"))
        for folder in sorted(folders, key=lambda path: path.name != "train"):
            speech = _speech_of(source, folder.name, languages)
            if all(
                lang in speech and example[f"utt_{side}"] in speech[lang].utt2image for side, lang in _sides(languages)
            ):
                return cls(folder.name, languages, ImageSet.load(folder), source)
        raise DataError(f"no split has the lexicon's caption '{example['utt_a']}'", where=str(source.data))

    @property
    def config(self) -> ExperimentConfig:
        """The model's configuration."""
        return self.source.config

    def crop(self, row: Row) -> np.ndarray:
        """The part of a peak's image around the place that its caption in language a looks at; all that the model sees
        where no place is known. uint8 (S, S, 3)."""
        image = row["image"]
        shown = self.images.shown(image)
        view = visible_part(*self.images.sizes[shown], self.config.image)
        if row.get("x_a", "-") != "-":
            view = _square_around(view.point(float(row["x_a"]), float(row["y_a"])), CROP_SHARE * (view.x1 - view.x0), view)
        return view_of(read_pixels(self.images.paths[shown]), view, CROP_SIDE)

    def clip(self, side: str, row: Row) -> np.ndarray | None:
        """The stretch of speech of side ``a`` or ``b`` and a little around it, at 16 kHz; None when not to be shown."""
        lang = self.languages["ab".index(side)]
        start, end = float(row[f"start_{side}"]), float(row[f"end_{side}"])
        slack = max(CLIP_MARGIN_S, (SHORTEST_CLIP_S - (end - start)) / 2)
        return self.source.sound(self.split, lang, row[f"utt_{side}"], start - slack, end + slack)

    def may_show(self, row: Row) -> bool:
        """Whether the speakers of the captions agreed to be shown."""
        return all(self.source.may_show(self.split, lang, row[f"utt_{side}"]) for side, lang in _sides(self.languages))


def _sides(languages: Sequence[str]) -> Iterable[tuple[str, str]]:
    """(side, language)"""
    return zip("ab", languages, strict=False)


def _speech_of(source: ReportInput, split: str, languages: Sequence[str]) -> Mapping[str, SpeechSet]:
    found = {lang: source.speech(split, lang) for lang in languages}
    return {lang: speech for lang, speech in found.items() if speech is not None}


def _square_around(centre: tuple[float, float], side: float, inside: View) -> View:
    """A square of a given side around a point, moved to lie inside a view."""
    x = min(max(centre[0] - side / 2, inside.x0), inside.x1 - side)
    y = min(max(centre[1] - side / 2, inside.y0), inside.y1 - side)
    return View(x, y, x + side, y + side)
