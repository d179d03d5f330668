"""Settings of the mini corpus (``conf/mini_corpus.yaml``)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgspeech.errors import ConfigError, UsageError

GENERATOR_VERSION = 1
"""Raised whenever the same settings give other bytes."""

LANGUAGES = ("en", "hi")
SPLITS = ("train", "dev", "test", "test_unseen")
UNSEEN_SPLIT = "test_unseen"

HISTORY_FREE_VOICES = (
    "adam", "benjamin", "Denis", "Diogo", "edward2", "mike2", "Henrique", "Hugo", "Storm", "miguel",
)  # fmt: skip
"""Variants whose samples depend on the text alone. The others keep echo, breath or noise state from one utterance to
the next, so that the corpus would depend on how the work is divided among processes."""


@dataclass(frozen=True)
class MiniCorpusConfig:
    """Everything that defines a mini corpus; two corpora of equal settings are equal byte for byte."""

    seed: int = 0
    """The corpus's own seed; training seeds don't touch it."""
    train_scenes: int = 2000
    dev_scenes: int = 300
    test_scenes: int = 400
    test_unseen_scenes: int = 400
    """Scenes whose objects are drawn with glyph shapes that no other split shows; 0: no such split."""

    image_size: int = 128
    """Side in pixels."""
    objects: tuple[int, ...] = (2, 3)
    """Numbers of objects in a scene, equally likely; at most 4, one a quarter of the picture."""
    jitter: int = 7
    """Largest shift in pixels of an object from the middle of its quarter, each way."""
    glyph_size: tuple[int, ...] = (38, 55)
    """Smallest and largest font size in pixels."""
    rotation: float = 15.0
    """Largest rotation in degrees, each way."""
    flip_probability: float = 0.5
    """Of a glyph, left to right."""
    colour_noise: float = 12.0
    """Standard deviation of an object's colour from the named one, each channel (of 255)."""
    background: tuple[int, ...] = (90, 170)
    """Range of the background's base colour, each channel."""
    cloud_noise: float = 20.0
    """Standard deviation of the background's low-frequency noise (8 x 8, enlarged)."""
    pixel_noise: float = 8.0
    """Standard deviation of the noise of single pixels."""
    jpeg_quality: int = 95

    colour_probability: float = 0.5
    """Chance that a noun phrase names the colour, in each language by itself. At 0.9 a model learns the eight colours
    and few nouns: retrieval still looks well, and the lexicon is empty."""
    synonym_probability: float = 0.28
    """Chance that a noun with two names is called by the second."""
    missing_text: float = 0.01
    """Fraction of Hindi records without ``asr_text``, as in the release."""

    train_speakers: tuple[str, ...] = (
        "adam_50", "adam_70", "benjamin_45", "benjamin_65", "Denis_50",
        "Denis_75", "Diogo_40", "edward2_55", "Henrique_60", "Storm_50",
    )  # fmt: skip
    """Speakers of train and dev: voice variant and pitch."""
    test_speakers: tuple[str, ...] = ("mike2_50", "mike2_72", "miguel_45", "miguel_65")
    rate: tuple[int, ...] = (150, 165)
    """Range of the speakers' habitual rates, in words a minute as the synthesiser counts them."""
    rate_jitter: int = 8
    """Largest difference of an utterance's rate from its speaker's habit."""
    level_db: float = 6.0
    """Largest change of level, each way."""
    noise: tuple[int, ...] = (4, 20)
    """Range of the white noise's standard deviation, in 16-bit units; log-uniform. Never 0: the synthesiser's pauses
    are exact zeros, which have no logarithm."""

    def scenes(self, split: str) -> int:
        """Number of scenes of a split."""
        return int(getattr(self, f"{split}_scenes"))

    def speakers(self, split: str) -> tuple[str, ...]:
        """The speakers that a split draws from."""
        return self.train_speakers if split in ("train", "dev") else self.test_speakers


def check_config(config: MiniCorpusConfig) -> None:
    """Refuse impossible settings.

    Raises:
        ConfigError: names the key and what it may be.
    """
    for key in ("flip_probability", "colour_probability", "synonym_probability", "missing_text"):
        _require(0 <= getattr(config, key) <= 1, key, "a probability, 0 to 1")
    for key in ("jitter", "rotation", "colour_noise", "cloud_noise", "pixel_noise", "level_db", "rate_jitter", "seed"):
        _require(getattr(config, key) >= 0, key, "0 or more")
    for split in SPLITS:
        least = 0 if split == UNSEEN_SPLIT else 1
        _require(config.scenes(split) >= least, f"{split}_scenes", f"{least} or more")
    for key in ("glyph_size", "background", "rate", "noise"):
        pair = getattr(config, key)
        _require(len(pair) == 2 and 0 < pair[0] <= pair[1], key, "two positive numbers, the smaller first")
    _require(len(config.objects) > 0 and all(1 <= n <= 4 for n in config.objects), "objects", "numbers from 1 to 4")
    # A glyph is up to 1.25 times as wide as its font size; rotated, it has to fit into the picture.
    _require(config.image_size >= 1.6 * config.glyph_size[1], "image_size", "at least 1.6 times the largest glyph")
    _require(1 <= config.jpeg_quality <= 100, "jpeg_quality", "1 to 100")
    _require(config.level_db <= 6, "level_db", "at most 6: more would clip")
    for key in ("train_speakers", "test_speakers"):
        speakers = getattr(config, key)
        _require(len(speakers) > 0 and len(set(speakers)) == len(speakers), key, "a list of different speakers")
        for speaker in speakers:
            voice, _, pitch = speaker.rpartition("_")
            _require(voice in HISTORY_FREE_VOICES, key, f"<voice>_<pitch> with a voice of {HISTORY_FREE_VOICES}")
            _require(pitch.isdecimal() and int(pitch) <= 99, key, "<voice>_<pitch> with a pitch from 0 to 99")
    both = set(config.train_speakers) & set(config.test_speakers)
    _require(not both, "test_speakers", f"speakers that train does not have ({', '.join(sorted(both))})")


def _require(condition: bool, key: str, expected: str) -> None:
    if not condition:
        raise ConfigError(f"'{key}' must be {expected}", where="mini corpus settings")


def check_languages(languages: Sequence[str]) -> tuple[str, ...]:
    """The languages to speak, in fixed order.

    Raises:
        UsageError: one that the mini corpus does not have, or English is missing.
    """
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown or "en" not in languages:
        raise UsageError(f"the mini corpus is spoken in 'en' or 'en hi', not '{' '.join(languages)}'", where="--langs")
    return tuple(language for language in LANGUAGES if language in languages)


def settings_key(config: MiniCorpusConfig, languages: Sequence[str]) -> str:
    """A short hash of all that defines the corpus's bytes: settings, languages, version of the generator."""
    settings = [GENERATOR_VERSION, list(languages), dataclasses.asdict(config)]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def random_stream(config: MiniCorpusConfig, split: str, index: int, purpose: str) -> np.random.Generator:
    """The random numbers for one purpose in one scene: the same whoever draws them, in whatever order.

    Purposes are apart so that, for example, leaving out Hindi changes nothing in English.
    """
    return np.random.default_rng([config.seed, zlib.crc32(split.encode()), index, zlib.crc32(purpose.encode())])
