"""egs/own: recordings in a table, from one command to a lexicon and a page; mistakes get help."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchvision
from pympi import Eaf

from recipe_runner import ROOT, run
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.pretrained import HEADER

LANGUAGES = {"en": "bam", "hi": "fra"}
ONLY_IN_FULL = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")
FAST = ("--set", "training.epochs=2", "--set", "training.precision=float32", "--nj", "2")


@pytest.fixture(scope="module")
def manifest(bilingual: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus as somebody's own recordings, in a table that a spreadsheet program on Windows saved."""
    folder = tmp_path_factory.mktemp("my recordings")
    rows = []
    for name, tag in LANGUAGES.items():
        for split in ("train", "test"):
            speech = SpeechSet.load(bilingual / f"data/mini/speech/{split}_{name}")
            images = ImageSet.load(bilingual / f"data/mini/images/{split}")
            for utt in speech.ids:
                image, wav = images.paths[speech.utt2image[utt]], speech.audio_location(utt)[0]
                share = "no" if len(rows) % 7 == 0 else "yes"
                rows.append(f"{image};{wav};{tag};{speech.utt2spk[utt]};{share}")
    (folder / "data").symlink_to(bilingual / "data")
    (folder / "manifest.csv").write_bytes("\r\n".join(["image;wav;lang;speaker;share", *rows, ""]).encode("utf-8-sig"))
    return folder / "manifest.csv"


