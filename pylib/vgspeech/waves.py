"""Recordings as waveforms, with the checks that libsndfile does not make.

A file that is shorter or longer than its header says is refused: libsndfile reads what it finds and says nothing, and
half a caption is a wrong caption.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import soundfile

from vgspeech.errors import DataError

Wave = npt.NDArray[np.float32]

LOWEST_RATE, HIGHEST_RATE = 1_000, 400_000
"""Sample rates (Hz) outside are no speech but damage, and resampling from them would take gigabytes."""
BLOCK_SAMPLES = 1 << 22
"""Samples decoded in one go (all channels together)."""
SEGMENT_OVERSHOOT_S = 0.5
"""A segment may end this much behind its recording's end and is cut there, as in Kaldi's extract-segments."""


def read_wave(
    path: str | os.PathLike[str],
    rate: int,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    allow_pipes: bool = False,
) -> Wave:
    """Read a recording, or a piece of it, as one channel at a given sample rate.

    Args:
        path: a file in any format that libsndfile reads, ``archive:offset`` (a WAV in an archive), or ``command |``.
        rate: sample rate of the result in Hz; other rates are resampled.
        start_s: start of the piece in seconds; None is the file's start.
        end_s: end of the piece in seconds; None is the file's end.
        allow_pipes: whether commands are run; they come from the data, so only on the user's word.

    Returns:
        Samples, shape (N,), float32 in [-1, 1); channels are averaged.

    Raises:
        DataError: missing, empty, not sound, damaged, shorter or longer than its header says, not finite, or the piece
            lies outside.
    """
    where = os.fspath(path)
    with open_sound(where, allow_pipes=allow_pipes) as sound:
        samples, native = _read_samples(sound, start_s, end_s, where), sound.samplerate
    _check_finite(samples, where)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest; looked for behind
        if samples.ndim > 1:
            samples = samples.mean(axis=1, dtype=np.float32)
        if native != rate:
            samples = _resample(samples, native, rate)
    _check_finite(samples, where)
    return samples


def _check_finite(samples: Wave, where: str) -> None:
    if not np.isfinite(samples).all():
        raise DataError("has samples that are not numbers", where=where)


@contextlib.contextmanager
def open_sound(location: str, *, allow_pipes: bool = False) -> Iterator[soundfile.SoundFile]:
    """A recording, open for reading, its header already checked against its size; nothing is decoded yet.

    Args:
        location: as ``path`` of ``read_wave``.
        allow_pipes: as there.

    Raises:
        DataError: missing, empty, not sound, without a length, or shorter or longer than its header says; what
            libsndfile finds wrong while the recording is open becomes a DataError too.
    """
    with _open_bytes(location, allow_pipes) as stream:
        try:
            with soundfile.SoundFile(stream) as sound:
                if sound.frames == 0:
                    raise DataError("has no samples", where=location)
                if not LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE:
                    raise DataError(f"its header claims a sample rate of {sound.samplerate} Hz", where=location)
                if sound.frames > 1 << 40:
                    what = "its header does not say how long it is; write it again as FLAC or WAV"
                    raise DataError(what, where=location)
                yield sound
        except soundfile.LibsndfileError as error:
            reason = " ".join(error.error_string.split()).rstrip(".")
            raise DataError(f"not a sound file that can be read ({reason})", where=location) from error


def _open_bytes(location: str, allow_pipes: bool) -> IO[bytes]:
    """The sound file at ``location``, undecoded; the sizes in a WAV header are those of the file."""
    if location.endswith("|"):
        return io.BytesIO(_run_pipe(location, allow_pipes))
    inside = re.fullmatch(r"(.+):(\d+)", location)
    if inside and not os.path.exists(location):
        return io.BytesIO(_read_embedded(inside[1], int(inside[2]), location))
    try:
        stream = open(location, "rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}", where=location) from error
    try:
        _check_size(stream, os.fstat(stream.fileno()).st_size, location)
    except BaseException:
        stream.close()
        raise
    return stream


def _run_pipe(location: str, allow_pipes: bool) -> bytes:
    command = location.rstrip("|").rstrip()
    if not allow_pipes:
        hint = "commands in wav.scp are only run with --allow-pipes true; read them first"
        raise DataError("is a command, not a file", where=location, hint=hint)
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)
    if result.returncode != 0:
        tail = result.stderr.decode("utf-8", errors="replace").strip().rsplit("\n", 1)[-1]
        raise DataError(f"the command failed with exit status {result.returncode}: {tail}", where=location)
    if not result.stdout:
        raise DataError("the command wrote nothing", where=location)
    return result.stdout


def _read_embedded(path: str, offset: int, where: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            head = stream.read(12)
            if head[:4] != b"RIFF" or head[8:] != b"WAVE":
                raise DataError("no WAV file starts there", where=where)
            content = head + stream.read(struct.unpack("<I", head[4:8])[0] - 4)
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}", where=where) from error
    _check_size(io.BytesIO(content), len(content), where)
    return content


def _check_size(stream: IO[bytes], size: int, where: str) -> None:
    """Compare a WAV header with the bytes that are there."""
    if size == 0:
        raise DataError("is empty (0 bytes)", where=where)
    head = stream.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        _check_chunks(stream, size, where)
    stream.seek(0)


def _check_chunks(stream: IO[bytes], size: int, where: str) -> None:
    position, behind_data, announced = 12, False, 0
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack("<4sI", stream.read(8))
        left = size - position - 8
        if behind_data and not (name.isascii() and name.decode("ascii", "replace").isprintable() and length <= left):
            stream.seek(position)
            if stream.read(1 << 16).strip(b"\0"):
                what = f"its header announces {announced} bytes of sound, but {size - position} bytes more follow"
                raise DataError(what, where=where)
            return
        if name == b"data":
            if length > left:
                raise DataError(f"its header announces {length} bytes of sound, but only {left} are there", where=where)
            behind_data, announced = True, length
        position += 8 + length + length % 2
    if not behind_data:
        raise DataError("is a WAV file without sound in it", where=where)


def _read_samples(sound: soundfile.SoundFile, start_s: float | None, end_s: float | None, where: str) -> Any:
    """The samples from ``start_s`` to ``end_s`` at the file's own rate, (N,) or (N, channels)."""
    total = sound.frames
    first = round((start_s or 0.0) * sound.samplerate)
    last = total if end_s is None else round(end_s * sound.samplerate)
    if first >= total or last - total > SEGMENT_OVERSHOOT_S * sound.samplerate:
        piece = f"the segment from {start_s or 0:g} s to {'its end' if end_s is None else f'{end_s:g} s'}"
        raise DataError(f"{piece} lies outside the recording of {total / sound.samplerate:.3f} s", where=where)
    count = min(last, total) - first
    if first:
        sound.seek(first)
    # 16-bit files as int16: libsndfile's own conversion to float takes three times as long, with the same values.
    exact = sound.subtype == "PCM_16"
    samples = _read_blocks(sound, count, "int16" if exact else "float32")
    if len(samples) < count:
        what = f"its header announces {total} samples, but decoding ends {count - len(samples)} samples early"
        raise DataError(what, where=where)
    return samples * np.float32(1 / 32768) if exact else samples


def _read_blocks(sound: soundfile.SoundFile, count: int, dtype: str) -> Any:
    """Up to ``count`` frames, some megabytes at a time: a header can claim more than there is memory for."""
    at_once = max(1, BLOCK_SAMPLES // sound.channels)
    blocks = [sound.read(min(count, at_once), dtype=dtype)]
    count -= len(blocks[0])
    while count and len(blocks[-1]) == at_once:
        blocks.append(sound.read(min(count, at_once), dtype=dtype))
        count -= len(blocks[-1])
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _resample(samples: Wave, native: int, rate: int) -> Wave:
    """Polyphase resampling with a Kaiser-windowed low-pass filter."""
    import scipy.signal

    common = math.gcd(native, rate)
    return scipy.signal.resample_poly(samples, rate // common, native // common).astype(np.float32)
