"""Archives: Kaldi's bytes, round trips, damage that must be noticed, and writers that commit all or nothing."""

import os
import pickle
import struct
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vgspeech.archive import (
    ArchiveReader,
    ArchiveWriter,
    BlobReader,
    BlobWriter,
    check_archive,
    encode_array,
    merge_scps,
)
from vgspeech.errors import DataError

kaldi_native_io = pytest.importorskip("kaldi_native_io")

ARRAYS = {
    "a-matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b-double": np.linspace(0, 1, 6).reshape(2, 3),
    "c-vector": np.array([1.5, -2.5], dtype=np.float32),
    "d-double-vector": np.array([3.0]),
    "e-codes": np.array([0, -5, 2**31 - 1], dtype=np.int32),
    "f-empty": np.zeros((0, 0), dtype=np.float32),
    "g-नमस्ते": np.full((1, 2), np.pi, dtype=np.float32),
}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with ArchiveWriter("feats/x.ark", "feats/x.scp") as writer:
        for key, array in ARRAYS.items():
            writer.write(key, array)
    return tmp_path / "feats" / "x.scp"


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_round_trip_keeps_types_and_order(archive: Path) -> None:
    reader = ArchiveReader(archive)
    assert list(reader) == list(ARRAYS)
    for key, array in ARRAYS.items():
        assert_same(reader[key], array)
    reader["a-matrix"][:] = 0  # writable, and a copy
    assert reader["a-matrix"].sum() > 0
    assert "z" not in reader and "a-matrix-longer-than-every-key-in-the-archive" not in reader
    with pytest.raises(KeyError):
        reader["z"]


def test_bytes_are_kaldis(tmp_path: Path) -> None:
    """The oracle is Kaldi's own code in kaldi_native_io."""
    theirs, ours = tmp_path / "theirs.ark", tmp_path / "ours.ark"
    matrix, vector = ARRAYS["a-matrix"], ARRAYS["c-vector"]
    for key, writer, array in [
        ("m", kaldi_native_io.FloatMatrixWriter, matrix),
        ("v", kaldi_native_io.FloatVectorWriter, vector),
        ("d", kaldi_native_io.DoubleMatrixWriter, ARRAYS["b-double"]),
        ("i", kaldi_native_io.Int32VectorWriter, ARRAYS["e-codes"]),
    ]:
        with writer(f"ark:{theirs}") as stream:
            stream.write(key, array.tolist() if array.dtype == np.int32 else array)
        with ArchiveWriter(ours, tmp_path / "ours.scp") as own:
            own.write(key, array)
        assert ours.read_bytes() == theirs.read_bytes(), key


def test_kaldi_reads_ours(archive: Path) -> None:
    with kaldi_native_io.RandomAccessFloatMatrixReader(f"scp:{archive}") as reader:
        np.testing.assert_array_equal(reader["a-matrix"], ARRAYS["a-matrix"])
    with kaldi_native_io.RandomAccessInt32VectorReader(f"scp:{archive}") as reader:
        assert list(reader["e-codes"]) == ARRAYS["e-codes"].tolist()


