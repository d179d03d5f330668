"""Reading recordings, with files that lie; front ends against torchaudio and the golden numbers; stage 1 whole."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from torchaudio.compliance import kaldi

from vgspeech.archive import ArchiveReader
from vgspeech.audio import FrontEnd, frame_timing, log_mel, normalise, read_wave
from vgspeech.config import FrontEndConfig, load_config
from vgspeech.datadir import SpeechSet, read_table, write_speech_set
from vgspeech.errors import ConfigError, DataError
from vgspeech.features import make_features, merge_features
from vgspeech.validation import validate_speech_set

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
RATE = 16000


def speechlike(samples: int, seed: int = 0) -> np.ndarray:
    """Noise with a resonance under a slow envelope, 16-bit values in [-1, 1)."""
    noise = np.random.default_rng(seed).standard_normal(samples)
    wave = scipy.signal.lfilter([0.05], [1, -1.2, 0.6], noise) * (0.1 + np.sin(np.arange(samples) / 900) ** 2)
    return (np.round(wave.clip(-0.99, 0.99) * 32768) / 32768).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", speechlike(RATE), RATE, subtype="PCM_16")
    return tmp_path / "a.wav"


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_samples_are_exact(tmp_path: Path, suffix: str, subtype: str) -> None:
    wave = speechlike(1234)
    soundfile.write(tmp_path / f"a.{suffix}", wave, RATE, subtype=subtype)
    read = read_wave(tmp_path / f"a.{suffix}", RATE)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, wave)


def test_pieces_channels_and_rates(tmp_path: Path, wav: Path) -> None:
    whole = read_wave(wav, RATE)
    np.testing.assert_array_equal(read_wave(wav, RATE, 0.25, 0.5), whole[4000:8000])
    np.testing.assert_array_equal(read_wave(wav, RATE, 0.25), whole[4000:])
    np.testing.assert_array_equal(read_wave(wav, RATE, 0.9, 1.3), whole[14400:])  # a little behind the end, as in Kaldi
    for start, end in ((0.9, 1.6), (1.0, None)):
        with pytest.raises(DataError, match=r"lies outside the recording of 1\.000 s"):
            read_wave(wav, RATE, start, end)
    soundfile.write(tmp_path / "stereo.wav", np.stack([whole, np.zeros_like(whole)], axis=1), RATE)
    np.testing.assert_allclose(read_wave(tmp_path / "stereo.wav", RATE), whole / 2, atol=1e-7)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    soundfile.write(tmp_path / "fast.wav", tone, 22050)
    slow = read_wave(tmp_path / "fast.wav", RATE)
    assert len(slow) == RATE and slow.dtype == np.float32
    np.testing.assert_allclose(
        slow[500:-500], 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)[500:-500], atol=2e-3
    )


def with_data_size(content: bytes, size: int) -> bytes:
    """A WAV file whose header announces ``size`` bytes of sound."""
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", size) + content[at + 4 :]


BAD_FILES = {
    "missing": (None, "cannot be opened: No such file"),
    "empty": (lambda wav: b"", r"is empty \(0 bytes\)"),
    "no samples": (lambda wav: with_data_size(wav[:44], 0), "has no samples"),
    "text": (lambda wav: b"this is not sound\n" * 50, "not a sound file that can be read"),
    "cut off": (lambda wav: wav[:10000], "announces 32000 bytes of sound, but only 9956 are there"),
    "announces more": (lambda wav: with_data_size(wav, 64000), "announces 64000 bytes of sound, but only 32000 are"),
    "announces fewer": (lambda wav: with_data_size(wav, 1000), "announces 1000 bytes of sound, but 31000 bytes more"),
    "announces none": (lambda wav: with_data_size(wav, 0), "announces 0 bytes of sound, but 32000 bytes more follow"),
    "streamed": (lambda wav: with_data_size(wav, 0xFFFFFFFF), "announces 4294967295 bytes of sound, but only 32000"),
    "header only": (lambda wav: wav[:36], "without sound in it"),
    "not numbers": (lambda wav: None, "samples that are not numbers"),
}


def write_bad(kind: str, good: Path, bad: Path) -> None:
    make = BAD_FILES[kind][0]
    if kind == "not numbers":
        soundfile.write(bad, np.array([0.0, np.nan], np.float32), RATE, format="WAV", subtype="FLOAT")
    elif make is not None:
        bad.write_bytes(make(good.read_bytes()))


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_that_lie(wav: Path, kind: str) -> None:
    bad = wav.with_name("bad.wav")
    write_bad(kind, wav, bad)
    with pytest.raises(DataError, match=BAD_FILES[kind][1]) as caught:
        read_wave(bad, RATE)
    assert caught.value.where == str(bad)


def test_cut_off_flac(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", speechlike(5 * RATE), RATE)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:-20000])
    with pytest.raises(DataError):
        read_wave(tmp_path / "a.flac", RATE)


def test_chunks_behind_the_sound_are_no_lie(wav: Path) -> None:
    expected = read_wave(wav, RATE)
    content = wav.read_bytes()
    for more in (b"LIST\x04\0\0\0INFO", b"\0\0\0"):
        wav.write_bytes(content + more)
        np.testing.assert_array_equal(read_wave(wav, RATE), expected)


def test_pipes_run_only_on_request(wav: Path) -> None:
    with pytest.raises(DataError, match="is a command, not a file"):
        read_wave(f"cat {wav} |", RATE)
    np.testing.assert_array_equal(read_wave(f"cat {wav} |", RATE, allow_pipes=True), read_wave(wav, RATE))
    with pytest.raises(DataError, match="exit status 7"):
        read_wave(f"(cat {wav}; exit 7) | cat |", RATE, allow_pipes=True)
    with pytest.raises(DataError, match="wrote nothing"):
        read_wave("true |", RATE, allow_pipes=True)


def test_wav_inside_an_archive(wav: Path) -> None:
    ark = wav.with_name("wav.ark")
    ark.write_bytes(b"a " + wav.read_bytes() + b"b " + wav.read_bytes())
    for offset in (2, 4 + wav.stat().st_size):
        np.testing.assert_array_equal(read_wave(f"{ark}:{offset}", RATE), read_wave(wav, RATE))
    with pytest.raises(DataError, match="no WAV file starts there"):
        read_wave(f"{ark}:3", RATE)


SETTINGS = [
    {},
    {"snip_edges": True},
    {"window_type": "povey", "num_mel_bins": 80},
    {"window_type": "hanning", "low_freq": 64.0, "high_freq": -400.0},
    {"window_type": "blackman", "preemphasis": 0.0},
    {"window_type": "rectangular", "frame_length_ms": 10.0, "frame_shift_ms": 20.0},
]


def torchaudio_fbank(wave: np.ndarray, config: FrontEndConfig) -> np.ndarray:
    return kaldi.fbank(
        torch.from_numpy(wave * 32768)[None],
        num_mel_bins=config.num_mel_bins,
        window_type=config.window_type,
        snip_edges=config.snip_edges,
        frame_length=config.frame_length_ms,
        frame_shift=config.frame_shift_ms,
        low_freq=config.low_freq,
        high_freq=config.high_freq,
        preemphasis_coefficient=config.preemphasis,
    ).numpy()


@pytest.mark.parametrize("settings", SETTINGS)
def test_fbank_is_torchaudios(settings: dict) -> None:
    config = FrontEndConfig(**settings)
    for samples in (400, 1600, 16000, 50001):
        wave = speechlike(samples, seed=samples)
        features = FrontEnd(config)(wave)
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, torchaudio_fbank(wave, config), rtol=1e-4, atol=1e-4)


def test_recipe_config_is_the_default() -> None:
    for recipe in ("places", "hindi_english"):
        assert load_config(FrontEndConfig, ROOT / "egs" / recipe / "conf" / "fbank.yaml") == FrontEndConfig()


def test_davenet_golden() -> None:
    front_end = FrontEnd(FrontEndConfig(name="davenet", type="davenet"))
    with np.load(GOLDEN / "frontend_davenet.npz", allow_pickle=False) as golden:
        for number in range(4):
            features = front_end(golden[f"wav{number}"])
            np.testing.assert_allclose(features.T, golden[f"logmel{number}"], atol=1e-2)
            assert features.dtype == np.float32 and features.max() == pytest.approx(0, abs=1e-4)
    with pytest.raises(ConfigError, match="sample_rate must be 16000"):
        FrontEnd(FrontEndConfig(type="davenet", sample_rate=8000))


@pytest.mark.parametrize("kind", ["fbank", "davenet"])
@pytest.mark.parametrize("samples", [1, 79, 80, 100, 399, 4000, 40000])
def test_silence_and_shortness_stay_finite(kind: str, samples: int) -> None:
    front_end = FrontEnd(FrontEndConfig(type=kind))
    for wave in (np.zeros(samples, np.float32), np.full(samples, 0.25, np.float32), speechlike(samples)):
        features = front_end(wave)
        assert features.shape == ((samples + 80) // 160 if kind == "fbank" else 1 + samples // 160, 40)
        assert np.isfinite(features).all()
        assert np.isfinite(normalise(features, "utterance")).all()


def test_dither_depends_on_the_sound_alone() -> None:
    front_end = FrontEnd(FrontEndConfig(dither=1.0))
    wave = np.zeros(1600, np.float32)
    np.testing.assert_array_equal(front_end(wave), front_end(wave))
    assert front_end(wave).min() > -10  # noise of one unit, where silence alone is at -15.9


def test_features_do_not_depend_on_what_came_before() -> None:
    front_end, waves = FrontEnd(FrontEndConfig()), [speechlike(n, n) for n in (50000, 700, 33333)]
    alone = [FrontEnd(FrontEndConfig())(wave) for wave in waves]
    for order in ((0, 1, 2), (2, 0, 1)):
        for i in order:
            np.testing.assert_array_equal(front_end(waves[i]), alone[i])


def test_frame_timing() -> None:
    assert frame_timing(FrontEndConfig()) == (0.01, 0.005)
    assert frame_timing(FrontEndConfig(snip_edges=True)) == (0.01, 0.0125)
    assert frame_timing(FrontEndConfig(type="davenet")) == (0.01, 0.0)
    wave = np.zeros(RATE, np.float32)
    wave[8080:8090] = 0.5  # a click 0.505 s into the recording lies in the middle of frame 50
    energy = FrontEnd(FrontEndConfig())(wave).sum(axis=1)
    assert energy.argmax() in (49, 50, 51) and energy[50] > energy[45]
    np.testing.assert_array_equal(energy[52:], energy[52])


def test_normalise() -> None:
    features = np.random.default_rng(0).normal(3, 5, (50, 4)).astype(np.float32)
    features[:, 2] = 7
    done = normalise(features, "utterance")
    np.testing.assert_allclose(done.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(done.std(axis=0), [1, 1, 0, 1], atol=1e-6)
    assert done.dtype == np.float32 and normalise(features, "none") is features


@pytest.fixture
def speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven utterances."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wav").mkdir()
    return recorded(Path("data/x/speech/dev_en"), range(7))


def recorded(path: Path, numbers: range) -> Path:
    """A speech set of one utterance a number."""
    ids = [f"s-{i}" for i in numbers]
    for i, name in zip(numbers, ids, strict=True):
        soundfile.write(f"wav/{name}.wav", speechlike(8000 + 777 * i, seed=i), RATE, subtype="PCM_16")
    write_speech_set(
        path,
        wav={name: f"wav/{name}.wav" for name in ids},
        utt2spk=dict.fromkeys(ids, "s"),
        utt2lang=dict.fromkeys(ids, "en"),
        utt2dur=dict.fromkeys(ids, 1.0),
        utt2image=dict.fromkeys(ids, "i"),
    )
    return path


def stage(*sets: Path, jobs: int, max_bad: float = 0.01) -> str:
    """Run the step; its standard output."""
    config = ROOT / "egs" / "places" / "conf" / "fbank.yaml"
    step = [ROOT / "steps" / "make_fbank.sh", "--nj", jobs, "--max-bad", max_bad, *sets, config]
    python = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{python}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "pylib")}
    done = subprocess.run([*map(str, step)], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, "make_fbank.sh", done.stdout, done.stderr)
    return done.stdout


def test_job_count_does_not_matter(speech: Path) -> None:
    config, loaded, results = FrontEndConfig(), SpeechSet.load(speech), []
    for jobs in (3, 1):
        for job in range(1, jobs + 1):
            make_features(loaded, config, job, jobs)
        counts = merge_features(loaded, config, jobs, 0.0)
        assert (counts.total, counts.made, counts.rejected) == (7, 7, 0)
        results.append({key: array.tobytes() for key, array in ArchiveReader(speech / "feats.scp").items()})
        assert sorted(path.name for path in (speech / "feats").iterdir()) == [
            *(f"fbank.{job}.ark" for job in range(1, jobs + 1)),
            *(f"fbank.{kind}" for kind in ("rejected", "scp", "utt2num_frames", "yaml")),
        ]
    assert results[0] == results[1]
    assert load_config(FrontEndConfig, speech / "feats" / "fbank.yaml") == config
    frames = read_table(speech / "utt2num_frames")
    assert frames == {key: str(len(array)) for key, array in ArchiveReader(speech / "feats.scp").items()}
    validate_speech_set(speech, features=True)


def test_jobs_share_out_several_sets(speech: Path) -> None:
    other = recorded(Path("data/x/speech/test_en"), range(7, 9))
    alone = []
    for path in (speech, other):
        stage(path, jobs=3)
        alone.append({key: array.tobytes() for key, array in ArchiveReader(path / "feats.scp").items()})
    told = stage(speech, other, jobs=9).splitlines()
    assert told == [
        f"make_fbank.sh: 7 jobs instead of 9, because {speech} has 7 utterances",
        "make_fbank.sh: Made fbank features for 7 of 7 utterances of dev_en (0.00 h)",
        "make_fbank.sh: Made fbank features for 2 of 2 utterances of test_en (0.00 h)",
    ]
    for path, before, jobs in zip((speech, other), alone, (7, 2), strict=True):
        assert {key: array.tobytes() for key, array in ArchiveReader(path / "feats.scp").items()} == before
        assert len(list((path / "feats").glob("fbank.*.ark"))) == jobs
    assert len(list((speech / "log").glob("make_features.*.log"))) == 7
    (other / "utt2spk").write_text("")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        stage(speech, other, jobs=2)
    assert caught.value.returncode == 4 and f"{other}/utt2spk has no utterances" in caught.value.stderr


def test_second_front_end_stands_beside_the_default(speech: Path) -> None:
    loaded = SpeechSet.load(speech)
    for config in (FrontEndConfig(), FrontEndConfig(name="davenet", type="davenet")):
        make_features(loaded, config, 1, 1)
        merge_features(loaded, config, 1, 0.0)
    assert ArchiveReader(speech / "feats.scp")["s-0"].min() > -20
    assert ArchiveReader(speech / "feats" / "davenet.scp")["s-0"].max() == pytest.approx(0, abs=1e-4)
    assert os.readlink(speech / "feats.scp") == "feats/fbank.scp"


def test_step_lists_and_counts_bad_recordings(speech: Path, wav: Path) -> None:
    kinds = ["missing", "empty", "text", "cut off", "announces fewer"]
    scp = (speech / "wav.scp").read_bytes()
    for number, kind in enumerate(kinds):
        bad = Path(f"wav/s-{number}.wav")
        bad.unlink()
        write_bad(kind, wav, bad)
    soundfile.write("wav/s-5.wav", speechlike(79), RATE)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        stage(speech, jobs=2)
    assert caught.value.returncode == 4
    assert "6 of 7 inputs cannot be used, more than --max-bad 0.01" in caught.value.stderr
    assert not (speech / "feats" / "fbank.scp").exists()
    out = stage(speech, jobs=2, max_bad=0.9)
    assert "make_fbank.sh: Made fbank features for 1 of 7 utterances of dev_en (0.00 h); 6 could not be used" in out
    rejected = read_table(speech / "feats" / "fbank.rejected")
    assert list(rejected) == [f"s-{i}" for i in range(6)]
    assert rejected["s-1"] == "wav/s-1.wav: is empty (0 bytes)" and "too short for one frame" in rejected["s-5"]
    assert list(ArchiveReader(speech / "feats.scp")) == ["s-6"]
    assert (speech / "wav.scp").read_bytes() == scp
    validate_speech_set(speech, features=True)


def test_lost_utterances_are_noticed(speech: Path) -> None:
    loaded = SpeechSet.load(speech)
    make_features(loaded, FrontEndConfig(), 1, 2)
    with pytest.raises(DataError, match=r"fbank\.2\.utt2num_frames"):
        merge_features(loaded, FrontEndConfig(), 2, 0.0)
    with pytest.raises(DataError, match="did not account for every utterance"):
        merge_features(loaded, FrontEndConfig(), 1, 0.0)


def test_a_new_run_forgets_the_old_scp_first(speech: Path) -> None:
    loaded = SpeechSet.load(speech)
    make_features(loaded, FrontEndConfig(), 1, 1)
    merge_features(loaded, FrontEndConfig(), 1, 0.0)
    make_features(loaded, FrontEndConfig(), 1, 2)  # and killed before job 2
    assert not (speech / "feats.scp").exists()


@pytest.mark.skipif("VGS_TEST_DATA" not in os.environ, reason="needs real recordings ($VGS_TEST_DATA)")
def test_every_real_recording_is_read() -> None:
    front_end = FrontEnd(FrontEndConfig())
    recordings = sorted(Path(os.environ["VGS_TEST_DATA"]).rglob("*.flac"))
    assert recordings
    for number, path in enumerate(recordings):
        wave = read_wave(path, RATE)
        features = front_end(wave)
        assert len(wave) == soundfile.info(path).frames
        assert len(features) == (len(wave) + 80) // 160 and np.isfinite(features).all()
        if number % 50 == 0:
            np.testing.assert_allclose(features, torchaudio_fbank(wave, front_end.config), rtol=1e-4, atol=1e-4)


def test_samples_stay_what_they_are() -> None:
    config, wave = FrontEndConfig(name="wave", type="wave"), speechlike(15999)
    rows = FrontEnd(config)(wave)
    assert rows.shape == (99, config.width) and rows.dtype == np.float32
    assert np.array_equal(rows.ravel(), wave[: 99 * 160])  # what is left over, less than 10 ms, is dropped
    assert frame_timing(config) == (0.01, 0.005)
    assert FrontEnd(config)(wave[:100]).shape == (0, 160)
    with pytest.raises(ConfigError, match="sample_rate is 8000, but speech models read 16 kHz"):
        FrontEnd(FrontEndConfig(type="wave", sample_rate=8000))


def test_samples_can_be_looked_at_as_log_mel() -> None:
    wave = speechlike(16000)
    config = FrontEndConfig(name="wave", type="wave")
    fbank = FrontEnd(FrontEndConfig())(wave)
    assert np.array_equal(log_mel(FrontEnd(config)(wave), config), fbank)
    assert log_mel(fbank, FrontEndConfig()) is fbank
