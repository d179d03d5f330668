"""Sound: waveforms as feature frames.

Three front ends. ``fbank`` is Kaldi's log-mel filterbank: the numbers of ``torchaudio.compliance.kaldi.fbank`` (within
float32 rounding, tested), computed here with numpy, because that is faster and starts without loading torch, which
counts when a job has only minutes of sound. ``davenet`` is the log-mel spectrogram that the released DAVEnet and
ResDAVEnet-VQ checkpoints were trained on (Harwath et al. 2018; 2020). ``wave`` keeps the samples, for models that begin with a
self-supervised speech model; a frame is then a row of 10 ms, so that lengths, cuts and row ranges mean the same for all.

Every utterance is computed by itself, so its features do not depend on what else a job computes. Reading recordings is
`vgspeech.waves`; `read_wave` can be imported from here too.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vgspeech.config import FrontEndConfig
from vgspeech.errors import ConfigError
from vgspeech.waves import Wave, read_wave

__all__ = [
    "Features",
    "FrontEnd",
    "Wave",
    "bins_at_speed",
    "frame_timing",
    "kaldi_mel_banks",
    "log_mel",
    "normalise",
    "read_wave",
    "slaney_mel_banks",
]

Features = npt.NDArray[np.float32]

_FRAMES_AT_ONCE = 128
"""Frames computed in one block, counted from an utterance's start: small enough for a processor's cache (measured: 1.7
times faster than blocks of 2,048), and memory stays small for recordings of hours."""


class FrontEnd:
    """Waveforms to feature frames, by a `FrontEndConfig`.

    Attributes:
        config: the settings.
        frame_shift_s: seconds from one frame to the next.
        frame_offset_s: time of the centre of frame 0.
    """

    def __init__(self, config: FrontEndConfig) -> None:
        self.config = config
        kinds: dict[str, Callable[[FrontEndConfig], Callable[[Wave], Features]]]
        kinds = {"fbank": _Fbank, "davenet": _Davenet, "wave": _Samples}
        self._compute = kinds[config.type](config)
        self.frame_shift_s, self.frame_offset_s = frame_timing(config)

    def __call__(self, wave: Wave) -> Features:
        """Compute features.

        Args:
            wave: samples, shape (N,), float32 in [-1, 1), at ``config.sample_rate``.

        Returns:
            Shape (T, ``config.width``), float32, always finite; T may be 0 for less than a frame shift of sound.
        """
        return self._compute(wave)


def frame_timing(config: FrontEndConfig) -> tuple[float, float]:
    """Frame shift, and time of the centre of frame 0, both in seconds.

    Frames of Kaldi's fbank without ``snip_edges`` are centred in their shift; with it, the first starts at sample 0.
    Frames of the davenet front end are centred on multiples of the shift; rows of samples are as long as the shift.
    """
    shift = config.frame_shift_ms / 1000
    if config.type == "davenet":
        return shift, 0.0
    return shift, config.frame_length_ms / 2000 if config.snip_edges and config.type == "fbank" else shift / 2


class _Fbank:
    """Kaldi's log-mel filterbank energies (compute-fbank-feats) on samples of 16-bit scale, in natural logarithm.

    Per frame: subtract the mean, pre-emphasise, window, pad to a power of two, power spectrum, mel bands, log with a
    floor of float32 epsilon (so silence is finite).
    """

    def __init__(self, config: FrontEndConfig) -> None:
        rate = config.sample_rate
        self.length = int(rate * config.frame_length_ms / 1000)
        self.shift = int(rate * config.frame_shift_ms / 1000)
        if self.length < 2 or self.shift < 1:
            raise ConfigError("frame_length_ms and frame_shift_ms are too short for the sample rate")
        self.size = 1 << (self.length - 1).bit_length()
        self.config = config
        self.coefficient = np.float32(config.preemphasis)
        # Kaldi works on samples of 16-bit scale; a factor of 2^15 in the window gives the same bits.
        self.window = (window(config.window_type, self.length) * 32768).astype(np.float32)
        self.buffer = np.zeros((_FRAMES_AT_ONCE, self.size), dtype=np.float32)
        self.banks = kaldi_mel_banks(config.num_mel_bins, self.size, rate, config.low_freq, config.high_freq)

    def __call__(self, wave: Wave) -> Features:
        count = self._count(len(wave))
        if self.config.dither:
            # Seeded by the sound itself: the same utterance gets the same noise in any job.
            noise = np.random.default_rng(zlib.crc32(wave.tobytes())).standard_normal(len(wave), dtype=np.float32)
            wave = wave + noise * np.float32(self.config.dither / 32768)
        padded = self._extend(np.ascontiguousarray(wave, dtype=np.float32), count)
        features = np.empty((count, self.config.num_mel_bins), dtype=np.float32)
        for start in range(0, count, _FRAMES_AT_ONCE):
            stop = min(start + _FRAMES_AT_ONCE, count)
            features[start:stop] = self._block(padded[start * self.shift :], stop - start)
        return features

    def _count(self, samples: int) -> int:
        """Number of frames, as Kaldi's NumFrames."""
        if self.config.snip_edges:
            return 0 if samples < self.length else 1 + (samples - self.length) // self.shift
        return (samples + self.shift // 2) // self.shift

    def _extend(self, wave: Wave, count: int) -> Wave:
        """The samples that the frames cover; without ``snip_edges`` the ends are mirrored, edge sample included."""
        if self.config.snip_edges or not count:
            return wave
        before = self.length // 2 - self.shift // 2
        after = max(0, (count - 1) * self.shift + self.length - max(before, 0) - len(wave) - min(before, 0))
        if before < 0:
            wave = wave[-before:]
        return np.pad(wave, (max(before, 0), after), mode="symmetric")

    def _block(self, padded: Wave, count: int) -> Features:
        frames = _frames(padded, count, self.length, self.shift)
        frames = frames - frames.mean(axis=1, keepdims=True)
        buffer = self.buffer[:count]
        inside = buffer[:, : self.length]
        np.multiply(frames[:, :-1], -self.coefficient, out=inside[:, 1:])
        # Kaldi takes the sample before a frame's first to be equal to the first.
        np.multiply(frames[:, 0], -self.coefficient, out=inside[:, 0])
        inside += frames
        inside *= self.window
        energies = _power(buffer) @ self.banks
        return np.log(np.maximum(energies, np.finfo(np.float32).eps))


class _Davenet:
    """The released checkpoints' log-mel: dB below the utterance's maximum, floored at -80.

    Subtract the waveform's mean, pre-emphasise, windows of 25 ms (symmetric Hamming) centred every 10 ms, power, 40
    Slaney mel bands from 20 Hz; silence is 0 dB throughout. Agrees with the released code run on librosa 0.11 within
    1e-2 dB (golden test). There the ends are padded with zeros; librosa before 0.10 mirrored them, which changes the
    first two and last two frames only.
    """

    length, shift, top_db, floor = 400, 160, 80.0, 1e-10

    def __init__(self, config: FrontEndConfig) -> None:
        fixed = {"sample_rate": 16000, "frame_length_ms": 25.0, "frame_shift_ms": 10.0, "preemphasis": 0.97}
        for key, value in fixed.items():
            if getattr(config, key) != value:
                raise ConfigError(f"the davenet front end is fixed by the released code: {key} must be {value}")
        self.window = window("hamming", self.length).astype(np.float32)
        self.banks = slaney_mel_banks(config.num_mel_bins, self.length, config.sample_rate, 20.0)

    def __call__(self, wave: Wave) -> Features:
        wave = wave - wave.mean(dtype=np.float64).astype(np.float32)
        emphasised = wave.copy()
        emphasised[1:] -= np.float32(0.97) * wave[:-1]
        count = 1 + len(wave) // self.shift
        padded = np.pad(emphasised, self.length // 2)
        energies = np.empty((count, self.banks.shape[1]), dtype=np.float32)
        for start in range(0, count, _FRAMES_AT_ONCE):
            stop = min(start + _FRAMES_AT_ONCE, count)
            frames = _frames(padded[start * self.shift :], stop - start, self.length, self.shift)
            energies[start:stop] = _power(frames * self.window) @ self.banks
        loudest = max(float(energies.max()), self.floor)
        decibel = 10 * np.log10(np.maximum(energies, self.floor)) - np.float32(10 * math.log10(loudest))
        return np.maximum(decibel, decibel.max() - np.float32(self.top_db))


class _Samples:
    """The samples, 10 ms in a row; what is left over at the end, less than 10 ms, is dropped."""

    def __init__(self, config: FrontEndConfig) -> None:
        for key, value in {"sample_rate": 16000, "frame_shift_ms": 10.0}.items():
            if getattr(config, key) != value:
                what = f"{key} is {getattr(config, key)}, but speech models read 16 kHz, in rows of 10 ms"
                raise ConfigError(what, hint=f"set {key}: {value}, or use a front end of another type")
        self.width = config.width

    def __call__(self, wave: Wave) -> Features:
        rows = len(wave) // self.width
        return np.ascontiguousarray(wave[: rows * self.width], dtype=np.float32).reshape(rows, self.width)


def log_mel(features: Features, config: FrontEndConfig) -> Features:
    """Features as log-mel energies, for whatever looks at a recording: silence, statistics, pictures.

    Args:
        features: (T, ``config.width``), of any front end.
        config: that front end.

    Returns:
        (T, bins): the features themselves or, of samples, their ``fbank`` with its default settings.
    """
    if config.type != "wave":
        return features
    return _Fbank(FrontEndConfig())(features.reshape(-1))


def _frames(samples: Wave, count: int, length: int, shift: int) -> Wave:
    """A view of overlapping frames, shape (count, length)."""
    if len(samples) < (count - 1) * shift + length:
        raise ValueError("fewer samples than the frames cover")
    return np.lib.stride_tricks.as_strided(samples, (count, length), (4 * shift, 4), writeable=False)


def _power(frames: Wave) -> Wave:
    """Power spectra (n, bins) of windowed frames (n, length)."""
    import scipy.fft  # most of those who import this module make no features, and would wait a tenth of a second for it

    spectrum = scipy.fft.rfft(frames, axis=1)
    return np.square(spectrum.real) + np.square(spectrum.imag)


def window(
    kind: Literal["hamming", "hanning", "povey", "rectangular", "blackman"], length: int
) -> npt.NDArray[np.float64]:
    """Kaldi's (symmetric) window functions, float64."""
    angle = 2 * np.pi * np.arange(length) / (length - 1)
    if kind == "rectangular":
        return np.ones(length)
    if kind == "hamming":
        return 0.54 - 0.46 * np.cos(angle)
    if kind == "blackman":
        return 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)
    hann = 0.5 - 0.5 * np.cos(angle)
    return hann**0.85 if kind == "povey" else hann


def kaldi_mel_banks(bins: int, size: int, rate: int, low: float, high: float) -> Features:
    """Kaldi's mel filterbank (mel-computations.cc): triangles of height 1, equally spaced and straight in mel.

    Args:
        bins: number of bands.
        size: points of the Fourier transform.
        rate: sample rate in Hz.
        low: lower edge of the first band in Hz.
        high: upper edge of the last band in Hz; 0 or less counts from half the sample rate down.

    Returns:
        Shape (size // 2 + 1, bins), float32.
    """
    high = high if high > 0 else rate / 2 + high
    if bins < 4 or not 0 <= low < high <= rate / 2:
        raise ConfigError(f"no {bins} mel bands between low_freq {low:g} and high_freq {high:g} Hz at {rate} Hz")
    edges = np.linspace(_kaldi_mel(low), _kaldi_mel(high), bins + 2)
    mel = _kaldi_mel(np.arange(size // 2) * rate / size)[:, None]
    banks = np.minimum((mel - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - mel) / (edges[2:] - edges[1:-1]))
    # Kaldi leaves out the point at half the sample rate.
    return np.pad(np.maximum(banks, 0), ((0, 1), (0, 0))).astype(np.float32)


def _kaldi_mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def slaney_mel_banks(bins: int, size: int, rate: int, low: float) -> Features:
    """Mel filterbank of Slaney's Auditory Toolbox, triangles of area 1 in Hz, from ``low`` to half the sample rate.

    Returns:
        Shape (size // 2 + 1, bins), float32.
    """
    edges = _slaney_hertz(np.linspace(_slaney_mel(low), _slaney_mel(rate / 2), bins + 2))
    hertz = (np.arange(size // 2 + 1) * rate / size)[:, None]
    rise = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    return (np.maximum(np.minimum(rise, fall), 0) * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


# Slaney's scale: linear below 1 kHz (200/3 Hz a mel), logarithmic above (27 steps for a factor of 6.4).
_BREAK_HZ, _HZ_A_MEL, _LOG_STEP = 1000.0, 200.0 / 3, math.log(6.4) / 27


def _slaney_mel(hertz: float) -> float:
    if hertz < _BREAK_HZ:
        return hertz / _HZ_A_MEL
    return _BREAK_HZ / _HZ_A_MEL + math.log(hertz / _BREAK_HZ) / _LOG_STEP


def _slaney_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    turn = _BREAK_HZ / _HZ_A_MEL
    return np.where(mel < turn, mel * _HZ_A_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, turn) - turn)))


def bins_at_speed(config: FrontEndConfig, speed: float) -> npt.NDArray[np.float64]:
    """Which mel bin each bin would read from, were the recording played ``speed`` times as fast (all frequencies rise).

    Returns:
        Shape (num_mel_bins,), fractions of bins included; below 0 or above the last bin where nothing was recorded.
    """
    nyquist = config.sample_rate / 2
    if config.type == "davenet":
        low, high = _slaney_mel(20.0), _slaney_mel(nyquist)
        hertz = _slaney_hertz(np.linspace(low, high, config.num_mel_bins + 2)[1:-1])
    else:
        top = config.high_freq if config.high_freq > 0 else nyquist + config.high_freq
        low, high = float(_kaldi_mel(config.low_freq)), float(_kaldi_mel(top))
        hertz = 700.0 * np.expm1(np.linspace(low, high, config.num_mel_bins + 2)[1:-1] / 1127.0)
    to_mel = _slaney_mel if config.type == "davenet" else _kaldi_mel
    mel = np.array([to_mel(value) for value in hertz / speed], dtype=np.float64)
    return (mel - low) / (high - low) * (config.num_mel_bins + 1) - 1


def normalise(features: Features, how: Literal["none", "utterance"]) -> Features:
    """Normalise one utterance's features.

    Args:
        features: shape (T, bins).
        how: ``utterance``: every bin to mean 0 and variance 1 over the utterance; a constant bin becomes 0.

    Returns:
        Shape (T, bins), float32; with ``none`` the input itself.
    """
    if how == "none" or not len(features):
        return features
    centred = features - features.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt(np.mean(np.square(centred), axis=0))
    return (centred / np.maximum(deviation, 1e-5)).astype(np.float32)
