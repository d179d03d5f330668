"""Archives: many arrays (or files) in one ``.ark`` file, and a ``.scp`` file that says where each one starts.

Formats, all little-endian:

* scp, text: one line ``KEY PATH:OFFSET`` a record, optionally with a row range ``[first:last]`` (inclusive). The offset
  points just behind the blank that follows the key in the archive.
* ark of arrays, standard binary Kaldi: repeated ``KEY SPACE \\0B RECORD``, where RECORD is one of

      FM SPACE  \\4 rows:int32  \\4 columns:int32  float32 row by row        (DM: float64)
      FV SPACE  \\4 length:int32  float32 ...                                (DV: float64)
      \\4 length:int32  then ``\\4 value:int32`` for every value             (vector of whole numbers)
      CM, CM2, CM3                                                          (compressed; read only)

* ark of files ("blobs", our own; packed images): repeated ``KEY SPACE \\0V LENGTH:uint64 CRC32:uint32 BYTES``.

An archive appears under its name only when its writer ends without an error, the ark before the scp, so that a scp
never points into an archive that is not all there.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from vgspeech.errors import DataError
from vgspeech.files import atomic_write, open_for_reading, work_path
from vgspeech.scp import parse_scp

Array = np.ndarray[Any, np.dtype[Any]]
Record = TypeVar("Record")

MAX_OPEN_FILES = 64
"""Archives that one reader keeps open; many nodes allow 1,024 open files a process."""
_READ_LIMIT = 1 << 30
"""Linux returns at most 2 GiB from one read."""

_SHORT = 64
"""Bytes read without first asking how many are left; a damaged record may claim any number."""
_MATRIX_TOKENS = {"f4": b"FM ", "f8": b"DM "}
_VECTOR_TOKENS = {"f4": b"FV ", "f8": b"DV "}
_INT32_PAIR = np.dtype([("size", "u1"), ("value", "<i4")])


def encode_array(array: Array) -> bytes:
    """One array as a binary Kaldi record, ``\\0B`` included.

    Args:
        array: float32 or float64 of one or two dimensions, or int32 of one.

    Raises:
        TypeError: another type or number of dimensions (cast it where its meaning is known).
    """
    kind = array.dtype.str[1:]
    if kind == "i4" and array.ndim == 1:
        pairs = np.empty(len(array), dtype=_INT32_PAIR)
        pairs["size"], pairs["value"] = 4, array
        return b"\0B\4" + struct.pack("<i", len(array)) + pairs.tobytes()
    tokens = {1: _VECTOR_TOKENS, 2: _MATRIX_TOKENS}.get(array.ndim, {})
    if kind not in tokens:
        stored = f"{array.dtype} of {array.ndim} dimensions"
        raise TypeError(f"an archive holds float32 or float64 of 1 or 2 dimensions or int32 of 1, not {stored}")
    sizes = b"".join(b"\4" + struct.pack("<i", size) for size in array.shape)
    return b"\0B" + tokens[kind] + sizes + np.ascontiguousarray(array, dtype=f"<{kind}").tobytes()


class _RecordWriter:
    """Appends ``KEY SPACE payload`` to a temporary archive; left without an exception, it commits archive, then scp."""

    def __init__(self, ark: str | os.PathLike[str], scp: str | os.PathLike[str]) -> None:
        self.ark, self.scp = Path(ark), Path(scp)
        self._stack = ExitStack()
        self._lines: dict[str, int] = {}
        self._position = 0
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Any:
        self._stream = self._stack.enter_context(atomic_write(self.ark, "wb"))
        return self

    def _append(self, key: str, payload: bytes) -> None:
        if self._stream is None:
            raise RuntimeError("the writer is used outside its 'with' block")
        if not key or any(character.isspace() for character in key):
            raise DataError(f"key '{key}' is empty or contains a blank", where=str(self.ark))
        if key in self._lines:
            raise DataError(f"key '{key}' is written twice", where=str(self.ark))
        head = key.encode("utf-8") + b" "
        self._lines[key] = self._position + len(head)
        self._stream.write(head)
        self._stream.write(payload)
        self._position += len(head) + len(payload)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream = None
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        # An older scp must not point into the new archive, not even for the moment between the two renames.
        self.scp.unlink(missing_ok=True)
        self._stack.close()
        path = work_path(self.ark)
        with atomic_write(self.scp) as stream:
            stream.writelines(f"{key} {path}:{offset}\n" for key, offset in self._lines.items())


class ArchiveWriter(_RecordWriter):
    """Writes arrays as a binary Kaldi archive with its scp.

    Example::

        with ArchiveWriter(ark, scp) as writer:
            writer.write("speaker1-0001", features)
    """

    def write(self, key: str, array: Array) -> None:
        """Append one array (see `encode_array` for what can be stored)."""
        self._append(key, encode_array(array))


class BlobWriter(_RecordWriter):
    """Writes files (byte strings) into one archive with its scp; every record carries its length and CRC-32."""

    def write(self, key: str, data: bytes) -> None:
        """Append one file's bytes."""
        self._append(key, b"\0V" + struct.pack("<QI", len(data), zlib.crc32(data)) + data)


