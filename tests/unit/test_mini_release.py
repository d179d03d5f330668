"""The mini corpus as a release: layout, the same bytes for any number of jobs, resuming."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vgspeech.corpora.mini import release as release_module
from vgspeech.corpora.mini.config import SPLITS, MiniCorpusConfig
from vgspeech.corpora.mini.release import finish_release, make_share
from vgspeech.errors import DriftError, UsageError

TINY = MiniCorpusConfig(train_scenes=27, dev_scenes=3, test_scenes=3, test_unseen_scenes=3, missing_text=0.2)
BOTH = ("en", "hi")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    release = tmp_path_factory.mktemp("mini") / "release"
    finish_release(TINY, BOTH, release)
    return release


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_layout_is_that_of_the_releases(tiny: Path) -> None:
    objects = (tiny / "truth/objects.tsv").read_text().splitlines()
    assert objects[0].split("\t") == ["image", "concept", "colour", "x0", "y0", "x1", "y1"]
    ctm = (tiny / "truth/ctm_hi").read_text(encoding="utf-8").splitlines()
    without_text = 0
    for split in SPLITS:
        english = json.loads((tiny / f"PlacesAudio_mini/metadata/{split}.json").read_text())
        hindi = json.loads((tiny / f"PlacesHindi_mini/PlacesHindi_mini_{split}.json").read_text())
        assert list(english) == list(hindi) == ["image_base_path", "audio_base_path", "data"]
        assert [e["image"] for e in english["data"]] == [h["image"] for h in hindi["data"]]
        assert len(english["data"]) == TINY.scenes(split)
        for item in english["data"]:
            assert list(item) == ["uttid", "speaker", "asr_text", "wav", "image", "text_alignment"]
            assert item["uttid"].startswith(item["speaker"] + "-")
            assert item["speaker"] in TINY.speakers(split)
            aligned = [word.split("__") for word in item["text_alignment"].split()]
            assert [word for _, word, _ in aligned] == item["asr_text"].upper().split()
            with wave.open(str(tiny / "PlacesAudio_mini" / item["wav"])) as stream:
                assert float(aligned[-1][2]) <= stream.getnframes() / 16000
            assert Image.open(tiny / "images" / item["image"]).size == (128, 128)
            assert sum(line.startswith(item["image"]) for line in objects) in (2, 3)
        for item in hindi["data"]:
            assert "uttid" not in item and item["wav"].startswith(f"data/hindi_wavs/{split}/")
            wav = item["wav"].removeprefix("data/")
            assert (tiny / "PlacesHindi_mini" / wav).exists()
            words = [line.split()[4] for line in ctm if line.startswith(wav + " ")]
            assert words == item.get("asr_text", " ".join(words)).split() and words
            without_text += "asr_text" not in item
    assert 0 < without_text < 36 / 2
    assert (
        (tiny / "truth/lexicon.tsv").read_text(encoding="utf-8").startswith("concept\ten\thi\ncat\tcat|kitten\tबिल्ली\n")
    )


def test_masks_and_boxes_agree(tiny: Path) -> None:
    boxes = [line.split("\t") for line in (tiny / "truth/objects.tsv").read_text().splitlines()[1:]]
    masks = [json.loads(line) for line in (tiny / "truth/masks.jsonl").read_text().splitlines()]
    assert len(boxes) == len(masks)
    for (image, concept, _, *box), mask in zip(boxes, masks, strict=True):
        assert (image, concept) == (mask["image"], mask["concept"])
        counts = mask["counts"]
        flat = np.repeat(np.arange(len(counts)) % 2, counts)
        pixels = flat.reshape(mask["size"], order="F")
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        assert [int(v) for v in box] == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_sums_name_every_file(tiny: Path) -> None:
    lines = (tiny / "SHA256SUMS").read_text().splitlines()
    sums = {path: digest for digest, path in (line.split("  ") for line in lines)}
    files = contents(tiny)
    assert files.pop("SHA256SUMS")
    assert files == sums


def test_the_same_bytes_for_any_number_of_jobs_and_after_a_stop(tiny: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    command = [sys.executable, "-m", "vgspeech.bin.make_mini_corpus", str(release), "--langs", "hi en", "--nj", "3"]
    for key in ("train_scenes=27", "dev_scenes=3", "test_scenes=3", "test_unseen_scenes=3", "missing_text=.2"):
        command += ["--set", key]
    made = subprocess.run([*command, "--job", "2"], capture_output=True, text=True, check=True)
    assert made.stdout == "make_mini_corpus: job 2 of 3 made 2 blocks of scenes\n"
    assert not release.exists()
    # A stop in the middle of a block: its files are half there, its record isn't.
    (part,) = tmp_path.glob(".release.*.part")
    (part / "blocks/test_unseen.0.json").unlink()
    next(part.rglob("*.wav")).write_bytes(b"half")
    (part / "images/.gsun_0.jpg.1.tmp").write_bytes(b"half")
    for job in ("3", "1"):
        subprocess.run([*command, "--job", job], capture_output=True, check=True)
    subprocess.run([*command, "--job", "2"], capture_output=True, check=True)
    assert not release.exists()
    (part / "blocks/dev.0.json").unlink()
    (part / "blocks/train.25.json").unlink()
    closing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert closing.startswith(f"make_mini_corpus: {release} holds 36 scenes and 72 captions")
    assert contents(release) == contents(tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_english_is_the_same_without_hindi(tiny: Path, tmp_path: Path) -> None:
    finish_release(TINY, ("en",), tmp_path / "release")
    alone, both = contents(tmp_path / "release"), contents(tiny)
    own = {"SHA256SUMS", "release.json", "truth/lexicon.tsv"}
    assert {path: digest for path, digest in alone.items() if path not in own} == {
        path: digest
        for path, digest in both.items()
        if path not in own and not path.startswith("PlacesHindi_mini/") and not path.endswith("_hi")
    }


def test_a_finished_release_is_left_alone_and_never_mixed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    monkeypatch.setattr(release_module, "make_block", lambda *_: pytest.fail("nothing is left to make"))
    assert make_share(TINY, BOTH, tiny, 1, 2) == 0
    summary = finish_release(TINY, BOTH, tiny)
    assert (summary.scenes, summary.captions) == (36, 72)
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before
    other = MiniCorpusConfig(train_scenes=27, dev_scenes=3, test_scenes=3, test_unseen_scenes=3, missing_text=0.3)
    with pytest.raises(DriftError, match=r"missing_text \(was 0.2, now 0.3\)"):
        finish_release(other, BOTH, tiny)
    with pytest.raises(DriftError, match=r"languages \(was \['en', 'hi'\], now \['en'\]\)"):
        finish_release(TINY, ("en",), tiny)


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    with pytest.raises(DriftError, match="no mini corpus"):
        finish_release(TINY, BOTH, tmp_path / "release")


def test_a_changed_seed_changes_everything_and_fewer_scenes_nothing(tiny: Path, tmp_path: Path) -> None:
    fewer = MiniCorpusConfig(train_scenes=2, dev_scenes=1, test_scenes=1, test_unseen_scenes=0, missing_text=0.2)
    finish_release(fewer, BOTH, tmp_path / "fewer")
    media = {path: d for path, d in contents(tmp_path / "fewer").items() if path.endswith((".wav", ".jpg"))}
    assert len(media) == 12 and media.items() <= contents(tiny).items()
    assert not list((tmp_path / "fewer").glob("Places*/**/*test_unseen*"))
    seed = MiniCorpusConfig(1, train_scenes=2, dev_scenes=1, test_scenes=1, test_unseen_scenes=1)
    finish_release(seed, BOTH, tmp_path / "seed")
    assert not {p for p in contents(tmp_path / "seed") if p.endswith((".wav", ".jpg"))} & contents(tiny).keys()


def test_languages_are_checked(tmp_path: Path) -> None:
    for languages in (("hi",), ("en", "fr"), ()):
        with pytest.raises(UsageError, match="'en' or 'en hi'"):
            finish_release(TINY, languages, tmp_path / "release")
