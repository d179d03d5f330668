"""The result of a search: a table, and a page with the captions to play and the pictures with what answers in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from vgspeech.audio import FrontEnd, log_mel
from vgspeech.features import LogMels
from vgspeech.images import read_pixels
from vgspeech.loaded import Caption, Picture, pixels_of
from vgspeech.localize.boxes import View
from vgspeech.localize.captions import PicturedCaption, Span, caption_entry, span_entry
from vgspeech.localize.matchmaps import span_map
from vgspeech.plots import encode_image, heat, spectrogram, veil, view_of
from vgspeech.report.assets import SOUND_RATE, Assets
from vgspeech.report.document import SILENT, SYNTHETIC, document, heading
from vgspeech.report.html import Section, count, language_name, missing, text
from vgspeech.report.inputs import ReportInput
from vgspeech.report.matchmaps import Lane, card
from vgspeech.search.find import Found, FoundCaption, FoundImage
from vgspeech.search.searched_set import SearchedSet
from vgspeech.waves import read_wave

Array = np.ndarray
HEADER = ("kind", "rank", "id", "language", "image", "score", "start", "end", "x", "y")
SCENE_SIDE = 320
VEIL_PIXELS = 96
NAMES = {
    "image": "Captions and pictures like this picture",
    "word": "Where this word is said, and what shows it",
    "sentence": "Captions and pictures like this sentence",
}
NOTES = {
    "image": "Captions that describe the shown picture. The marked parts are those that light up something in it.",
    "word": "Captions in which the word, or its translation, is said: where is marked. Play a caption to see what it lights up.",
    "sentence": "Captions that say what the recording says; the parts that agree most are marked.",
}
IMAGE_NOTES = {
    "image": "Pictures that resemble the shown one, in full colour where they do.",
    "word": "Pictures that show what the word names, in full colour where it lights them up.",
    "sentence": "Pictures that the recording describes, in full colour where it lights them up.",
}


@dataclass(frozen=True)
class Query:
    """What was asked.

    Attributes:
        kind: an image, a recorded word or a recorded sentence.
        file: the user's file.
        embedded: the image or recording as the model sees or hears it.
    """

    kind: Literal["image", "word", "sentence"]
    file: Path
    embedded: Picture | Caption


def rows(of: SearchedSet, query: Query, found: Found) -> Iterator[tuple[str, ...]]:
    """Lines of the table, in the columns of ``HEADER``; ``-`` where there is nothing to say.

    A caption's start and end (seconds) are those of the part that answers most, x and y (pixels) the point that this part
    lights up: of the shown image or, for a recording, of the caption's own. An image's x and y are the point that answers
    most.
    """
    for rank, caption in _ranked(found.captions):
        view = _view_of_caption(of, query, caption)
        times, point = ("-", "-"), ("-", "-")
        if caption.best is not None:
            times = (f"{caption.best[0]:.3f}", f"{caption.best[1]:.3f}")
            point = _point(_lit_by(of, caption, caption.best), view)
        yield (
            "caption",
            str(rank),
            caption.utt,
            caption.language,
            caption.image,
            f"{caption.score:.4f}",
            *times,
            *point,
        )
    for rank, image in enumerate(found.images, start=1):
        point = _point(image.lit, of.picture(image.image).view)
        yield ("image", str(rank), image.image, "-", image.image, f"{image.score:.4f}", "-", "-", *point)


def _ranked(captions: Sequence[FoundCaption]) -> Iterator[tuple[int, FoundCaption]]:
    """Captions with their ranks within their language."""
    for _, same in groupby(captions, key=lambda caption: caption.language):
        yield from enumerate(same, start=1)


def _lit_by(of: SearchedSet, caption: FoundCaption, span: tuple[float, float]) -> Array:
    """(H, W): what a part of a caption lights up."""
    flat = caption.matchmap.reshape(len(caption.matchmap), -1)
    inside = of.embed.times[caption.language].inside(*span, len(flat))
    return span_map(flat, inside).reshape(caption.matchmap.shape[1:])


def _point(lit: Array, view: View) -> tuple[str, str]:
    height, width = lit.shape
    x, y = view.cell_centres((height, width))[int(lit.argmax())].tolist()
    return f"{x:.0f}", f"{y:.0f}"


def _view_of_caption(of: SearchedSet, query: Query, caption: FoundCaption) -> View:
    """The part of an image that a caption's matchmap is over."""
    if isinstance(query.embedded, Picture):
        return query.embedded.view
    return of.picture(caption.image).view


def write_page(of: SearchedSet, source: ReportInput, query: Query, found: Found, out: Path) -> list[Path]:
    """Write ``index.html`` (and ``assets/`` when it would be larger than 30 MB).

    Args:
        of: what was searched.
        source: gives the sounds, as far as they may be heard.
        query: what was asked.
        found: the answer.
        out: the page's folder.

    Returns:
        The files written, the page last.

    Raises:
        DataError: an image or a recording cannot be read.
    """
    page = _Page(of, source, query, Assets())
    captions = Section("captions", "Captions", page.captions(found.captions))
    images = Section("pictures", "Pictures", page.images(found.images))
    sections = [captions, images] if query.kind == "image" else [images, captions]
    about = (
        f"{count(found.searched_captions)} captions and {count(found.searched_images)} pictures of {text(of.place)} searched by "
        f"the model {text(source.model.resolve().name)}"
    )
    header = [heading("vgspeech search", NAMES[query.kind], about), SYNTHETIC if source.synthetic else "", page.asked()]
    footer = "" if source.audio else SILENT
    footer += "<p>Nothing on this page needs a network. Recordings that may not be shared were not searched.</p>"
    return page.assets.write_page(document(query.file.name, "\n".join(header), sections, footer), out / "index.html")


