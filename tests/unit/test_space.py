"""A disk without room: told before writing where that can be known, and nothing incomplete left where it cannot."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
import torch

from micro_corpus import FRONT_END, make_corpus, micro_config
from vgspeech import embedding, files
from vgspeech.archive import ArchiveReader
from vgspeech.datadir import ImageSet, SpeechSet, write_image_set, write_speech_set
from vgspeech.errors import DataError
from vgspeech.features import expected_bytes, make_features
from vgspeech.files import atomic_write, file_system, need_space
from vgspeech.images import pack_images
from vgspeech.models import build_model


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with 10,000 bytes free."""
    monkeypatch.setattr(files, "free_bytes", lambda path: 10_000)


def test_the_message_has_file_system_needed_free_and_remedy(no_room: None, tmp_path: Path) -> None:
    need_space(tmp_path, 10_000, "features of a")
    with pytest.raises(DataError) as caught:
        need_space(tmp_path / "not/there/yet.ark", 123_456.7, "features of a")
    text = str(caught.value)
    assert f"features of a need about 123,457 bytes; the file system {file_system(tmp_path)} has 10,000 bytes free" in text
    assert "--dir" in text


def test_the_file_system_is_a_mount_point(tmp_path: Path) -> None:
    assert os.path.ismount(file_system(tmp_path / "none/such"))
    assert file_system("/proc/self/status") == "/proc"


def speech_set(folder: Path, count: int = 10, seconds: float = 100.0) -> SpeechSet:
    ids = [f"s-{number:02}" for number in range(count)]
    tables = {name: dict.fromkeys(ids, value) for name, value in (("spk", "s"), ("lang", "en"), ("image", "i"))}
    write_speech_set(
        folder,
        wav=dict.fromkeys(ids, "none.wav"),
        utt2spk=tables["spk"],
        utt2lang=tables["lang"],
        utt2dur=dict.fromkeys(ids, seconds),
        utt2image=tables["image"],
    )
    return SpeechSet.load(folder)


def test_features_are_refused_by_the_first_job_for_all(no_room: None, tmp_path: Path) -> None:
    speech = speech_set(tmp_path / "train_en", seconds=0.4)
    assert 10_000 < expected_bytes(speech, speech.ids, FRONT_END) < 20_000
    with pytest.raises(DataError, match=r"fbank features of train_en need about 1[0-9],[0-9]{3} bytes"):
        make_features(speech, FRONT_END, 1, 5)
    assert not list((tmp_path / "train_en").glob("feats/*"))
    make_features(speech, FRONT_END, 5, 5)  # the last job needs room for its own share only


def test_the_size_of_features_is_that_of_the_archive(tmp_path: Path) -> None:
    data = make_corpus(tmp_path, {"train": 8})
    frames = {key: len(value) for key, value in ArchiveReader(data / "speech/train_en/feats/fbank.scp").items()}
    speech = speech_set(tmp_path / "set", count=8, seconds=sum(frames.values()) / 8 * FRONT_END.frame_shift_ms / 1000)
    written = sum(path.stat().st_size for path in (data / "speech/train_en/feats").glob("fbank*.[as]*[kp]"))
    assert expected_bytes(speech, speech.ids, FRONT_END) == pytest.approx(written, rel=0.15)


def test_images_are_refused_by_the_size_of_their_files(no_room: None, tmp_path: Path) -> None:
    paths = {}
    for number in range(12):
        paths[f"i{number:02}"] = str(tmp_path / f"{number}.jpg")
        Path(paths[f"i{number:02}"]).write_bytes(bytes(1000))
    write_image_set(tmp_path / "train", paths=paths, sizes=dict.fromkeys(paths, (64, 64)))
    with pytest.raises(DataError, match="packed images of train need about 12,000 bytes"):
        pack_images(ImageSet.load(tmp_path / "train"), 1, 2)
    assert not list((tmp_path / "train").glob("*packed*"))
    pack_images(ImageSet.load(tmp_path / "train"), 2, 2)


def test_embeddings_are_refused_after_the_first_block(no_room: None, tmp_path: Path) -> None:
    data = make_corpus(tmp_path, {"train": 60})
    torch.manual_seed(0)
    model = build_model(micro_config()).eval()
    features = ArchiveReader(data / "speech/train_en/feats/fbank.scp")
    blocks = embedding.blocks_of_job(features, 1, 1)
    embedded = embedding.embed_speech(model, "en", features, blocks)
    with pytest.raises(DataError, match="embeddings of train_en need about"):
        list(embedding.with_room_for_all(embedded, tmp_path / "x", list(features), 1, 1, "embeddings of train_en"))


def test_with_room_nothing_is_lost(tmp_path: Path) -> None:
    items = [(str(number), torch.full((2, 3), float(number))) for number in range(40)]
    ids = [name for name, _ in items]
    passed = list(embedding.with_room_for_all(iter(items), tmp_path, ids, 1, 2, "x"))
    assert [name for name, _ in passed] == ids
    assert list(embedding.with_room_for_all(iter([]), tmp_path, [], 1, 1, "x")) == []


def test_a_full_disk_is_told_whatever_error_it_comes_as(tmp_path: Path) -> None:
    """torch.save raises an error of its own while it handles that of the file."""
    with pytest.raises(DataError, match="no space left on the file system"), atomic_write(tmp_path / "x.pt", "wb"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  # raised as torch does
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="other"), atomic_write(tmp_path / "x.pt", "wb"):
        raise RuntimeError("other")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_of_one_megabyte(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "vgspeech-test", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        with pytest.raises(DataError, match=f"no space left on the file system {tmp_path} "), atomic_write(
            tmp_path / "x.pt", "wb"
        ) as stream:
            torch.save({"weights": torch.zeros(10**6)}, stream)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
