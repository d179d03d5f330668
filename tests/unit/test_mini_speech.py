"""The mini corpus: speech, word and phone times."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import itertools
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vgspeech.corpora.mini import speech
from vgspeech.corpora.mini.captions import describe, words_of
from vgspeech.corpora.mini.config import LANGUAGES, MiniCorpusConfig, random_stream
from vgspeech.corpora.mini.scenes import plan_scene
from vgspeech.corpora.mini.speech import SAMPLE_RATE, Interval, Synthesiser, Utterance, align, say, wav_bytes
from vgspeech.corpora.mini.vocabulary import FRAMES
from vgspeech.errors import DataError, UsageError

CONFIG = MiniCorpusConfig()
SPEAKERS = CONFIG.train_speakers + CONFIG.test_speakers


@pytest.fixture(scope="module")
def synthesiser() -> Iterator[Synthesiser]:
    with Synthesiser() as process:
        yield process


def spoken(
    synthesiser: Synthesiser, index: int, language: str, config: MiniCorpusConfig = CONFIG
) -> tuple[str, Utterance]:
    rng = random_stream(config, "train", index, f"test {language}")
    text = describe(config, rng, plan_scene(config, "train", index), language)
    return text, say(synthesiser, config, rng, language, SPEAKERS[index % len(SPEAKERS)], text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_has_its_time_and_pauses_have_none(synthesiser: Synthesiser, language: str) -> None:
    quiet = dataclasses.replace(CONFIG, noise=(1, 1), level_db=0)
    for index in range(28):
        text, utterance = spoken(synthesiser, index, language, quiet)
        words, phones = utterance.words, utterance.phones
        assert [word.text for word in words] == [word for _, word in words_of(text)]
        for series in (words, phones):
            assert all(one.end_s > one.start_s for one in series)
            assert all(one.end_s <= next_.start_s for one, next_ in itertools.pairwise(series))
        assert all(any(w.start_s <= p.start_s and p.end_s <= w.end_s for w in words) for p in phones)
        assert words[-1].end_s == pytest.approx(len(utterance.samples) / SAMPLE_RATE, abs=0.05)
        # Where no word is, there is silence; where a word is, there is mostly sound.
        whole = utterance.samples[: len(utterance.samples) // 160 * 160].astype(int)
        envelope = np.abs(whole.reshape(-1, 160)).max(axis=1)
        middle = np.arange(len(envelope)) * 0.01 + 0.005
        inside = np.array([any(w.start_s - 0.005 <= t < w.end_s + 0.005 for w in words) for t in middle])
        assert envelope[~inside].max(initial=0) < 60
        assert (envelope[inside] > 60).mean() > 0.8
        assert "," not in text or (~inside[5:-5]).sum() >= 8, "a comma is a pause"


def test_no_frame_makes_the_synthesiser_join_words(synthesiser: Synthesiser) -> None:
    for language, beginnings in (("en", ("a red", "an", "some")), ("hi", ("एक लाल", "आग और"))):
        noun = {"en": "umbrella", "hi": "छाता"}[language]
        for before, after in FRAMES[language]:
            for beginning in beginnings:
                text = f"{before} {beginning} {noun} {after}".strip()
                _, events = synthesiser.speak(language, "adam_50", 157, text)
                assert len(align(text, events)[0]) == len(text.split())


def test_the_same_whatever_was_said_before(synthesiser: Synthesiser) -> None:
    wanted = [(index, language) for index in range(len(SPEAKERS)) for language in LANGUAGES]
    first = {key: spoken(synthesiser, *key)[1] for key in wanted}
    with Synthesiser() as other:
        order = np.random.default_rng(1).permutation(len(wanted))
        for key in [wanted[i] for i in order]:
            again = spoken(other, *key)[1]
            assert np.array_equal(again.samples, first[key].samples) and again.words == first[key].words, key


def test_level_noise_and_format(synthesiser: Synthesiser) -> None:
    levels = []
    for index in range(40):
        _, utterance = spoken(synthesiser, index, LANGUAGES[index % 2])
        samples = utterance.samples.astype(float)
        assert utterance.samples.dtype == np.int16 and np.abs(samples).max() < 32000, "never clipped"
        levels.append(20 * np.log10(np.sqrt(np.mean(samples**2)) / 1300))
        blocks = samples[: len(samples) // 160 * 160].reshape(-1, 160).std(axis=1)
        assert 3 < blocks.min() < 25, "pauses are not digital silence"
    assert -6.1 < min(levels) < -3 and 3 < max(levels) < 6.1
    with wave.open(io.BytesIO(wav_bytes(utterance.samples))) as stream:
        assert (stream.getframerate(), stream.getnchannels(), stream.getsampwidth()) == (16000, 1, 2)
        assert stream.readframes(stream.getnframes()) == utterance.samples.tobytes()


def test_speech_has_no_energy_above_the_synthesiser_s_band_and_much_below(synthesiser: Synthesiser) -> None:
    _, utterance = spoken(synthesiser, 0, "en", dataclasses.replace(CONFIG, noise=(1, 1)))
    power = np.abs(np.fft.rfft(utterance.samples.astype(float))) ** 2
    frequency = np.fft.rfftfreq(len(utterance.samples), 1 / SAMPLE_RATE)
    assert power[(frequency > 100) & (frequency < 4000)].sum() > 0.8 * power.sum()


def test_speakers_and_rates_differ(synthesiser: Synthesiser) -> None:
    text = "i see a red car and a dog"
    samples = {speaker: synthesiser.speak("en", speaker, 157, text)[0].tobytes() for speaker in SPEAKERS}
    assert len(set(samples.values())) == len(SPEAKERS)
    slow, fast = (len(synthesiser.speak("en", "adam_50", rate, text)[0]) for rate in (140, 175))
    assert slow > 1.1 * fast


def test_words_are_found_by_place_when_the_synthesiser_joins_two() -> None:
    events: dict[str, Any] = {
        "samples": 22050,
        "words": [[0, 0], [5, 4410], [10, 8820]],
        "phones": [[100, "x"], [4000, ""], [4500, "y"], [9000, "z"], [20000, ""]],
    }
    words, phones = align("look, at cat", events | {"words": [[0, 0], [6, 4410], [9, 8820]]})
    assert words == [
        Interval(0, 4000 / 22050, "look"),
        Interval(0.2, 0.4, "at"),
        Interval(0.4, 20000 / 22050, "cat"),
    ]
    assert [phone.text for phone in phones] == ["x", "y", "z"]
    with pytest.raises(DataError, match="no time for 'at' or the word after"):
        align("look at a cat", events)
    with pytest.raises(DataError, match="no sound for 'at'"):
        align("look at cat", events | {"words": [[0, 0], [5, 4410], [8, 4420]]})


def test_missing_packages_and_voices_are_named(synthesiser: Synthesiser, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no voice variant 'Nobody'"):
        synthesiser.speak("en", "Nobody_50", 157, "a cat")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"(?s)espeakng-loader.*pip install"):
        Synthesiser()
    with pytest.raises(UsageError, match=r"(?s)qtawesome.*pip install"):
        speech_fonts()


def speech_fonts() -> Path:
    from vgspeech.corpora.mini.glyphs import font_folder

    return font_folder()


def test_a_long_installation_path_is_no_obstacle(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("espeakng_loader")
    assert spec and spec.submodule_search_locations
    deep = tmp_path / ("x" * 100) / ("y" * 100) / "package"
    deep.parent.mkdir(parents=True)
    os.symlink(spec.submodule_search_locations[0], deep)
    server = Path(speech.__file__).with_name("espeak_server.py")
    library = next(deep.glob("libespeak-ng.*"))
    request = b'{"voice": "hi+adam", "pitch": 50, "rate": 150, "volume": 45, "text": "\xe0\xa4\x98\xe0\xa4\xb0"}\n'
    answer = subprocess.run(
        [sys.executable, "-I", server, library, deep], input=request, stdout=subprocess.PIPE, check=True
    )
    assert answer.stdout.startswith(b'{"rate": 22050')
    shutil.rmtree(deep.parent, ignore_errors=True)


def test_the_synthesiser_is_loaded_nowhere_but_in_its_process(synthesiser: Synthesiser) -> None:
    assert not [name for name in sys.modules if "espeak" in name or name == "qtawesome" or "qtpy" in name]
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "espeak" not in maps.read_text()
