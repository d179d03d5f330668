"""A trained model in a few lines of Python: what a recording says of a photo, and where.

    import vgspeech

    model = vgspeech.load("exp/mini")
    caption, picture = model.embed_speech("caption.wav", "en"), model.embed_image("photo.jpg")
    for part in model.parts(caption, picture):
        print(part)

Names and meaning of what is public here stay as they are from version to version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from vgspeech import embedding
from vgspeech.audio import FrontEnd, log_mel
from vgspeech.errors import DataError, UsageError
from vgspeech.images import evaluation_view, read_pixels, to_tensor
from vgspeech.lexicon.captions import FrameClock
from vgspeech.lexicon.silence import speech_frames
from vgspeech.localize.boxes import View, visible_part
from vgspeech.localize.matchmaps import FrameTimes, active_spans, frame_cell_scores, span_map, subtracted_matchmap
from vgspeech.models import load_model
from vgspeech.models.grounding import front_end_of
from vgspeech.similarity import score_matrix
from vgspeech.videos import is_video, read_header, read_moments, spread_moments
from vgspeech.waves import read_wave

if TYPE_CHECKING:
    from vgspeech.config import ExperimentConfig, SimilarityType

Array = NDArray[Any]
Sound = str | Path | Array
Image = str | Path | Array
CLIP_FRAMES = 3
"""Video frames that are looked at of a video, unless the caller says otherwise."""


@dataclass(frozen=True)
class Caption:
    """An embedded recording.

    ``frames`` (T, D) float32 are as the encoder gives them, ``times`` says when they are; ``spoken`` (T,) bool is false for
    silence, None where that is not known.
    """

    language: str
    frames: Array
    times: FrameTimes
    duration_s: float
    spoken: Array | None = None


@dataclass(frozen=True)
class Picture:
    """An embedded image or clip: cells (H, W, D) float32, and the part of it that the model sees, in its own pixels."""

    cells: Array
    view: View

    @property
    def flat(self) -> Array:
        """Cells row by row, (H*W, D)."""
        return self.cells.reshape(-1, self.cells.shape[-1])


@dataclass(frozen=True)
class Part:
    """A stretch of speech and the point of the image (pixels) that it lights up most; ``score`` is its matchmap there."""

    start_s: float
    end_s: float
    x: float
    y: float
    score: float

    def __str__(self) -> str:
        return f"{self.start_s:.2f} to {self.end_s:.2f} s: x {self.x:.0f}, y {self.y:.0f} (score {self.score:.3g})"


class LoadedModel:
    """A trained model, opened by ``vgspeech.load``."""

    def __init__(self, source: str | Path, device: str = "cpu") -> None:
        """Open ``exp/<model>`` or a packed file.

        Raises:
            DataError: there is no trained model, or it is damaged.
        """
        embedding.full_float32()
        self._model = load_model(source, device)
        self._settings = front_end_of(self.config)
        self._front_end = FrontEnd(self._settings)

    @property
    def config(self) -> ExperimentConfig:
        """The configuration that it was trained with."""
        return self._model.config

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it understands."""
        return tuple(self.config.languages)

    def embed_speech(self, sound: Sound, language: str | None = None) -> Caption:
        """Embed a recording.

        Args:
            sound: a file in any format that libsndfile reads, or samples (N,) in [-1, 1) at the model's sample rate
                (``config.front_end_settings.sample_rate``, usually 16 kHz).
            language: one of `languages`; may be left out when there is only one.

        Raises:
            UsageError: a language that the model does not know.
            DataError: the recording cannot be read, or is too short for one frame.
        """
        language = language or (self.languages[0] if len(self.languages) == 1 else "")
        if language not in self.languages:
            known = ", ".join(self.languages)
            raise UsageError(f"which language is the recording in? the model knows {known}, not '{language}'")
        if isinstance(sound, np.ndarray):
            where, wave = None, np.asarray(sound, np.float32)
        else:
            where, wave = str(sound), read_wave(sound, self._settings.sample_rate)
        features = self._front_end(wave)
        if not len(features):
            raise DataError(f"too short for one frame ({len(wave)} samples)", where=where)
        ((_, frames),) = embedding.embed_speech(self._model, language, {"": features}, [[""]])
        times = FrameTimes(*self._model.audio_info(language))
        feature_shift_s = self._settings.frame_shift_ms / 1000
        clock = FrameClock(times.shift_s, times.offset_s)
        spoken = speech_frames(log_mel(features, self._settings), feature_shift_s, clock, len(frames))
        return Caption(language, frames.numpy(), times, len(wave) / self._settings.sample_rate, spoken)

    @torch.inference_mode()
    def embed_image(self, image: Image, frames: int = CLIP_FRAMES) -> Picture:
        """Embed an image, or a clip.

        Args:
            image: a file, a video (mp4 ...; needs PyAV), or pixels uint8 RGB: (H, W, 3), or (F, H, W, 3) of a clip.
            frames: video frames that are looked at of a video, spread evenly.

        Raises:
            DataError: it cannot be read as an image or video.
            UsageError: more video frames than are looked at of one video.
        """
        settings = self.config.image
        images = pixels_of(image, frames)
        height, width = images[0].shape[:2]
        seen = np.stack([evaluation_view(one, settings.resize, settings.image_size) for one in images])
        batch = to_tensor(torch.from_numpy(seen)).to(embedding.device_of(self._model))
        cells = self._model.encode_images(batch, [len(images)])[0].float().cpu().numpy()
        return Picture(cells, visible_part(width, height, settings))

    def similarity(self, caption: Caption, picture: Picture, simtype: SimilarityType | None = None) -> float:
        """How well they match.

        Args:
            caption, picture: the two.
            simtype: SISA, MISA or SIMA; by default the similarity that the model was trained by.
        """
        config = self.config.similarity
        if simtype is not None:
            config = dataclasses.replace(config, type=simtype)
        frames, cells = (torch.from_numpy(x)[None] for x in (caption.frames, picture.cells))
        return float(score_matrix(cells, frames, torch.tensor([len(caption.frames)]), config))

    def matchmap(self, caption: Caption, picture: Picture, unrelated: Sequence[Picture] = ()) -> Array:
        """What every frame of a caption scores in every cell of an image: (T, H, W) float32.

        Args:
            caption, picture: the two.
            unrelated: a few other images (about 20); what each frame scores in them is subtracted, so that silence and
                function words, which go with anything, light up nothing.
        """
        if unrelated:
            scores = subtracted_matchmap(caption.frames, picture.flat, [other.flat for other in unrelated])
        else:
            scores = frame_cell_scores(caption.frames, picture.flat)
        return scores.reshape(len(scores), *picture.cells.shape[:2])

    def parts(
        self, caption: Caption, picture: Picture, unrelated: Sequence[Picture] = (), count: int = 5
    ) -> list[Part]:
        """The most active stretches of a caption, in time order, and what each lights up.

        Args:
            caption, picture, unrelated: see `matchmap`.
            count: how many at most.
        """
        scores = self.matchmap(caption, picture, unrelated).reshape(len(caption.frames), -1)
        centres = picture.view.cell_centres((picture.cells.shape[0], picture.cells.shape[1]))
        parts = []
        for start_s, end_s in active_spans(scores, caption.times, caption.duration_s, count):
            lit = span_map(scores, caption.times.inside(start_s, end_s, len(scores)))
            best = int(lit.argmax())
            x, y = centres[best].tolist()
            parts.append(Part(start_s, end_s, x, y, float(lit[best])))
        return parts


def pixels_of(image: Image, frames: int) -> Sequence[Array]:
    """All images (H, W, 3) of a picture: one of a still, of a video so many, spread evenly.

    Raises:
        DataError: it cannot be read as an image or video.
        UsageError: more video frames than are looked at of one video.
    """
    if isinstance(image, np.ndarray):
        return list(image) if image.ndim == 4 else [image]
    if is_video(str(image)):
        return list(read_moments(str(image), spread_moments(read_header(str(image)), frames)))
    return [read_pixels(str(image))]
