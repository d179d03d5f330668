"""Every script that prepares a corpus: what it explains, and that it reads the corpus and leaves it as it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import lookalikes
from clip_files import spoken_moments
from small_release import SmallRelease, write_image, write_wav
from vgspeech.datadir import ImageSet

ROOT = Path(__file__).parents[2]


class Corpus(NamedTuple):
    """How a look-alike is made below a folder, the options that name it, and a file of its metadata."""

    make: Callable[[Path], object]
    options: tuple[str, ...]
    metadata: str


def places(root: Path) -> None:
    small = SmallRelease(root)
    names = {split: [record["image"] for record in small.english[split]] for split in ("train", "dev", "test")}
    lookalikes.japanese(root, {"train": names["train"], "valid": names["dev"], "test": names["test"]})


def own(root: Path) -> None:
    lines = ["image\twav\tlang\tspeaker\tsplit"]
    for number in range(9):
        write_image(root / f"own/{number}.jpg")
        write_wav(root / f"own/{number}.wav", 0.4)
        lines.append(f"{number}.jpg\t{number}.wav\tfr\tawa\t{('train', 'dev', 'test')[number % 3]}")
    (root / "own/manifest.tsv").write_text("\n".join(lines) + "\n")


CORPORA = {
    "places": Corpus(
        places, ("--places-audio", "PlacesAudio_small", "--images", "images"), "PlacesAudio_small/metadata/train.json"
    ),
    "places_hindi": Corpus(
        places, ("--hindi-audio", "PlacesHindi_small", "--places-audio", "PlacesAudio_small", "--images", "images"),
        "PlacesHindi_small/PlacesHindi_small_train.json",
    ),
    "places_japanese": Corpus(
        places,
        (
            "--japanese-audio", "ja", "--hindi-audio", "PlacesHindi_small", "--places-audio", "PlacesAudio_small",
            "--images", "images",
        ),
        "ja/PlacesAudioJpn_100k_image2audio_train.txt",
    ),
    "flickr8k_audio": Corpus(
        lookalikes.flickr8k, ("--flickr-audio", "audio", "--flickr-text", "text", "--images", "images"), "audio/wav2capt.txt"
    ),
    "spokencoco": Corpus(
        lookalikes.spoken_coco, ("--spoken-coco", "coco", "--images", "images"), "coco/SpokenCOCO_train.json"
    ),
    "speechcoco": Corpus(
        lookalikes.speech_coco, ("--speech-coco", "speech", "--images", "images"),
        "speech/train2014/json/1_10_Phil_None_0-9.json",
    ),
    "spoken_objectnet": Corpus(
        lookalikes.objectnet, ("--objectnet-audio", "son", "--images", "images"), "son/metadata/SON-train.json"
    ),
    "spoken_moments": Corpus(
        spoken_moments, ("--spoken-moments", "smit", "--videos", "videos"), "smit/metadata/spoken_moments_train.json"
    ),
    "manifest": Corpus(own, ("--manifest", "own/manifest.tsv"), "own/manifest.tsv"),
}  # fmt: skip


def script(name: str, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib"), "OMP_NUM_THREADS": "1"}
    command = [ROOT / f"local/{name}_data_prep.sh", *options]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def content(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Digest, time and mode of everything below a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "", path.stat().st_mtime_ns, path.stat().st_mode
        )
        for path in folder.rglob("*")
    }  # fmt: skip


def test_all_scripts_are_here() -> None:
    found = {path.name.removesuffix("_data_prep.sh") for path in (ROOT / "local").glob("*_data_prep.sh")}
    assert found == {*CORPORA, "mini"}


@pytest.mark.parametrize("name", CORPORA)
def test_help_draws_the_tree_and_says_whose_the_corpus_is(name: str, tmp_path: Path) -> None:
    done = script(name, "--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "" and list(tmp_path.iterdir()) == []
    text = " ".join(done.stdout.split())
    for word in ("--subset", "--allow-overlap", "--max-bad", "--nj", "rejected", "An interrupted run is simply started again"):
        assert word in text, word
    if name == "manifest":  # one's own recordings
        assert "is written where the recordings are" in text
    else:
        assert "Where to get it" in text and ("licence" in text or "CC BY" in text)
        assert "Nothing is written into the release" in text


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_is_read_and_stays_as_it_was(name: str, tmp_path: Path) -> None:
    """All folders are read-only (which root may ignore, so contents are compared too); a second run gives the same bytes, and
    goes on over what an interrupted one left."""
    corpus, work = tmp_path / "corpus", tmp_path / "work"
    corpus.mkdir()
    work.mkdir()
    CORPORA[name].make(corpus)
    folders = [corpus, *(path for path in corpus.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    before = content(corpus)
    options = [word if word.startswith("--") else str(corpus / word) for word in CORPORA[name].options]
    try:
        done = script(name, *options, "--nj", "1", "data/x", cwd=work)
        assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("prepared data/x: "), done.stderr
        made = {path: value[0] for path, value in content(work).items()}
        images = len(ImageSet.load(work / "data/x/images/train").pictures)
        assert images > 1
        for left in (work / "data/x/speech").iterdir():  # as if it had been cut off before its last tables
            (left / "utt2image").unlink()
        again = script(name, *options, "--nj", "1", "data/x", cwd=work)
        assert again.stdout == done.stdout and {path: value[0] for path, value in content(work).items()} == made
        fewer = script(name, *options, "--nj", "1", "--subset", "1", "--max-bad", "0.5", "data/few", cwd=work)
        assert fewer.returncode == 0, fewer.stderr
        assert len(ImageSet.load(work / "data/few/images/train").pictures) == 1
        assert content(corpus) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_without_its_metadata_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    CORPORA[name].make(tmp_path)
    metadata = tmp_path / CORPORA[name].metadata
    shutil.rmtree(metadata.parent)
    done = script(name, *CORPORA[name].options, "data/x", cwd=tmp_path)
    assert done.returncode == 4 and not (tmp_path / "data").exists()
    assert "Traceback" not in done.stderr and metadata.parent.name in done.stderr


def share(metadata: Path, other: Path, key: str = "image") -> None:
    """Let the first record of one metadata file describe the picture of the first of another."""
    top = json.loads(metadata.read_text("utf-8"))
    top["data"][0][key] = json.loads(other.read_text("utf-8"))["data"][0][key]
    metadata.write_text(json.dumps(top), encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def leak_places(root: Path) -> None:
    """The release of 2020; an image of train also in dev_unseen."""
    folder = root / "PlacesAudio_small/metadata"
    for old, new in (("train", "train_2020"), ("val", "dev_seen_2020"), ("test", "dev_unseen_2020")):
        (folder / f"{old}.json").rename(folder / f"{new}.json")
    share(folder / "dev_unseen_2020.json", folder / "train_2020.json")


def leak_spoken_coco(root: Path) -> None:
    records = [json.loads((root / f"coco/SpokenCOCO_{split}.json").read_text())["data"] for split in ("train", "val")]
    lookalikes.write_data(root / "coco/SpokenCOCO_val.json", [*records[1], records[0][0]])


class Leak(NamedTuple):
    """How a look-alike is made to share an image between splits, and what is said of it."""

    make: Callable[[Path], object]
    said: str
    options: tuple[str, ...] = ()
    """Of the script, where they are not those of CORPORA."""


HINDI = "PlacesHindi_small/PlacesHindi_small_{}.json"
LEAKS = {
    "places": Leak(leak_places, "dev_unseen and train share 1 image (t%2Ftrain%2Fimg%200)"),
    "places_hindi": Leak(
        lambda root: share(root / HINDI.format("test"), root / HINDI.format("train")),
        "test and train share 1 image (t%2Ftrain%2Fimg%200)",
    ),
    "places_japanese": Leak(
        lambda root: replace(root / "ja/PlacesAudioJpn_100k_image2audio_valid.txt", "/d/dev/img 0", "/t/train/img 0"),
        "dev and train share 1 image (t%2Ftrain%2Fimg%200)", ("--japanese-audio", "ja", "--images", "images"),
    ),
    "spokencoco": Leak(leak_spoken_coco, "dev and train share 1 image (train2014%2FCOCO_train2014_000000000001)"),
    "spoken_objectnet": Leak(
        lambda root: share(root / "son/metadata/SON-val.json", root / "son/metadata/SON-train.json"),
        "dev and train share 1 image (chair%2Ftrain0)",
    ),
    "spoken_moments": Leak(
        lambda root: replace(root / "smit/metadata/test.tsv", "test 0.mp4", "train 0.mp4"),
        "test and train share 1 image (training%2Frunning%2Ftrain%200)",
    ),
    "manifest": Leak(
        lambda root: replace(root / "own/manifest.tsv", "1.jpg", "0.jpg"), "train and dev share 1 image (0)"
    ),
    "manifest, speakers apart": Leak(
        lambda root: None, "train and dev share 1 speaker (awa)", ("--manifest", "own/manifest.tsv", "--speakers-apart", "true")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LEAKS)
def test_splits_that_leak_are_refused_with_numbers_unless_allowed(case: str, tmp_path: Path) -> None:
    name = case.partition(",")[0]
    CORPORA[name].make(tmp_path)
    LEAKS[case].make(tmp_path)
    options = [*(LEAKS[case].options or CORPORA[name].options), "--nj", "1"]
    refused = script(name, *options, "data/x", cwd=tmp_path)
    assert refused.returncode == 4 and LEAKS[case].said in refused.stderr and "--allow-overlap true" in refused.stderr
    assert not (tmp_path / "data").exists()
    allowed = script(name, *options, "--allow-overlap", "true", "data/x", cwd=tmp_path)
    assert allowed.returncode == 0, allowed.stderr
    assert f"note: {LEAKS[case].said}" in allowed.stdout


def test_scripts_whose_splits_cannot_leak_are_known() -> None:
    """Flickr8k: an image of two lists counts for one; SPEECH-COCO: an image's name says its split."""
    assert {case.partition(",")[0] for case in LEAKS} == CORPORA.keys() - {"flickr8k_audio", "speechcoco"}
