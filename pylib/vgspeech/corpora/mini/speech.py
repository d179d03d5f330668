"""Spoken captions at 16 kHz, with level and noise varied, and the times of words and phones."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import math
import subprocess
import sys
import wave
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vgspeech.corpora.mini.captions import words_of
from vgspeech.corpora.mini.config import MiniCorpusConfig
from vgspeech.corpora.mini.glyphs import INSTALL_HINT
from vgspeech.errors import DataError, UsageError

Samples = npt.NDArray[np.float64]

SAMPLE_RATE = 16000
_ESPEAK_RATE = 22050
_UP, _DOWN = 320, 441
_VOLUME = 45
"""Of 100 that the synthesiser takes as normal: at 100 some voices clip already there."""
_LEVEL = 1300.0
"""Root mean square of an utterance before its level is varied, in 16-bit units: the voices differ by 9 dB and peak at
up to twelve times it, so that 6 dB more still don't clip."""
_VOICES = {"en": "en-us", "hi": "hi"}


class Interval(NamedTuple):
    """A word or phone in time."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Utterance:
    """A spoken caption."""

    samples: np.ndarray
    """int16 (T,) at ``SAMPLE_RATE``."""
    words: list[Interval]
    phones: list[Interval]


class Synthesiser:
    """The synthesiser's process; a context manager.

    Raises:
        UsageError: espeakng-loader is not installed.
        DataError: the synthesiser cannot speak a text, has no such voice, or ended.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec("espeakng_loader")
        if spec is None or not spec.submodule_search_locations:
            raise UsageError("the mini corpus needs the synthesiser of the package espeakng-loader", hint=INSTALL_HINT)
        folder = Path(spec.submodule_search_locations[0]).absolute()
        name = "libespeak-ng.dylib" if sys.platform == "darwin" else "libespeak-ng.so"
        server = Path(__file__).with_name("espeak_server.py").absolute()
        # -I: the process sees neither our modules nor the user's environment.
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(server), str(folder / name), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Synthesiser:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def speak(self, language: str, speaker: str, rate: int, text: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Raw synthesis.

        Args:
            language: ``en`` or ``hi``.
            speaker: ``<voice variant>_<pitch>``.
            rate: words a minute, as the synthesiser counts.
            text: what to say.

        Returns:
            Samples, int16 (T,) at 22,050 Hz, and the events as ``espeak_server`` describes them.
        """
        variant, _, pitch = speaker.rpartition("_")
        request = {"voice": f"{_VOICES[language]}+{variant}", "pitch": int(pitch), "rate": rate, "volume": _VOLUME}
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request | {"text": text}).encode() + b"\n")
            self._process.stdin.flush()
            header = self._process.stdout.readline()
            answer = json.loads(header) if header else {"error": "the synthesiser ended unexpectedly"}
            data = self._process.stdout.read(2 * int(answer.get("samples", 0)))
        except BrokenPipeError:
            answer = {"error": "the synthesiser ended unexpectedly"}
        if "error" not in answer and answer["rate"] != _ESPEAK_RATE:
            answer = {"error": f"the synthesiser gives {answer['rate']} Hz instead of {_ESPEAK_RATE}"}
        if "error" in answer:
            raise DataError(answer["error"], where=f"{request['voice']}: {text}", hint=INSTALL_HINT)
        return np.frombuffer(data, dtype="<i2"), answer


def speaker_rate(config: MiniCorpusConfig, speaker: str) -> float:
    """A speaker's habitual rate: the speakers of a list are spread evenly over the range."""
    speakers = config.train_speakers if speaker in config.train_speakers else config.test_speakers
    low, high = config.rate
    return low + (high - low) * speakers.index(speaker) / max(len(speakers) - 1, 1)


def say(
    synthesiser: Synthesiser,
    config: MiniCorpusConfig,
    rng: np.random.Generator,
    language: str,
    speaker: str,
    caption: str,
) -> Utterance:
    """Speak a caption at a varied rate, level and noise.

    Raises:
        DataError: a word got no time of its own.
    """
    rate = round(speaker_rate(config, speaker) + rng.uniform(-config.rate_jitter, config.rate_jitter))
    gain = 10 ** (rng.uniform(-config.level_db, config.level_db) / 20)
    noise = math.exp(rng.uniform(math.log(config.noise[0]), math.log(config.noise[1])))
    raw, events = synthesiser.speak(language, speaker, rate, caption)
    clean = _resampled(raw.astype(np.float64))
    clean *= gain * _LEVEL / math.sqrt(np.mean(np.square(clean)))
    noisy = clean + noise * rng.standard_normal(len(clean))
    samples = np.clip(np.rint(noisy), -32768, 32767).astype(np.int16)
    return Utterance(samples, *align(caption, events))


def _resampled(samples: Samples) -> Samples:
    """From the synthesiser's rate to that of the corpus."""
    from scipy.signal import resample_poly  # takes half a second, and finishing a release has no use for it

    return resample_poly(samples, _UP, _DOWN, window=_filter())


@functools.cache
def _filter() -> Samples:
    """resample_poly's own default filter, made once instead of for every utterance."""
    from scipy.signal import firwin

    return firwin(2 * 10 * _DOWN + 1, 1 / _DOWN, window=("kaiser", 5.0))


def align(caption: str, events: dict[str, Any]) -> tuple[list[Interval], list[Interval]]:
    """Times of words and phones.

    Words are found by their place in the text, not by counting events: the synthesiser joins some pairs of function
    words into one event. A word begins at its event, which for a stop is the closure, while the phone's own event is
    the burst; so the phone before ends and the word's first phone begins there too. A word ends with its last phone:
    before a pause, else where the next word begins.

    Args:
        caption: the text that was spoken.
        events: ``words``, ``phones`` and ``samples`` as ``espeak_server`` describes them.

    Returns:
        Words and phones in order, without pauses, none overlapping another.

    Raises:
        DataError: a word got no time of its own, or no sound.
    """
    starts = dict(reversed(events["words"]))
    words, phones = [], []
    spans = words_of(caption)
    for i, (character, text) in enumerate(spans):
        following = spans[i + 1][0] if i + 1 < len(spans) else None
        if character not in starts or (following is not None and following not in starts):
            raise DataError(f"the synthesiser gave no time for '{text}' or the word after it", where=caption)
        start = starts[character]
        end = events["samples"] if following is None else starts[following]
        inside = _phones_of_word(events["phones"], start, end)
        if not inside:
            raise DataError(f"the synthesiser gave no sound for '{text}'", where=caption)
        words.append(_interval(start, inside[-1][1], text))
        phones += [_interval(*phone) for phone in inside]
    return words, phones


def _phones_of_word(phones: list[tuple[int, str]], start: int, end: int) -> list[tuple[int, int, str]]:
    """Start, end (samples) and name of the phones between two samples; the first begins at ``start``."""
    marks = [(sample, name) for sample, name in phones if start <= sample < end]
    sounds = [(b, e, name) for (b, name), (e, _) in pairwise([*marks, (end, "")]) if name and e > b]
    if sounds:
        sounds[0] = (start, *sounds[0][1:])
    return sounds


def _interval(start: int, end: int, text: str) -> Interval:
    return Interval(start / _ESPEAK_RATE, end / _ESPEAK_RATE, text)


def wav_bytes(samples: np.ndarray) -> bytes:
    """A mono 16-bit WAV file of int16 samples at ``SAMPLE_RATE``."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE)
        stream.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()
