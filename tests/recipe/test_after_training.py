"""What can be done with a finished run: export of the found words, query by voice, search, a table of results."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vgspeech
from recipe_runner import ROOT
from vgspeech.archive import ArchiveReader
from vgspeech.datadir import ImageSet, SpeechSet


def step(work: Path, *command: str) -> str:
    """Run a script in a work directory; its output."""
    name, *arguments = command
    done = subprocess.run(
        [ROOT / name, *arguments], cwd=work, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_found_words_are_exported(bilingual: Path, tmp_path: Path) -> None:
    said = step(bilingual, "steps/export_words.sh", "exp/mini/lexicon/mini/en-hi", "data/mini", "train", str(tmp_path))
    assert "recordings in en" in said and "recordings in hi" in said
    rows = (tmp_path / "words_hi.tsv").read_text(encoding="utf-8").splitlines()[1:]
    names = {row.split("\t")[0] for row in rows}
    assert {path.stem for path in tmp_path.glob("elan/hi-*.eaf")} >= names


def test_recorded_words_find_captions_and_images(bilingual: Path, tmp_path: Path) -> None:
    words, out = str(tmp_path / "words"), tmp_path / "found"
    step(bilingual, "utils/cut_words.sh", "--lexicon", "data/mini/lexicon.tsv", "data/mini/speech/test_hi", words)
    paths = ("exp/mini", "exp/mini/eval/mini/test/embed", "data/mini", "test", "en", words, str(out))
    said = step(bilingual, "steps/query_by_voice.sh", "--others-only", "true", "--top", "3", *paths)
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert scores["captions"]["queries"] > 0 and scores["images"]["queries"] > 0
    assert f"{scores['captions']['p_at_10']:.3f}" in said
    queries = (Path(words) / "wav.scp").read_text().count("\n")
    assert queries and (out / "captions.tsv").read_text(encoding="utf-8").count("\n") > 3


def test_an_image_and_a_recording_find_captions(bilingual: Path, tmp_path: Path) -> None:
    speech, images = (bilingual / "data/mini" / part for part in ("speech/test_en", "images/test"))
    (utt, wav), *_ = (line.split() for line in (speech / "wav.scp").read_text().splitlines())
    image = dict(line.split() for line in (speech / "utt2image").read_text().splitlines())[utt]
    picture = dict(line.split() for line in (images / "images.scp").read_text().splitlines())[image]
    search = ("utils/search.sh", "--set", "mini/test", "--top", "2")
    # From another folder: the work directory is that of the model.
    shown = step(
        tmp_path,
        *search,
        "--show",
        str(bilingual / picture),
        "--lang",
        "hi",
        "--index",
        "i",
        str(bilingual / "exp/mini"),
    )
    rows = [line.split("\t") for line in shown.splitlines()]
    assert [row[0] for row in rows] == ["kind", "caption", "caption", "image", "image"] and rows[3][2] == image
    assert {row[3] for row in rows[1:3]} == {"hi"} and (tmp_path / "i/index.json").is_file()
    said = step(bilingual, *search, "--speak", wav, "--spoken", "en", "--out", str(tmp_path / "found"), "exp/mini")
    assert "sentence" in said and f"page {tmp_path}/found/index.html" in said
    best = (tmp_path / "found/results.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")
    assert best[2] == utt and float(best[5]) == pytest.approx(1, abs=1e-3)


def test_results_in_a_table(bilingual: Path) -> None:
    text = step(bilingual, "utils/show_results.sh", "exp").splitlines()
    results = json.loads((bilingual / "exp/mini/eval/mini/test/retrieval/results.json").read_text(encoding="utf-8"))
    assert text[1].split()[:3] == ["mini", "mini/test", f"{100 * results['mean']['r1']:.1f}"]
    same = json.loads(
        step(bilingual, "utils/show_results.sh", "--json", "--draws", "20", "--compare", "exp/mini", "exp/mini")
    )
    assert {one["p"] for one in same["differences"]} == {1} and same["tested_on"] == "mini/test"


@pytest.fixture
def beside(bilingual: Path, tmp_path: Path) -> tuple[Path, str]:
    """A folder with exp/mini, caption.wav and photo.jpg, as README and docs/api.md have them, and the caption's id."""
    speech = SpeechSet.load(bilingual / "data/mini/speech/test_en")
    utt = speech.ids[0]
    shutil.copy(bilingual / speech.audio_location(utt)[0], tmp_path / "caption.wav")
    paths = ImageSet.load(bilingual / "data/mini/images/test").paths
    shutil.copy(bilingual / paths[speech.utt2image[utt]], tmp_path / "photo.jpg")
    (tmp_path / "exp").symlink_to(bilingual / "exp")
    return tmp_path, utt


def python_of(page: str) -> str:
    """All Python of a page, to be run in one go."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL))


@pytest.mark.parametrize(("page", "least"), [("README.md", 1), ("docs/api.md", 6)])
def test_the_python_of_the_pages_runs(beside: tuple[Path, str], page: str, least: int) -> None:
    done = subprocess.run([sys.executable, "-c", python_of(page)], cwd=beside[0], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    parts = [line for line in lines if re.fullmatch(r"\d\.\d\d to .* s: x \d+, y \d+ \(score .*\)", line)]
    assert parts and len(lines) >= least and (page != "README.md" or parts == lines)


def test_a_model_in_python_gives_the_numbers_of_the_pipeline(
    bilingual: Path, beside: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, utt = beside
    monkeypatch.chdir(bilingual)
    model = vgspeech.load("exp/mini")
    caption, picture = model.embed_speech(folder / "caption.wav", "en"), model.embed_image(folder / "photo.jpg")
    embed = Path("exp/mini/eval/mini/test/embed")
    image = SpeechSet.load("data/mini/speech/test_en").utt2image[utt]
    np.testing.assert_allclose(caption.frames, ArchiveReader(embed / "en.scp")[utt], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(picture.flat, ArchiveReader(embed / "images.scp")[image], rtol=1e-4, atol=1e-4)
