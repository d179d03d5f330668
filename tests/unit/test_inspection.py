import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vgspeech.datadir import SpeechSet, write_speech_set
from vgspeech.errors import DataError
from vgspeech.stats.copies import same_sound, similar_text
from vgspeech.stats.inspection import find_sets, inspect
from vgspeech.stats.inspection_page import inspection_page
from vgspeech.stats.sounds import listen

ROOT = Path(__file__).parents[2]


def tone(seconds, rate=16000, level=0.1):
    return level * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)


def heard(tmp_path, samples, rate=16000, name="a.wav", **options):
    soundfile.write(tmp_path / name, samples, rate, **options)
    return listen((str(tmp_path / name), None, None))


def test_a_tone_is_measured_exactly(tmp_path):
    sound = heard(tmp_path, tone(2.0))
    assert (sound.problem, sound.duration_s, sound.rate, sound.channels) == ("", 2.0, 16000, 1)
    assert sound.peak_db == pytest.approx(-20, abs=0.01) and sound.loudness_db == pytest.approx(-23.01, abs=0.02)
    assert (sound.clipped, sound.silent) == (0.0, 0.0)


def test_silence_does_not_count_as_loudness(tmp_path):
    sound = heard(tmp_path, np.concatenate([tone(1.0), np.zeros(48000)]))
    assert sound.silent == pytest.approx(0.75, abs=0.01) and sound.loudness_db == pytest.approx(-23.01, abs=0.05)
    nothing = heard(tmp_path, np.zeros(1600))
    assert nothing.silent == 1.0 and nothing.loudness_db == -np.inf


def test_clipping_needs_a_run_at_full_scale(tmp_path):
    wave = np.clip(tone(1.0, level=1.0), -0.2, 0.2) * 5
    assert heard(tmp_path, wave).clipped > 0.5
    peaks = tone(1.0)
    peaks[100::1000] = 1.0
    assert heard(tmp_path, peaks).clipped == 0.0


def test_long_recordings_and_pieces_are_the_same_sound_in_blocks(tmp_path):
    wave = np.random.default_rng(0).uniform(-0.3, 0.3, 130 * 8000)
    soundfile.write(tmp_path / "long.wav", wave, 8000)
    soundfile.write(tmp_path / "piece.flac", soundfile.read(tmp_path / "long.wav", dtype="int16")[0][8000 * 2 : 8000 * 100], 8000)
    piece = listen((str(tmp_path / "long.wav"), 2.0, 100.0))
    assert piece == listen((str(tmp_path / "piece.flac"), None, None)) and piece.duration_s == 98.0
    assert listen((str(tmp_path / "long.wav"), None, None)).digest != piece.digest


def test_what_cannot_be_read_says_why(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    assert "not a sound file" in listen((str(tmp_path / "a.wav"), None, None)).problem
    assert "numbers" in heard(tmp_path, np.full(1600, np.nan), subtype="FLOAT").problem


def test_same_sounds_and_similar_texts():
    assert same_sound({"a": "1", "b": "2", "c": "1", "d": "", "e": ""}) == [["a", "c"]]
    texts = {
        "a": "The red bus stops here.", "b": "the red bus stops HERE", "c": "the big red bus stops here",
        "d": "the red car stops here", "e": "a cat sleeps on a chair", "f": "red bus", "g": "red bus",
        "h": "a dog sleeps on the chair",
    }  # fmt: skip
    assert similar_text(texts) == [["a", "b", "c", "d"]]
    assert similar_text({}) == []


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A set of ten tones of different pitch: one clipped, one quiet, one copied, one private, one missing."""
    monkeypatch.chdir(tmp_path)
    ids = [f"s-{n}" for n in range(10)]
    for number, utterance in enumerate(ids):
        level = {3: 30.0, 4: 0.002}.get(number, 0.1)
        wave = np.clip(np.sin(np.arange(16000) * (0.1 + number / 50)) * level, -1, 1)
        soundfile.write(f"{utterance}.wav", wave, 16000)
    soundfile.write("s-6.wav", *soundfile.read("s-5.wav"))
    Path("s-9.wav").unlink()
    write_speech_set(
        "data/x/speech/train_en", wav={u: f"{u}.wav" for u in ids}, utt2spk=dict.fromkeys(ids, "s"),
        utt2lang=dict.fromkeys(ids, "en"), utt2dur=dict.fromkeys(ids, 1.0), utt2image={u: f"i{u}" for u in ids},
        utt2share={u: u != "s-3" for u in ids}, text={u: f"it shows <a> picture of number {u}" for u in ids},
    )  # fmt: skip
    return Path("data/x")


def test_numbers_of_a_set(data):
    speech, sounds, numbers = inspect(find_sets(data)[0], 1)
    assert isinstance(speech, SpeechSet) and len(sounds) == 10
    assert numbers["bad"]["clipped"] == 1 and numbers["worst"]["clipped"] == [], "counted, not named"
    assert numbers["unnamed"] == 1 and numbers["not_readable"] == 1 and numbers["most_captions_of_a_speaker"] == 10
    assert numbers["worst"]["quiet"] == ["s-4"] and numbers["same_sound"] == [["s-5", "s-6"]]
    assert list(numbers["unreadable"]) == ["s-9"] and numbers["rates"] == {"16000": 9}
    assert sum(numbers["histograms"]["loudness_db"].values()) == 9
    group = numbers["nearly_the_same_words"][0]
    assert len(group) == 10 and "s-3" not in group and group[-1] == "(may not be shown)"


def test_the_page_plays_what_may_be_shared(data):
    page = inspection_page("x", {"train_en": inspect(find_sets(data)[0], 1)}, True)
    assert page.count("<audio") == 1 and "data:audio/flac;base64," in page  # the quiet one; the clipped one is private
    assert "s-3" not in page and "may not be shown" in page and "&lt;a&gt; picture" in page and "<a>" not in page
    assert "s-9: cannot be opened" in page.replace("</b>", "")
    silent = inspection_page("x", {"train_en": inspect(find_sets(data)[0], 1)}, False)
    assert "<audio" not in silent and "the recording is not in this page" in silent


def test_the_script_writes_page_and_numbers(data):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib")}
    command = [ROOT / "utils/inspect_data.sh", "--nj", "1", data]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "10 recordings in 1 sets, 1 not readable, 1 clipped, 1 very quiet, 1 copies" in done.stdout
    assert json.loads((data / "inspect/inspect.json").read_text())["train_en"]["utterances"] == 10
    with pytest.raises(DataError, match="neither a speech set nor a corpus"):
        find_sets(Path("data"))
