"""Videos as a few still pictures: which moments to look at, and the video frames that are shown then.

A table of images names a moment of a video as ``path#t=SECONDS``, the notation of W3C Media Fragments. A moment shows the last
video frame that starts no later, so videos of any frame rate, a varying one included, have a picture at every moment.

Decoding is PyAV's (FFmpeg), an optional part of the installation. What a file of others can do with it is bounded: only
containers and codecs listed here are opened, so that no playlist leads to another file or to the network; every size is
checked before memory is taken; at most `MAX_FRAMES` video frames of a video are looked at, whatever its length, one is held at a
time, and no more than `MAX_DECODED` pixels are decoded to get to each.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vgspeech.errors import DataError, UsageError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

Pixels = npt.NDArray[np.uint8]

EXTENSIONS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")
"""Files that are taken for videos where an image may also stand."""
CONTAINERS = ("mov", "matroska", "webm", "avi", "mpeg", "mpegvideo")
CODECS = (
    "h264", "hevc", "av1", "libdav1d", "vp8", "libvpx", "vp9", "libvpx-vp9", "mpeg4", "msmpeg4v3", "mpeg1video",
    "mpeg2video", "h263", "mjpeg",
)  # fmt: skip
MAX_FRAMES = 64
"""Video frames of one video at most."""
MAX_PIXELS = 4096 * 2304
"""Larger videos are refused: a decoder holds up to 17 pictures at once."""
MAX_DECODED = 5_000_000_000
"""Pixels that are decoded at most up to one moment: 80 s of 1920 x 1080 at 30 a second without a key frame, where encoders
set one every few seconds. A small file of empty pictures could otherwise keep a decoder busy for hours."""
SEEK_S = 2.0
"""Moments that lie further apart are jumped to instead of decoding everything between them."""
SLACK_S = 0.25
"""A video may end so much before its header says."""
_EPSILON_S = 0.0005
_MOMENT = re.compile(r"(?P<path>.+)#t=(?P<seconds>\d+(?:\.\d+)?)", re.DOTALL)


class VideoHeader(NamedTuple):
    """A video's length, size as shown (rotation applied), and number of video frames, 0 when its header does not say."""

    duration_s: float
    width: int
    height: int
    frames: int


def is_video(path: str) -> bool:
    """Whether a path's extension is that of a video."""
    return path.lower().endswith(EXTENSIONS)


def moment(path: str, seconds: float) -> str:
    """A moment of a video as tables name it."""
    return f"{path}#t={seconds:.3f}"


def split_moment(location: str) -> tuple[str, float] | None:
    """Video and seconds of what `moment` wrote; None for any other location."""
    match = _MOMENT.fullmatch(location)
    return (match["path"], float(match["seconds"])) if match else None


def spread_moments(header: VideoHeader, count: int) -> list[float]:
    """Moments spread evenly over a video: the middles of ``count`` equal stretches, in seconds.

    A video of fewer video frames gets as many moments as it has.

    Raises:
        UsageError: fewer than one, or more than `MAX_FRAMES`.
    """
    if not 1 <= count <= MAX_FRAMES:
        raise UsageError(f"{count} video frames of each clip: give 1 to {MAX_FRAMES}")
    count = min(count, header.frames or count)
    return [round((number + 0.5) * header.duration_s / count, 3) for number in range(count)]


def read_header(path: str) -> VideoHeader:
    """Length and size of a video; its first video frame is decoded to see that it can be.

    Raises:
        DataError: not a video that is read, damaged, without video frames, or too large.
    """
    with _opened(path) as player:
        first = player.at(0.0)
        return VideoHeader(player.duration_s(), first.shape[1], first.shape[0], max(0, player.stream.frames))


def read_moments(path: str, seconds: Sequence[float]) -> Iterator[Pixels]:
    """The pictures that a video shows at some moments, one after the other: 64 of them at once would take gigabytes.

    Args:
        path: the video.
        seconds: ascending, at most `MAX_FRAMES`.

    Yields:
        For each moment (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: see `read_header`; or the video ends before a moment.
    """
    if len(seconds) > MAX_FRAMES:
        raise DataError(f"{len(seconds)} moments of one video, more than {MAX_FRAMES}", where=path)
    with _opened(path) as player:
        yield from (player.at(one) for one in seconds)


def require_pyav(path: str) -> None:
    """Refuse a video where nothing can decode it.

    Raises:
        DataError: PyAV is not installed; says how to install it.
    """
    if importlib.util.find_spec("av") is None:
        hint = f"{sys.executable} -m pip install 'av>=14'"
        raise DataError("reading videos needs PyAV, which is not installed", where=path, hint=hint)