class _RecordReader(Mapping[str, Record], Generic[Record]):
    """A scp file as a read-only mapping, in the order of its lines.

    Keys are one fixed-width array and offsets another, so that forked or pickled copies in loader processes share or
    copy two blocks of memory and not 400,000 Python objects. Archives are opened when first read from, at most
    `MAX_OPEN_FILES` at a time, and read by position, which is safe in forked processes.
    """

    def __init__(self, scp: str | os.PathLike[str]) -> None:
        self.scp = Path(scp)
        self._keys, self._paths, self._path_of, self._offsets, self._ranges = parse_scp(self.scp)
        in_order = bool(np.all(self._keys[:-1] <= self._keys[1:]))
        self._order = None if in_order else np.argsort(self._keys, kind="stable")
        self._check_unique()
        self._open: OrderedDict[int, int] = OrderedDict()

    def _check_unique(self) -> None:
        order = np.arange(len(self._keys)) if self._order is None else self._order
        (twice,) = np.nonzero(self._keys[order[:-1]] == self._keys[order[1:]])
        if len(twice):
            line = int(order[twice[0] + 1])
            raise DataError(f"key '{self._keys[line].decode()}' appears twice", where=f"{self.scp}:{line + 1}")

    @property
    def keys_array(self) -> npt.NDArray[np.bytes_]:
        """(lines,) the keys in UTF-8, in the order of the scp's lines."""
        return self._keys

    def lines_of(self, keys: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
        """The scp's line, counted from 0, of each of many UTF-8 keys; -1 where it has none."""
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._keys, keys, sorter=self._order), len(self._keys) - 1)
        lines = place if self._order is None else self._order[place]
        return np.where(self._keys[lines] == keys, lines, -1)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return (key.decode("utf-8") for key in self._keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) >= 0

    def __getitem__(self, key: str) -> Record:
        line = self._find(key)
        if line < 0:
            raise KeyError(key)
        return self.read(line)

    def read(self, line: int, room: Array | None = None) -> Record:
        """The record of the scp's line number ``line``, counted from 0.

        Args:
            line: which.
            room: one-dimensional float32 memory that a float32 array goes to if it fits.

        Raises:
            DataError: the record is damaged or cut off, or the archive is missing; says key, archive and offset.
        """
        number, offset = int(self._path_of[line]), int(self._offsets[line])
        where = f"'{self._keys[line].decode('utf-8')}' at {self._paths[number]}:{offset}"
        descriptor = self._descriptor(number, where)
        return self._decode(_Source(descriptor, offset, where, room), self._ranges.get(line))

    def _decode(self, source: _Source, window: str | None) -> Record:
        raise NotImplementedError

    def _find(self, key: str) -> int:
        raw = key.encode("utf-8")
        if len(raw) > self._keys.itemsize or not len(self._keys):
            return -1
        place = int(np.searchsorted(self._keys, np.array(raw, dtype=self._keys.dtype), sorter=self._order))
        if place == len(self._keys):
            return -1
        line = place if self._order is None else int(self._order[place])
        return line if self._keys[line] == raw else -1

    def _descriptor(self, number: int, where: str) -> int:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        if len(self._open) >= MAX_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        try:
            self._open[number] = open_for_reading(self._paths[number])
        except OSError as error:
            hint = f"{self.scp} lists it; paths in scp files are relative to the work directory"
            raise DataError(f"cannot open the archive: {error.strerror}", where=where, hint=hint) from error
        return self._open[number]

    def close(self) -> None:
        """Close the archives; reading opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        if hasattr(self, "_open"):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


class ArchiveReader(_RecordReader[Array]):
    """Arrays of a scp file by key; every array is a fresh writable copy.

    Float records keep their stored type, compressed ones become float32, vectors of whole numbers int32.
    """

    def read_into(self, key: str, room: Array) -> Array:
        """As ``self[key]``, but in ``room`` (see `read`) where possible, which saves fresh memory for every record."""
        line = self._find(key)
        if line < 0:
            raise KeyError(key)
        return self.read(line, room)

    def _decode(self, source: _Source, window: str | None) -> Array:
        array = _decode_array(source)
        return array if window is None else _cut(array, window, source.where)


class BlobReader(_RecordReader[bytes]):
    """Files of an archive written by `BlobWriter`, by key; length and checksum are verified."""

    def _decode(self, source: _Source, window: str | None) -> bytes:
        marker, length, checksum = struct.unpack("<2sQI", source.take(14))
        if marker != b"\0V":
            raise source.error("no packed file starts here (wrong offset, or another kind of archive)")
        data = source.take(length)
        if zlib.crc32(data) != checksum:
            raise source.error("the packed file is damaged: its checksum does not match")
        return data


class _Source:
    """Bytes of one open archive from an offset on; says how many are missing when it ends too early."""

    def __init__(self, descriptor: int, offset: int, where: str, room: Array | None = None) -> None:
        self.descriptor, self.position, self.where, self.room = descriptor, offset, where, room

    def error(self, what: str) -> DataError:
        hint = "make the archive again: run the stage that wrote it with --force"
        return DataError(what, where=self.where, hint=hint)

    def left(self) -> int:
        return max(0, os.fstat(self.descriptor).st_size - self.position)

    def take(self, count: int) -> bytes:
        if count > _SHORT:
            return self.array(count, np.dtype("u1")).tobytes()
        data = os.pread(self.descriptor, count, self.position)
        if len(data) < count:
            raise self.error(f"the archive is cut off: {count - len(data)} of {count} bytes are missing")
        self.position += count
        return data

    def array(self, count: int, dtype: np.dtype[Any]) -> Array:
        """The next ``count`` values as a one-dimensional array, a new one unless they fit into ``room``."""
        size = count * dtype.itemsize
        if count < 0:
            raise self.error(f"damaged record: it claims {count} values")
        if size > self.left():
            raise self.error(f"the archive is cut off: {size - self.left()} of {size} bytes are missing")
        fits = self.room is not None and dtype == self.room.dtype and count <= len(self.room)
        values = self.room[:count] if fits and self.room is not None else np.empty(count, dtype=dtype)
        target = values.view("u1").data
        done = 0
        while done < size:
            got = os.preadv(self.descriptor, [target[done : done + _READ_LIMIT]], self.position + done)
            if got == 0:
                raise self.error(f"the archive is cut off: {size - done} of {size} bytes are missing")
            done += got
        self.position += size
        return values

    def dimension(self) -> int:
        size, value = struct.unpack("<Bi", self.take(5))
        if size != 4:
            raise self.error("damaged record: its dimensions are not 4-byte numbers")
        return int(value)


def _decode_array(source: _Source) -> Array:
    start = source.position
    if source.take(2) != b"\0B":
        raise source.error("no binary Kaldi record starts here (wrong offset, or a text archive)")
    first = source.take(1)
    if first == b"\4":
        source.position -= 1
        pairs = source.array(source.dimension(), _INT32_PAIR)
        if np.any(pairs["size"] != 4):
            raise source.error("damaged record: a value is not a 4-byte number")
        return pairs["value"].astype(np.int32)
    token = first + source.take(2)
    if token in (b"FV ", b"DV "):
        return source.array(source.dimension(), np.dtype("<f4" if token[:1] == b"F" else "<f8"))
    if token in (b"FM ", b"DM "):
        rows, columns = source.dimension(), source.dimension()
        if rows < 0 or columns < 0:
            raise source.error(f"damaged record: it claims {rows} x {columns} values")
        return source.array(rows * columns, np.dtype("<f4" if token[:1] == b"F" else "<f8")).reshape(rows, columns)
    if token[:2] == b"CM":
        return _decode_compressed(source, start, token)
    raise source.error(f"unknown record type {token!r}")


def _decode_compressed(source: _Source, start: int, token: bytes) -> Array:
    """Kaldi's CM, CM2 and CM3 records through kaldiio, after a check that all their bytes are there."""
    import io

    import kaldiio.matio

    if token != b"CM " and source.take(1) != b" ":
        raise source.error(f"unknown record type {token!r}")
    _, _, rows, columns = struct.unpack("<ffii", source.take(16))
    if rows < 0 or columns < 0:
        raise source.error(f"damaged record: it claims {rows} x {columns} values")
    source.take({b"CM ": 8 * columns + rows * columns, b"CM2": 2 * rows * columns, b"CM3": rows * columns}[token])
    end, source.position = source.position, start
    values = kaldiio.matio.read_kaldi(io.BytesIO(source.take(end - start)))
    return np.array(values, dtype=np.float32)


