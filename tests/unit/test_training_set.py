"""Ids and pairs of a training set: compact, in the right order, and refused with file and line when wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from micro_corpus import make_corpus, micro_config
from vgspeech.archive import ArchiveReader
from vgspeech.errors import DataError
from vgspeech.tables import read_pairs, read_table, write_table
from vgspeech.training.data import EpochBatches, plan_epoch
from vgspeech.training.training_set import load_training_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), {"train": 13}, captions=2, skip_hindi=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\nb 2", ":2: the last line has no newline"),
        ("b 1\na 2\n", ":2: 'a' comes after 'b'"),
        ("a 1\na 2\n", ":2: 'a' appears twice"),
        ("a 1\nb\n", ":2: 'b' has no value"),
        ("a 1\n b 2\n", ":2: starts with a blank"),
        ("a 1\nb 2 \n", ":2: the value of 'b' starts or ends with a blank"),
        ("a 1\r\nb 2\r\n", ":1: has a carriage return"),
        ("a 1\nb/c 2\n", ":2: id 'b/c'"),
        ("a 1\nb 2 3\n", ":2: the value '2 3' is more than one word"),
        ("a 1\n\nb 2\n", ":2: is empty"),
    ],
)
def test_pairs_are_read_by_the_rules_of_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "utt2image"
    path.write_bytes(text.encode())
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert message in str(caught.value)


def test_pairs_are_what_the_table_holds(tmp_path: Path) -> None:
    for table in ({"a-1": "x%2Fy", "b": "x/y"}, {"हि-1": "तस्वीर", "हि-2": "b"}, {}):
        write_table(tmp_path / "t", table)
        keys, values = read_pairs(tmp_path / "t")
        read = {key.decode(): value.decode() for key, value in zip(keys, values, strict=True)}
        assert read == table == read_table(tmp_path / "t")


def test_captions_are_those_of_their_image_in_order(corpus: Path) -> None:
    data = load_training_set(micro_config(), corpus, "train")
    assert list(data.image_ids) == [f"train-{n:03}" for n in range(13)] and data.image_ids[-1] == "train-012"
    for language, captions in data.captions.items():
        table = read_table(corpus / f"speech/train_{language}/utt2image")
        for image in range(13):
            spoken = captions.ids[captions.first[image] : captions.first[image + 1]]
            assert spoken == sorted(u for u, i in table.items() if i == data.image_ids[image])
        frames, offsets, lengths = captions.features.take(np.array([4]))
        stored = ArchiveReader(corpus / f"speech/train_{language}/feats/fbank.scp")[captions.ids[4]]
        assert int(lengths[0]) == len(stored) and offsets[0] + lengths[0] <= len(frames)


def test_an_utterance_without_an_image_is_named(tmp_path: Path) -> None:
    data = make_corpus(tmp_path, {"train": 4})
    table = read_table(data / "speech/train_hi/utt2image")
    del table["train-002-0"]
    write_table(data / "speech/train_hi/utt2image", table)
    with pytest.raises(DataError, match=r"'train-002-0' has features but no image"):
        load_training_set(micro_config(), data, "train")
    write_table(data / "speech/train_hi/utt2image", {**table, "train-002-0": "nowhere"})
    loaded = load_training_set(micro_config(), data, "train")  # its image was rejected by stage 2, which lists it
    assert len(loaded.captions["hi"].ids) == 3 and len(loaded.image_ids) == 4


def test_batches_by_length_hold_every_image_once_and_less_padding(tmp_path: Path) -> None:
    data = load_training_set(micro_config(length_pool=8), make_corpus(tmp_path, {"train": 60}), "train")
    waste = []
    for pool in (0, 8):
        plans = plan_epoch(data, 5, 1, 1, pool)
        assert sorted(np.concatenate([plan.images for plan in plans])) == list(range(60))
        frames = [data.captions["en"].frames[plan.captions["en"]] for plan in plans]  # type: ignore[index]
        waste.append(sum(int(len(n) * n.max() - n.sum()) for n in frames))
    assert waste[1] < 0.7 * waste[0]


def test_random_crops_of_long_captions(corpus: Path) -> None:
    config = micro_config(max_frames=15)
    config = dataclasses.replace(config, augment=dataclasses.replace(config.augment, random_crop=True, tempo=0.0))
    data = load_training_set(config, corpus, "train")
    batches = [EpochBatches(data, config, epoch, 0, 1)[0] for epoch in range(1, 4)]
    assert all(int(batch.speech["en"][1].max()) == 15 for batch in batches)
    starts = set()
    for epoch in range(1, 30):
        batch = EpochBatches(data, config, epoch, 0, 1)[0]
        caption = data.captions["en"].ids[int(batch.plan.captions["en"][0])]
        stored = ArchiveReader(corpus / "speech/train_en/feats/fbank.scp")[caption]
        starts.add(_place(batch.speech["en"][0][0].numpy(), (stored - stored.mean(0)) / stored.std(0)))
    assert len(starts) > 5


def _place(stretch: np.ndarray, whole: np.ndarray) -> int:
    """Where a stretch, some of it masked, was cut out."""
    distances = [np.abs(stretch - whole[n : n + 15])[stretch != 0].max() for n in range(len(whole) - 14)]
    assert min(distances) < 1e-2
    return int(np.argmin(distances))