@pytest.mark.parametrize("method", [2, 3, 5])
def test_compressed_records(tmp_path: Path, method: int) -> None:
    matrix = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    name = str(tmp_path / "c")
    kaldiio.save_ark(f"{name}.ark", {"u": matrix}, scp=f"{name}.scp", compression_method=method)
    assert_same(ArchiveReader(f"{name}.scp")["u"], np.asarray(kaldiio.load_mat(f"{name}.ark:2"), dtype=np.float32))
    np.testing.assert_allclose(ArchiveReader(f"{name}.scp")["u"], matrix, atol=0.1)
    (tmp_path / "c.ark").write_bytes((tmp_path / "c.ark").read_bytes()[:-3])
    with pytest.raises(DataError, match="cut off: 3 of"):
        ArchiveReader(f"{name}.scp")["u"]


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.dtype("f4"), np.dtype("f8")]),
        hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5),
    )
)
def test_any_array_round_trips(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("any")
    with ArchiveWriter(folder / "x.ark", folder / "x.scp") as writer:
        writer.write("k", array)
    assert_same(ArchiveReader(folder / "x.scp")["k"], array)


def test_every_truncation_is_noticed(archive: Path) -> None:
    ark = archive.with_suffix(".ark")
    whole = ark.read_bytes()
    reader = ArchiveReader(archive)
    offsets = [int(line.rsplit(":", 1)[1]) for line in archive.read_text(encoding="utf-8").splitlines()]
    for line, key in enumerate(ARRAYS):
        for size in range(offsets[line], offsets[line] + len(encode_array(ARRAYS[key]))):
            ark.write_bytes(whole[:size])
            with pytest.raises(DataError, match=key):
                reader.read(line)
    ark.write_bytes(whole)
    assert_same(reader["a-matrix"], ARRAYS["a-matrix"])


def test_messages_say_key_archive_and_offset(archive: Path) -> None:
    text = archive.read_text(encoding="utf-8")
    archive.write_text(text.replace("x.ark:9\n", "x.ark:10\n"), encoding="utf-8")
    with pytest.raises(DataError, match=r"'a-matrix' at feats/x.ark:10: no binary Kaldi record"):
        ArchiveReader(archive)["a-matrix"]
    archive.write_text("a feats/none.ark:3\n", encoding="utf-8")
    os.mkfifo("feats/pipe.ark")
    for name in ("feats", "feats/pipe.ark"):
        Path("feats/odd.scp").write_text(f"a {name}:3\n")
        with pytest.raises(DataError, match=rf"'a' at {name}:3: cannot open the archive: it is not a file"):
            ArchiveReader("feats/odd.scp")["a"]
    with pytest.raises(DataError, match=r"'a' at feats/none\.ark:3: cannot open the archive"):
        ArchiveReader(archive)["a"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\0BFM \4" + struct.pack("<i", -1) + b"\4" + struct.pack("<i", 3), "claims -1 x 3"),
        (b"\0BFM \4" + struct.pack("<i", 2**30) + b"\4" + struct.pack("<i", 2**30), "cut off"),
        (b"\0BFM \7" + struct.pack("<i", 1) + b"\4" + struct.pack("<i", 3), "not 4-byte"),
        (b"\0BXX " + b"\4" + bytes(20), "unknown record type"),
        (b"\0B\4" + struct.pack("<i", 1) + b"\5" + struct.pack("<i", 3), "not a 4-byte"),
        (b"PKL" + pickle.dumps([1]), "no binary Kaldi record"),
    ],
)
def test_damaged_records(tmp_path: Path, record: bytes, message: str) -> None:
    (tmp_path / "x.ark").write_bytes(b"k " + record)
    (tmp_path / "x.scp").write_text(f"k {tmp_path}/x.ark:2\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        ArchiveReader(tmp_path / "x.scp")["k"]


def test_a_failed_writer_leaves_what_was_there(archive: Path) -> None:
    before = {path.name: path.read_bytes() for path in archive.parent.iterdir()}
    with pytest.raises(RuntimeError, match="stop"), ArchiveWriter(archive.with_suffix(".ark"), archive) as writer:
        writer.write("new", ARRAYS["a-matrix"])
        raise RuntimeError("stop")
    assert {path.name: path.read_bytes() for path in archive.parent.iterdir()} == before


def test_paths_are_relative_to_the_work_directory(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert archive.read_text(encoding="utf-8").startswith("a-matrix feats/x.ark:9\n")
    outside = tmp_path_factory.mktemp("outside")
    with ArchiveWriter(outside / "y.ark", outside / "y.scp") as writer:
        writer.write("k", ARRAYS["c-vector"])
    assert (outside / "y.scp").read_text(encoding="utf-8") == f"k {outside}/y.ark:2\n"


@pytest.mark.parametrize("key", ["", "a b", "a\tb"])
def test_bad_keys_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(DataError), ArchiveWriter(tmp_path / "x.ark", tmp_path / "x.scp") as writer:
        writer.write(key, ARRAYS["c-vector"])
    assert not list(tmp_path.iterdir())


def test_other_types_are_refused(tmp_path: Path) -> None:
    for array in (np.zeros(3, np.int64), np.zeros((2, 2), np.float16), np.zeros((1, 1, 1), np.float32)):
        with pytest.raises(TypeError, match="an archive holds"):
            encode_array(array)


def test_reader_copies_are_small_and_work(archive: Path) -> None:
    reader = ArchiveReader(archive)
    assert_same(reader["a-matrix"], ARRAYS["a-matrix"])
    again = pickle.loads(pickle.dumps(reader))
    assert_same(again["e-codes"], ARRAYS["e-codes"])


def test_no_more_than_64_archives_open(tmp_path: Path) -> None:
    lines = []
    for number in range(70):
        with ArchiveWriter(tmp_path / f"{number}.ark", tmp_path / "x.scp") as writer:
            writer.write(f"k{number:02d}", np.full(1, number, np.float32))
        lines.append((tmp_path / "x.scp").read_text(encoding="utf-8"))
    (tmp_path / "all.scp").write_text("".join(lines), encoding="utf-8")
    reader = ArchiveReader(tmp_path / "all.scp")
    assert [float(reader[key][0]) for key in reader] == list(range(70))
    assert len(reader._open) == 64
    reader.close()


def test_ranges(archive: Path) -> None:
    line = archive.read_text(encoding="utf-8").splitlines()[0]
    for window, expected in [("1:2", np.s_[1:3]), ("0:1,2:3", np.s_[0:2, 2:4]), (":,1:1", np.s_[:, 1:2])]:
        archive.write_text(f"{line}[{window}]\n", encoding="utf-8")
        assert_same(ArchiveReader(archive)["a-matrix"], ARRAYS["a-matrix"][expected])
    for window in ("1:3", "2:1", "x"):
        archive.write_text(f"{line}[{window}]\n", encoding="utf-8")
        with pytest.raises(DataError, match="range"):
            ArchiveReader(archive)["a-matrix"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a x.ark:1\nb x.ark\n", "x.scp:2: expected 'key archive:offset'"),
        ("a cat y |\n", "x.scp:1: expected"),
        ("b x.ark:1\nc x.ark:2\nb x.ark:3\n", "x.scp:3: key 'b' appears twice"),
    ],
)
def test_bad_scp_lines(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.scp").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        ArchiveReader(tmp_path / "x.scp")


def test_unsorted_scp_is_read_in_its_own_order(archive: Path) -> None:
    lines = archive.read_text(encoding="utf-8").splitlines(keepends=True)
    archive.write_text("".join(reversed(lines)), encoding="utf-8")
    reader = ArchiveReader(archive)
    assert list(reader) == list(reversed(ARRAYS))
    for key, array in ARRAYS.items():
        assert_same(reader[key], array)


def test_merge_sorts_and_refuses_duplicates(tmp_path: Path) -> None:
    (tmp_path / "1.scp").write_text("b x:2\nZ x:3\n", encoding="utf-8")
    (tmp_path / "2.scp").write_text("é y:9\na-b y:4\na y:2\n", encoding="utf-8")
    assert merge_scps([tmp_path / "1.scp", tmp_path / "2.scp"], tmp_path / "all.scp") == 5
    assert (tmp_path / "all.scp").read_text(encoding="utf-8") == "Z x:3\na y:2\na-b y:4\nb x:2\né y:9\n"
    (tmp_path / "2.scp").write_text("c y:1\nZ y:4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"2.scp:2: key 'Z' is also in .*1.scp:2"):
        merge_scps([tmp_path / "1.scp", tmp_path / "2.scp"], tmp_path / "all.scp")
    with pytest.raises(DataError, match=r"3\.scp"):
        merge_scps([tmp_path / "3.scp"], tmp_path / "all.scp")
    assert (tmp_path / "all.scp").read_text(encoding="utf-8").startswith("Z x:3")


def test_check_archive_finds_an_archive_of_another_run(archive: Path) -> None:
    assert check_archive(archive) == len(ARRAYS)
    ark = archive.with_suffix(".ark")
    ark.write_bytes(ark.read_bytes().replace(b"a-matrix ", b"b-matrix "))
    with pytest.raises(DataError, match="does not hold 'a-matrix' at byte 9"):
        check_archive(archive)


def test_blobs(tmp_path: Path) -> None:
    scp, ark = tmp_path / "p.scp", tmp_path / "p.ark"
    files = {"a": b"", "b": b"\x00\xff" * 100}
    with BlobWriter(ark, scp) as writer:
        for key, data in files.items():
            writer.write(key, data)
    assert dict(BlobReader(scp)) == files
    whole = ark.read_bytes()
    ark.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"'b' at .*: the archive is cut off: 1 of 200 bytes"):
        BlobReader(scp)["b"]
    ark.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match="checksum"):
        BlobReader(scp)["b"]
    with pytest.raises(DataError, match="no binary Kaldi record"):
        ArchiveReader(scp)["b"]