@dataclass(frozen=True)
class _Page:
    """The parts of the page."""

    of: SearchedSet
    source: ReportInput
    query: Query
    assets: Assets

    def asked(self) -> str:
        """The query, to be seen or heard."""
        shown = self.query.embedded
        name = f'<p class="id">{text(self.query.file.name)}</p>'
        if isinstance(shown, Picture):
            picture = f'<div class="picture" style="--scene:url({self._shown_scene()})"></div>'
            return f'<div class="asked">{picture}{name}</div>'
        settings = self.of.model.config.front_end_settings
        assert settings is not None  # a trained model has them
        features = log_mel(FrontEnd(settings)(read_wave(self.query.file, settings.sample_rate)), settings)
        sound = self.assets.add(encode_image(spectrogram(features), "png"), ".png")
        button = self._clip(read_wave(self.query.file, SOUND_RATE), "the recording") if self.source.audio else ""
        language = f'<b class="lang">{text(language_name(shown.language))}</b>'
        return (
            f'<div class="asked"><p class="head">{button}{language} {shown.duration_s:.2f} s</p>'
            f'<div class="sound"><img alt="" src="{sound}"></div>{name}</div>'
        )

    def captions(self, captions: Sequence[FoundCaption]) -> str:
        """A card for each caption, language by language."""
        if not captions:
            return missing("No caption may be shown.")
        parts = [f'<p class="note">{NOTES[self.query.kind]}</p>']
        for language, same in groupby(captions, key=lambda caption: caption.language):
            parts.append(f"<h3>{text(language_name(language))}</h3>")
            parts += [self._card(rank, caption) for rank, caption in enumerate(same, start=1)]
        return "".join(parts)

    def _card(self, rank: int, found: FoundCaption) -> str:
        own = self._scene(found.image)
        place = f'<p class="id">{rank}. score {found.score:.3f}<br>{text(found.image)}</p>'
        scene = own
        if self.query.kind == "image":
            scene = self._shown_scene()
            place = f'<div class="own"><img alt="its own picture" src="{own}">{place}</div>'
        pictured = self._pictured(found)
        speech = self.of.speech[found.language]
        features = LogMels(speech.path / "feats" / f"{self.of.model.config.front_end}.scp")[found.utt]
        sound = encode_image(spectrogram(features), "png")
        matchmap = found.matchmap.reshape(len(found.matchmap), -1)
        wave = self.source.sound(self.of.place.split, found.language, found.utt)
        entry = caption_entry(pictured)
        entry["spans"] = [
            {**span_entry(span), "strength": self._strength(found, (span.start_s, span.end_s))}
            for span in pictured.spans
        ]
        return card(scene, place, [Lane(entry, sound, matchmap, self.assets, found.answer).html(wave)])

    def _strength(self, found: FoundCaption, span: tuple[float, float]) -> float:
        """How a part of a caption answers, beside its strongest frame."""
        inside = self.of.embed.times[found.language].inside(*span, len(found.answer))
        return float(found.answer[inside].max() / max(float(found.answer.max()), 1e-9))

    def _pictured(self, found: FoundCaption) -> PicturedCaption:
        speech = self.of.speech[found.language]
        spans = [Span(*span, None, _lit_by(self.of, found, span)) for span in found.stretches]
        return PicturedCaption(
            utt=found.utt,
            lang=found.language,
            image=found.image,
            speaker=speech.utt2spk[found.utt],
            duration_s=speech.utt2dur[found.utt],
            text=speech.text.get(found.utt),
            timed=False,
            times=self.of.embed.times[found.language],
            matchmap=found.matchmap,
            spans=spans,
            view=_view_of_caption(self.of, self.query, found),
        )

    def images(self, images: Sequence[FoundImage]) -> str:
        """A tile for each image, lit where it answers, with its captions to play."""
        scale = max(float(image.lit.max()) for image in images)
        tiles = "".join(self._tile(rank, image, scale) for rank, image in enumerate(images, start=1))
        return f'<p class="note">{IMAGE_NOTES[self.query.kind]}</p><div class="found">{tiles}</div>'

    def _tile(self, rank: int, found: FoundImage, scale: float) -> str:
        shade = self.assets.add(encode_image(veil(heat(found.lit, scale, VEIL_PIXELS)), "png"), ".png")
        clips = []
        for language, utt in self.of.captions_of.get(found.image, []):
            wave = self.source.sound(self.of.place.split, language, utt)
            if wave is not None:
                clips.append(f"<span>{self._clip(wave, utt)} {text(language_name(language))}</span>")
        return (
            f'<figure style="--scene:url({self._scene(found.image)})"><span class="lit"><img alt="" src="{shade}"></span>'
            f'<figcaption>{rank}. score {found.score:.3f}<span class="id">{text(found.image)}</span>'
            f'<span class="clips">{"".join(clips)}</span></figcaption></figure>'
        )

    def _clip(self, wave: Array, tip: str) -> str:
        file = self.assets.add_sound(wave)
        return (
            f'<button class="play clip" data-src="{file}" title="{text(tip)}" aria-label="play {text(tip)}"></button>'
        )

    def _scene(self, image: str) -> str:
        """An image of the set as the model sees it."""
        images = self.of.images
        return self._picture(read_pixels(images.paths[images.shown(image)]), self.of.picture(image).view)

    def _shown_scene(self) -> str:
        assert isinstance(self.query.embedded, Picture)
        return self._picture(pixels_of(self.query.file, frames=1)[0], self.query.embedded.view)

    def _picture(self, pixels: Array, view: View) -> str:
        return self.assets.add(encode_image(view_of(pixels, view, SCENE_SIDE), "jpeg"), ".jpg")