_RANGE = re.compile(r"^(?:(\d+):(\d+)|:?)(?:,(?:(\d+):(\d+)|:))?$")


def _cut(array: Array, window: str, where: str) -> Array:
    """Rows (and columns) of a scp range; both ends are included, as in Kaldi."""
    match = _RANGE.match(window)
    if match is None:
        raise DataError(f"range [{window}] is not [first:last] or [first:last,first:last]", where=where)
    bounds = [None if group is None else int(group) for group in match.groups()]
    for size, first, last in zip(array.shape, bounds[0::2], bounds[1::2], strict=False):
        if first is not None and last is not None and not first <= last < size:
            raise DataError(f"range [{window}] lies outside an array of shape {array.shape}", where=where)
    ends = [None if last is None else last + 1 for last in bounds[1::2]]
    pieces = tuple(slice(first, end) for first, end in zip(bounds[0::2], ends, strict=True))
    return array[pieces[: array.ndim]].copy()


def merge_scps(parts: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> int:
    """Join the scp files of parallel jobs into one, sorted in C order.

    Args:
        parts: the jobs' scp files.
        out: the joined file; it appears whole or not at all.

    Returns:
        The number of lines.

    Raises:
        DataError: a part is missing, or a key appears twice (names both places).
    """
    lines: dict[bytes, tuple[bytes, str]] = {}
    for part in parts:
        try:
            content = Path(part).read_bytes()
        except FileNotFoundError as error:
            raise DataError("a job's scp file is missing", where=str(part), hint="run the step again") from error
        for number, line in enumerate(content.splitlines(), start=1):
            key = line.partition(b" ")[0]
            if key in lines:
                first = lines[key][1]
                raise DataError(f"key '{key.decode()}' is also in {first}", where=f"{part}:{number}")
            lines[key] = (line, f"{part}:{number}")
    with atomic_write(out, "wb") as stream:
        stream.writelines(lines[key][0] + b"\n" for key in sorted(lines))
    return len(lines)


def check_archive(scp: str | os.PathLike[str], original: Mapping[str, str] | None = None) -> int:
    """Check that the first, middle and last record of a scp exist, carry their key, and decode.

    Args:
        scp: the scp file.
        original: key of the scp -> key in the archive, for those that were renamed since it was written.

    Returns:
        The number of lines.

    Raises:
        DataError: an archive is missing, cut off, or not the one that the scp was written for.
    """
    reader = ArchiveReader(scp)
    for line in sorted({0, len(reader) // 2, len(reader) - 1} if len(reader) else set()):
        reader.read(line)
        name, offset = reader._keys[line].decode("utf-8"), int(reader._offsets[line])
        key = (original or {}).get(name, name).encode()
        path = reader._paths[reader._path_of[line]]
        with open(path, "rb") as stream:
            stream.seek(max(0, offset - len(key) - 1))
            if stream.read(len(key) + 1) != key + b" ":
                what = f"the archive {path} does not hold '{key.decode()}' at byte {offset}"
                raise DataError(what, where=f"{scp}:{line + 1}")
    return len(reader)
