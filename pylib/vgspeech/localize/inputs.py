"""What localisation reads: the embeddings of one split, and the data directories they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vgspeech.archive import ArchiveReader
from vgspeech.config import ExperimentConfig
from vgspeech.datadir import ImageSet, SpeechSet, read_table
from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.localize.boxes import Box, Embedded, View, read_grid_shapes, visible_part
from vgspeech.localize.matchmaps import FrameTimes


@dataclass(frozen=True)
class EmbedDir:
    """An ``embed/`` folder: frames of each language, grids of the images, and when the frames are."""

    path: Path
    times: Mapping[str, FrameTimes]
    grids: ArchiveReader
    shapes: Mapping[str, tuple[int, int]]

    @classmethod
    def load(cls, path: Path) -> EmbedDir:
        """Open an ``embed/`` folder.

        Raises:
            DataError: a file is missing, or ``embed.json`` lacks the frame times.
        """
        about = read_json(path / "embed.json")
        try:
            times = {
                lang: FrameTimes(float(shift), float(about["frame_offset_s"][lang]))
                for lang, shift in about["frame_shift_s"].items()
            }
        except KeyError as error:
            raise DataError(
                f"no {error} in it", where=str(path / "embed.json"), hint="embed again (stage 5)"
            ) from error
        shapes = read_grid_shapes(read_table(path / "grid_shape"), str(path / "grid_shape"))
        return cls(path, times, ArchiveReader(path / "images.scp"), shapes)

    @property
    def languages(self) -> list[str]:
        """The languages that were embedded, in the model's order."""
        return list(self.times)

    def frames(self, lang: str) -> ArchiveReader:
        """Frames (T, D) of the captions of one language."""
        return ArchiveReader(self.path / f"{lang}.scp")

    def embedded(self, lang: str) -> Embedded:
        """One language's frames with the images' grids, as the scores take them."""
        return Embedded(self.frames(lang), self.grids, self.shapes)


def speech_set(data: Path, split: str, lang: str) -> SpeechSet:
    """The speech set of a split and language of a corpus directory."""
    return SpeechSet.load(data / "speech" / f"{split}_{lang}")


def image_set(data: Path, split: str) -> ImageSet:
    """The image set of a split of a corpus directory."""
    return ImageSet.load(data / "images" / split)


def visible_parts(images: ImageSet, config: ExperimentConfig) -> dict[str, View]:
    """The part of every picture (of a clip: of the image shown for it) that the model sees in evaluation."""
    shown = {picture: images.shown(picture) for picture in images.pictures}
    return {
        picture: visible_part(*images.sizes[image], config.image) for picture, image in shown.items() if image in images.sizes
    }


def boxes_in_view(images: ImageSet, config: ExperimentConfig) -> dict[str, list[tuple[str, Box]]]:
    """Concept and box of the objects of every picture that has some, as fractions of the part that the model sees."""
    views = visible_parts(images, config)
    return {
        picture: [(thing.concept, views[picture].fractions(thing.box)) for thing in things]
        for picture, things in images.objects_shown().items()
        if picture in views
    }
