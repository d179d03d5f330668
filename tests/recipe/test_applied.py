"""steps/apply.sh: a trained model on a new set, whatever that set lacks or has of another model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipe_runner import ROOT, run
from vgspeech.archive import ArchiveReader
from vgspeech.config import FrontEndConfig, load_config
from vgspeech.datadir import SpeechSet
from vgspeech.tables import read_table, read_tsv

CAPTIONS = ("utterance", "language", "rank", "image", "score", "own")
IMAGES = ("image", "language", "rank", "utterance", "score", "own")
ONLY_IN_FULL = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")
TABLES = ("wav.scp", "utt2spk", "spk2utt", "utt2lang", "utt2dur")


def apply(work: Path, *words: str | Path, status: int = 0) -> str:
    """Run steps/apply.sh in a work directory; all that it printed."""
    done = subprocess.run(
        [ROOT / "steps/apply.sh", "--nj", "1", *words],
        cwd=work,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status and "Traceback" not in done.stdout, done.stdout
    return done.stdout


def rows(path: Path, header: tuple[str, ...]) -> list[dict[str, str]]:
    return [dict(zip(header, cells, strict=True)) for _, cells in read_tsv(path, header)]


def content(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def new_set(bilingual: Path, tmp_path: Path) -> Path:
    """The English test captions as somebody else's: no text, times, features, packed images or pairs; two rates, stereo."""
    speech, target = SpeechSet.load(bilingual / "data/mini/speech/test_en"), tmp_path / "new/speech/field_en"
    shutil.copytree(bilingual / "data/mini/images/test", tmp_path / "new/images/field")
    for path in (tmp_path / "new/images/field").glob("packed*"):
        path.unlink()
    target.mkdir(parents=True)
    for name in TABLES:
        shutil.copy(speech.path / name, target / name)
    lines = []
    for number, utt in enumerate(speech.ids):
        sound, rate = soundfile.read(bilingual / speech.audio_location(utt)[0])
        wav = tmp_path / f"wav/{utt}.wav"
        wav.parent.mkdir(exist_ok=True)
        if number % 2:
            soundfile.write(wav, np.stack([sound, sound], axis=1), rate)
        else:
            soundfile.write(wav, np.repeat(sound, 2), 2 * rate)
        lines.append(f"{utt} {wav}\n")
    (target / "wav.scp").write_text("".join(lines))
    images = (tmp_path / "new/images/field/images.scp").read_text().splitlines()
    paths = [line.split(" ", 1) for line in images]
    (tmp_path / "new/images/field/images.scp").write_text("".join(f"{i} {bilingual / path}\n" for i, path in paths))
    return tmp_path / "new"


@ONLY_IN_FULL
def test_a_known_split_gets_the_scores_of_the_recipe(bilingual: Path, tmp_path: Path) -> None:
    before = content(bilingual / "data")
    said = apply(bilingual, "--split", "test", "exp/mini", "data/mini", tmp_path / "out")
    assert "1 splits, 1 of them scored" in said and content(bilingual / "data") == before
    again = tmp_path / "out/test/retrieval/results.json"
    assert json.loads(again.read_text()) == json.loads((bilingual / "exp/mini/eval/mini/test/retrieval/results.json").read_text())
    found = rows(tmp_path / "out/test/captions.tsv", CAPTIONS)
    for language in ("en", "hi"):
        first = [row for row in found if row["language"] == language and row["rank"] == "1"]
        share = sum(row["own"] == "yes" for row in first) / len(first)
        assert share == pytest.approx(json.loads(again.read_text())["directions"][f"{language}>image"]["r1"])
    backwards = rows(tmp_path / "out/test/images.tsv", IMAGES)
    assert len({row["image"] for row in backwards}) == len(read_table(bilingual / "data/mini/images/test/images.scp"))
    scores = {(row["utterance"], row["image"]): row["score"] for row in found}
    shared = [row for row in backwards if (row["utterance"], row["image"]) in scores]
    assert shared and all(scores[row["utterance"], row["image"]] == row["score"] for row in shared)


def test_a_new_set_without_anything_is_embedded_and_listed(
    bilingual: Path, new_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bilingual)
    (new_set / "speech/field_fr").mkdir()
    shutil.copy(new_set / "speech/field_en/wav.scp", new_set / "speech/field_fr/wav.scp")
    before = content(new_set)
    said = apply(bilingual, "--top", "3", "exp/mini", new_set, tmp_path / "out")
    assert "field_en: it has no fbank features: made for the model" in said
    assert "field: not scored, no en caption says which of the images is its own" in said
    assert "left out: field_fr, the model's languages are en, hi" in said and content(new_set) == before
    assert not (tmp_path / "out/field/retrieval").exists()
    found = rows(tmp_path / "out/field/captions.tsv", CAPTIONS)
    assert len(found) == 3 * len(read_table(new_set / "speech/field_en/utt2spk"))
    assert {row["own"] for row in found} == {"-"}
    # Other rates and two channels: the sounds are the same, and so, nearly, are the embeddings.
    reference = ArchiveReader(bilingual / "exp/mini/eval/mini/test/embed/en.scp")
    for number, (utt, frames) in enumerate(ArchiveReader(tmp_path / "out/field/embed/en.scp").items()):
        assert frames.shape == reference[utt].shape
        if number % 2:
            np.testing.assert_allclose(frames, reference[utt], rtol=1e-3, atol=1e-3)


@ONLY_IN_FULL
def test_features_of_another_front_end_are_not_used(
    bilingual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bilingual)
    shutil.copytree(bilingual / "data/mini", tmp_path / "mini")
    settings = tmp_path / "mini/speech/test_en/feats/fbank.yaml"
    settings.write_text(settings.read_text().replace("sample_rate: 16000", "sample_rate: 8000"))
    assert load_config(FrontEndConfig, settings).sample_rate == 8000
    said = apply(bilingual, "--split", "test", "exp/mini", tmp_path / "mini", tmp_path / "out")
    assert "test_en: its fbank features were made otherwise (sample_rate 8000, the model's 16000): made for the model" in said
    wanted, found = (
        ArchiveReader(folder / "embed/en.scp") for folder in (bilingual / "exp/mini/eval/mini/test", tmp_path / "out/test")
    )
    assert all(np.array_equal(found[utt], wanted[utt]) for utt in wanted)
    made = tmp_path / "out/data/mini/speech/test_en/feats/fbank.scp"
    stamp = made.stat().st_mtime_ns
    assert "made for the model" not in apply(bilingual, "--split", "test", "exp/mini", tmp_path / "mini", tmp_path / "out")
    assert made.stat().st_mtime_ns == stamp


def test_mistakes_get_help(bilingual: Path, new_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = apply(bilingual, "--split", "tst", "exp/mini", "data/mini", out, status=2)
    assert "no split tst that the model can be applied to (there are: dev, test" in said
    (new_set / "speech/field_en").rename(new_set / "speech/field_xx")
    said = apply(bilingual, "exp/mini", new_set, out, status=4)
    assert "no split with images and with captions in en or hi" in said and "speech sets here: field_xx" in said
    packed = tmp_path / "m.safetensors"
    packed.write_bytes(b"")
    assert f"utils/unpack_model.sh {packed} exp/NAME" in apply(bilingual, packed, "data/mini", out, status=4)
    assert "is a file; if it is a packed model" in run("hindi_english", bilingual, "--model", str(packed), status=2)
    assert "no such folder" in apply(bilingual, "exp/mini", tmp_path, out, status=4)
    assert "no such file: nowhere/config.yaml" in apply(bilingual, "nowhere", "data/mini", out, status=4)
