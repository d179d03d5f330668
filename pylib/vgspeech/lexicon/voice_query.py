"""Query by voice: where a recorded word, or its translation, is said.

A trained model puts words of all its languages into one space, so that a word recorded in one language finds the captions
of another in which its translation is said, and the time. As in the search for peaks, what a caption's frames answer to
captions in general is subtracted: without it, captions with a frame that goes with everything come first for every word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vgspeech.audio import FrontEnd, log_mel
from vgspeech.config import FrontEndConfig
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.lexicon.captions import FrameClock, windowed
from vgspeech.lexicon.detect import extents
from vgspeech.lexicon.silence import speech_frames
from vgspeech.waves import read_wave

if TYPE_CHECKING:
    from vgspeech.models import GroundingModel

Array = np.ndarray[Any, np.dtype[Any]]

HALF_WAY = 0.5
"""How far an answer falls, from its best frame to the caption's median, where its stretch ends."""


@dataclass(frozen=True)
class Hits:
    """How every caption answers to every query.

    Attributes:
        captions: (C) ids.
        scores: (N, C) float32, the caption's best frame.
        times: (N, C, 3) seconds: that frame, start and end of the stretch around it.
    """

    captions: list[str]
    scores: Array
    times: Array


@dataclass(frozen=True)
class Queries:
    """Recorded words, embedded, in the order of their ids.

    Attributes:
        frames: (T, D) frames as the encoder gives them.
        speech: (T,) bool, false for silence.
    """

    frames: dict[str, Array]
    speech: dict[str, Array]


def embed_queries(
    model: GroundingModel,
    queries: SpeechSet,
    language: str,
    config: FrontEndConfig,
    clock: FrameClock,
    allow_pipes: bool,
) -> Queries:
    """Embed recorded words.

    Args:
        model: in evaluation mode.
        queries: the recordings.
        language: theirs, one of the model's.
        config: the model's front end.
        clock: times of the model's frames.
        allow_pipes: see `read_wave`.

    Raises:
        DataError: a recording cannot be read, is too short for one frame, or silent.
    """
    from vgspeech.embedding import blocks_of_job, embed_speech

    front_end = FrontEnd(config)
    features = {}
    for query in queries.ids:
        path, start, end = queries.audio_location(query)
        features[query] = front_end(read_wave(path, config.sample_rate, start, end, allow_pipes=allow_pipes))
        if not len(features[query]):
            raise DataError(f"query '{query}' is too short for one frame", where=path)
    embedded = embed_speech(model, language, features, blocks_of_job(features, 1, 1))
    frames = {query: values.numpy() for query, values in embedded}
    shift_s = config.frame_shift_ms / 1000
    speech = {
        query: speech_frames(log_mel(features[query], config), shift_s, clock, len(frames[query])) for query in frames
    }
    for query, spoken in speech.items():
        if not spoken.any():
            raise DataError(f"query '{query}' is silent", where=queries.audio_location(query)[0])
    return Queries(frames, speech)


def query_vectors(words: Mapping[str, Array]) -> Array:
    """(N, D) float32 of unit length: the mean of each word's frames, in the order of the mapping.

    Args:
        words: (T, D) unit-length frames of isolated words; silent ones are zero (``CaptionFrames``).
    """
    means = np.stack([words[word].mean(0) for word in words])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return means / np.maximum(norms, np.finfo(np.float32).tiny)


def search_captions(
    queries: Array, captions: Mapping[str, Array], background: Sequence[Array], clock: FrameClock
) -> Hits:
    """Score every caption for every query.

    Args:
        queries: (N, D) from `query_vectors`.
        captions: (T, D) unit-length frames of the captions to search.
        background: (T, D) frames of captions in the queries' language; each caption frame's mean best response to them
            is subtracted. Empty subtracts nothing.
        clock: times of the captions' frames.
    """
    ids = sorted(captions)
    scores = np.zeros((len(queries), len(ids)), np.float32)
    times = np.zeros((len(queries), len(ids), 3))
    for c, utt in enumerate(ids):
        profiles = answers(queries, captions[utt], background)
        at = profiles.argmax(0)
        scores[:, c] = best = profiles[at, np.arange(len(queries))]
        # The stretch reaches to where the answer has fallen half-way to the caption's median.
        middle = np.median(profiles, axis=0)
        times[:, c] = clock.seconds(extents(profiles, at, middle + HALF_WAY * (best - middle)))
    return Hits(ids, scores, times)


def answers(queries: Array, frames: Array, background: Sequence[Array]) -> Array:
    """How every frame of a caption answers to every query, above what it answers to captions in general: (T, N).

    Args:
        queries: (N, D) from `query_vectors`.
        frames: (T, D) unit-length frames of the caption.
        background: see `search_captions`.
    """
    frames = windowed(frames)
    profiles: Array = frames @ queries.T
    if background:
        profiles -= usual_response(frames, background)[:, None]
    return profiles


def usual_response(frames: Array, background: Sequence[Array]) -> Array:
    """(T,) what frames answer to captions in general: the mean of their best response to each of some.

    Args:
        frames: (T, D) of unit length, each with its neighbours (`windowed`).
        background: (T_i, D) unit-length frames of the captions.
    """
    usual: Array = np.mean([(frames @ other.T).max(1) for other in background], axis=0)
    return usual


def search_images(queries: Queries, grids: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Score every image for every query: the best cell's dot product with the mean of the word's frames.

    A word names a part of an image. On the mini corpus this finds more of the images that show it than the similarity
    of a whole caption does (P@N .50 and .54 against .44 and .52, English and Hindi).

    Args:
        queries: from `embed_queries`.
        grids: (C, D) cells of every image.

    Returns:
        (ids of the I images, (N, I) float32 scores)
    """
    words = np.stack([frames[queries.speech[word]].mean(0) for word, frames in queries.frames.items()])
    images = sorted(grids)
    return images, np.stack([(words @ grids[image].T).max(1) for image in images], axis=1)