@contextmanager
def _opened(path: str) -> Iterator[_Player]:
    """A video ready to be decoded; whatever goes wrong inside becomes a DataError that names it."""
    require_pyav(path)
    import av

    av.logging.set_level(None)
    limits = {"max_pixels": str(MAX_PIXELS)}
    lists = {"format_whitelist": ",".join(CONTAINERS), "codec_whitelist": ",".join(CODECS), "protocol_whitelist": "file"}
    try:
        if not os.path.getsize(path):
            raise DataError("is empty (0 bytes)", where=path)
        # Opened here, so that no part of the path is taken for a protocol.
        with open(path, "rb") as file, av.open(file, "r", options={**limits, **lists}) as container:
            yield _Player(container, _video_stream(container, path), path)
    except DataError:
        raise
    except OSError as error:
        if isinstance(error, av.error.FFmpegError):
            raise DataError(_reason(error), where=path) from error
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error
    except MemoryError as error:
        raise DataError("needs more memory to be decoded than there is", where=path) from error
    except Exception as error:  # FFmpeg's errors are of many kinds
        raise DataError(_reason(error), where=path) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    return f"is a damaged or incomplete video, or of a format that is not read ({text})"


def _video_stream(container: InputContainer, path: str) -> VideoStream:
    """The first stream of moving pictures; covers of sound files are none."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [one for one in container.streams.video if not one.disposition & cover]
    if not streams:
        raise DataError("has no video stream", where=path)
    stream = streams[0]
    context = stream.codec_context
    if context is None or context.codec.name not in CODECS:
        raise DataError("its video is of a codec that is not read", where=path)
    if not context.width or not context.height:  # FFmpeg takes back a size that is beyond the limit
        raise DataError(f"has pictures of no size, or of more than {MAX_PIXELS:,} pixels", where=path)
    _check_size(context.width, context.height, path)
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def _check_size(width: int, height: int, path: str) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(f"has pictures of {width} x {height}, more than {MAX_PIXELS:,} pixels", where=path)


class _Player:
    """A video that is decoded forwards: the video frame that is shown now, and the next one."""

    def __init__(self, container: InputContainer, stream: VideoStream, path: str) -> None:
        self.container, self.stream, self.path = container, stream, path
        assert stream.time_base is not None  # demuxers set it
        self._tick = float(stream.time_base)
        self._start = float((stream.start_time or 0) * stream.time_base)
        self._frames = self._timed()
        self._shown: av.VideoFrame | None = None
        self._next: av.VideoFrame | None = None
        self._ended = False
        self._decoded = 0

    def duration_s(self) -> float:
        """Length in seconds, from the header, or where it does not say, from all packets; at least that of a tick."""
        import av

        if self.stream.duration:
            seconds = self.stream.duration * self._tick
        elif self.container.duration:
            seconds = self.container.duration / av.time_base
        else:
            seconds = self._last_packet_s()
        if not math.isfinite(seconds) or seconds < 0:
            raise DataError(f"claims to last {seconds} s", where=self.path)
        return max(seconds, self._tick)

    def _last_packet_s(self) -> float:
        self.container.seek(0)
        ends = [
            (packet.pts + (packet.duration or 0)) * self._tick - self._start
            for packet in self.container.demux(self.stream)
            if packet.pts is not None
        ]
        return max(ends, default=0.0)

    def at(self, seconds: float) -> Pixels:
        """The picture that is shown at a moment, which must not lie before the last one asked for."""
        self._decoded = 0
        if self._shown is None or seconds - self._time(self._shown) > SEEK_S:
            self._jump(seconds)
        while not self._ended and (self._next is None or self._time(self._next) <= seconds + _EPSILON_S):
            self._advance()
        shown = self._shown or self._next  # a video may begin a little later than its clock
        if shown is None:
            raise DataError("has no video frames", where=self.path)
        end = self._time(shown) + (shown.duration or 0) * self._tick
        if self._ended and seconds > end + SLACK_S:
            what = f"ends at {end:.2f} s, before {seconds:.2f} s: it is cut off, or its header is wrong"
            raise DataError(what, where=self.path)
        return _pixels(shown)

    def _jump(self, seconds: float) -> None:
        """Go on from the last key frame before a moment; from the start where the index leads behind it."""
        if seconds > SEEK_S:
            self._restart(seconds)
        self._advance()
        if seconds > SEEK_S and (self._next is None or self._time(self._next) > seconds):
            self._restart(0.0)
            self._advance()

    def _restart(self, seconds: float) -> None:
        self.container.seek(int((seconds + self._start) / self._tick), stream=self.stream)
        self._frames = self._timed()
        self._shown, self._next, self._ended = None, None, False

    def _advance(self) -> None:
        self._shown = self._next or self._shown
        self._next = next(self._frames, None)
        self._ended = self._next is None

    def _timed(self) -> Iterator[av.VideoFrame]:
        """Video frames that have a time, as they are decoded."""
        for frame in self.container.decode(self.stream):
            _check_size(frame.width, frame.height, self.path)
            self._decoded += frame.width * frame.height
            if self._decoded > MAX_DECODED:
                what = f"takes more than {MAX_DECODED:,} pixels to decode up to a moment: it has too few key frames"
                raise DataError(what, where=self.path, hint="encode it anew: ffmpeg -i IN.mp4 -g 60 OUT.mp4")
            if frame.pts is not None:
                yield frame

    def _time(self, frame: Any) -> float:
        return float(frame.pts * self._tick - self._start)


def _pixels(frame: av.VideoFrame) -> Pixels:
    """RGB pixels, turned as the recording device says."""
    turned = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned, dtype=np.uint8)
