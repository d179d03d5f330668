"""What a recording sounds like, in numbers: level, clipping, silence, and a hash that finds copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soundfile

from vgspeech.errors import DataError
from vgspeech.waves import BLOCK_SAMPLES, open_sound

CLIPPED = 0.999
"""Samples at least this large, three or more in a row, count as clipped."""
SILENT_DB = 40.0
"""Frames this much below the recording's loudest tenth are silent."""
_FRAME_S = 0.025


class Sound(NamedTuple):
    """One caption's recording; when ``problem`` is not empty the numbers mean nothing."""

    problem: str = ""
    duration_s: float = 0.0
    rate: int = 0
    channels: int = 0
    peak_db: float = -np.inf
    """Largest sample, dB below full scale."""
    loudness_db: float = -np.inf
    """Mean power of the frames that are not silent, dB below full scale."""
    clipped: float = 0.0
    """Fraction of the samples."""
    silent: float = 0.0
    """Fraction of the frames of 25 ms."""
    digest: str = ""
    """Hash of the samples (16 bit, channels averaged) and the rate: the same for copies in other lossless formats."""


def listen(place: tuple[str, float | None, float | None]) -> Sound:
    """Measure a recording, or a piece of it, some megabytes at a time.

    Args:
        place: file, start and end in seconds; None for the file's own.
    """
    location, start_s, end_s = place
    try:
        with open_sound(location) as sound, np.errstate(over="ignore", invalid="ignore"):
            return _measure(sound, start_s or 0.0, end_s)
    except DataError as error:
        return Sound(error.what)


def _measure(sound: soundfile.SoundFile, start_s: float, end_s: float | None) -> Sound:
    rate = sound.samplerate
    frame = max(1, round(_FRAME_S * rate))
    powers: list[np.ndarray] = []
    digest = hashlib.sha256(str(rate).encode())
    peak, clipped, total = 0.0, 0, 0
    for block in _blocks(sound, round(start_s * rate), None if end_s is None else round(end_s * rate), frame):
        if not np.isfinite(block).all():
            return Sound("has samples that are not numbers")
        total += len(block)
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        clipped += _clipped(block)
        digest.update(np.round(np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())
        whole = len(block) // frame * frame
        powers.append(np.square(block[:whole].reshape(-1, frame), dtype=np.float64).mean(axis=1))
        if whole < len(block):
            powers.append(np.array([np.square(block[whole:], dtype=np.float64).mean()]))
    if not total:
        return Sound("has no samples there")
    power = np.concatenate(powers)
    loud = np.sort(power)[-max(1, len(power) // 10) :].mean()
    active = power >= max(loud * 10 ** (-SILENT_DB / 10), 1e-10)
    loudness = float(power[active].mean()) if active.any() else 0.0
    return Sound(
        duration_s=total / rate,
        rate=rate,
        channels=sound.channels,
        peak_db=_decibel(peak**2),
        loudness_db=_decibel(loudness),
        clipped=clipped / total,
        silent=1 - float(active.mean()),
        digest=digest.hexdigest()[:24],
    )


def _blocks(sound: soundfile.SoundFile, first: int, last: int | None, frame: int) -> Iterator[np.ndarray]:
    """The samples, channels averaged, float32, in blocks of whole frames."""
    left = (sound.frames if last is None else min(last, sound.frames)) - first
    if first:
        sound.seek(min(first, sound.frames))
    size = max(frame, BLOCK_SAMPLES // sound.channels // frame * frame)
    while left > 0:
        block = sound.read(min(size, left), dtype="float32", always_2d=True)
        if not len(block):
            raise DataError("its header announces more samples than can be decoded")
        left -= len(block)
        yield block.mean(axis=1, dtype=np.float64).astype(np.float32) if block.shape[1] > 1 else block[:, 0]


def _clipped(block: np.ndarray) -> int:
    """Samples at full scale that stand three or more in a row."""
    high = np.abs(block) >= CLIPPED
    if len(high) < 3 or not high.any():
        return 0
    middle = high[:-2] & high[1:-1] & high[2:]
    run = np.zeros(len(high), bool)
    for shift in range(3):
        run[shift : len(high) - 2 + shift] |= middle
    return int(run.sum())


def _decibel(power: float) -> float:
    return float(10 * np.log10(power)) if power > 0 else -np.inf