def test_from_a_table_to_a_lexicon(manifest: Path, tmp_path: Path) -> None:
    options = ("--manifest", str(manifest), "--langs", "bam fra", *FAST)
    printed = run("own", tmp_path, *options)
    assert "stage 9 lexicon: done" in printed and "Traceback" not in printed
    model = tmp_path / "exp/small_own"
    assert (model / "lexicon/own/bam-fra/lexicon.tsv").exists() and (model / "report/index.html").exists()
    assert run("own", tmp_path, *options).count("up to date") == 11

    # A search from another folder; recordings that may not be shared are not in it.
    image = next(iter(ImageSet.load(tmp_path / "data/own/images/train").paths.values()))
    command = [
        ROOT / "utils/search.sh",
        "--show",
        tmp_path / image,
        "--top",
        "10000",
        "--no-audio",
        "--out",
        "found",
        model,
    ]
    done = subprocess.run(command, cwd=manifest.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "of own/train" in done.stdout, done.stdout + done.stderr
    found = {line.split("\t")[2] for line in (manifest.parent / "found/results.tsv").read_text().splitlines()}
    for tag in LANGUAGES.values():
        speech = SpeechSet.load(tmp_path / f"data/own/speech/train_{tag}")
        assert {utt for utt in speech.ids if speech.may_share(utt)} == found & set(speech.ids) != set(speech.ids)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--manifest", "MANIFEST"), "which languages? give --langs"),
        (("--langs", "bam fra"), "which recordings? give --manifest FILE, --tree DIR or --kaldi DIR, one of them"),
        (("--manifest", "MANIFEST", "--langs", "bam, fra"), '--langs: "bam," is not a tag'),
        (("--manifest", "MANIFEST", "--langs", "bam swa"), "no language swa (they have: bam fra)"),
    ],
)
def test_mistakes_get_help(manifest: Path, tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    words = [str(manifest) if word == "MANIFEST" else word for word in options]
    assert told in run("own", tmp_path, *words, "--stop-stage", "0", status=2)


def test_a_long_recording_is_cut_by_a_tier(manifest: Path, tmp_path: Path) -> None:
    """The commands of docs/own-recordings.md for ELAN, up to the features; a wrong tier is told with those that are there."""
    rows = [line.split(";") for line in manifest.read_text(encoding="utf-8-sig").splitlines()[1:] if ";bam;" in line][:10]
    own = tmp_path / "own"
    own.mkdir()
    document, start = Eaf(), 0
    document.add_tier("picture")
    sounds = []
    for number, (image, wav, *_) in enumerate(rows):
        samples, rate = soundfile.read(manifest.parent / wav, dtype="int16")
        samples = samples[: len(samples) // (rate // 1000) * (rate // 1000)]  # ELAN counts milliseconds
        end = start + 1000 * len(samples) // rate
        picture = f"p{number}{Path(image).suffix}"
        (own / picture).write_bytes((manifest.parent / image).read_bytes())
        document.add_annotation("picture", start, end, f"p{number}")
        sounds.append(samples)
        start = end
    soundfile.write(own / "awa.wav", np.concatenate(sounds), rate, "PCM_16")
    document.to_file(own / "awa.eaf")
    (own / "manifest.tsv").write_text("wav\tlang\tspeaker\nawa.wav\tbam\tawa\n")
    options = ("--manifest", str(own / "manifest.tsv"), "--langs", "bam", "--nj", "1")
    told = run("own", tmp_path / "work", *options, "--tier", "pictures", "--stop-stage", "0", status=4)
    assert "awa.eaf: no tier 'pictures'; there are: 'default', 'picture'" in told
    printed = run("own", tmp_path / "work", *options, "--tier", "picture", "--stop-stage", "1")
    assert "10 utterances, 0 rejected" in printed and "stage 1 features: done" in printed


@ONLY_IN_FULL
def test_twenty_captions(manifest: Path, tmp_path: Path) -> None:
    """All stages work, and nobody is told that it is enough; names of speakers are on no page, and no sound."""
    header, *rows = manifest.read_text(encoding="utf-8-sig").splitlines()
    first = [row.split(";") for row in rows]
    images = sorted({row[0] for row in first if row[2] == "bam"} & {row[0] for row in first if row[2] == "fra"})[:10]
    chosen = {(row[0], row[2]): row for row in first if row[0] in images}
    assert len(chosen) == 20
    few = manifest.parent / "few.csv"
    few.write_text("\n".join([header, *(";".join(row) for row in chosen.values())]) + "\n")
    printed = run("own", tmp_path, "--manifest", str(few), "--langs", "bam fra", "--hash-speakers", "--no-audio", *FAST)
    assert "to learn from" in printed and "trust none of its results" in printed and "by chance" in printed
    assert "Traceback" not in printed and "stage 10 report: done" in printed and not re.search(r"\bnan\b", printed)
    page = (tmp_path / "exp/small_own/report/index.html").read_text()
    assert "data:audio" not in page and not any(f"speaker {row[3]}" in page for row in first)
    speakers = {row[3] for row in chosen.values()}
    tables = [path for path in tmp_path.glob("data/own/speech/*/*") if path.is_file() and path.name != "wav.scp"]
    assert tables and not any(speaker in path.read_text() for path in tables for speaker in speakers)


@ONLY_IN_FULL
def test_images_understood_from_the_start(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """conf/pretrained.yaml, with random weights in the place of torchvision's, which a test does not download."""
    monkeypatch.setenv("VGS_WEIGHTS", str(tmp_path / "weights"))
    work, options = tmp_path / "work", ("--manifest", str(manifest), "--langs", "bam fra", *FAST)
    options += ("--train-config", str(ROOT / "egs/own/conf/pretrained.yaml"))
    work.mkdir()
    assert "fetch it once: local/fetch_weights.sh resnet18-imagenet" in run("own", work, *options, status=2)
    assert not list(work.iterdir())
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r.pth")
    line = ("resnet18-imagenet", "backbone", "direct", "r.pth", "-", "-", "http://127.0.0.1:9/", "x", "x")
    (tmp_path / "table.tsv").write_text("\t".join(HEADER) + "\n" + "\t".join(line) + "\n")
    fetch = [ROOT / "local/fetch_weights.sh", "--table", "table.tsv", "--from", "r.pth", "resnet18-imagenet"]
    subprocess.run(fetch, cwd=tmp_path, check=True)
    run("own", work, *options, "--stop-stage", "6")
    (log,) = work.glob("exp/pretrained_own/train.log")
    assert log.read_text().count("the frozen backbone saw all images once") == 1
    run("own", work, *options, "--stage", "report")
    assert "resnet18, starting from resnet18-imagenet, backbone frozen" in (log.parent / "report/index.html").read_text()
    (tmp_path / "weights/r.pth").write_bytes(b"changed")
    said = run("own", work, *options, "--tag", "again", "--stop-stage", "0", status=3)
    assert "is not what it was when it came" in said


@ONLY_IN_FULL
def test_a_second_language_starts_from_the_first(manifest: Path, tmp_path: Path) -> None:
    options = ("--manifest", str(manifest), *FAST, "--stop-stage", "4")
    run("own", tmp_path, "--langs", "bam", *options)
    first = str(tmp_path / "exp/small_own")
    run("own", tmp_path, "--langs", "bam fra", "--tag", "warm", "--init-from", first, "--init-audio", "bam", *options)
    log = (tmp_path / "exp/small_own_warm/train.log").read_text()
    assert f"started from {first}/best.pt" in log and "as initialised: none; not used: none" in log
