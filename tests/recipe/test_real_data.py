"""Real recordings and photos ($VGS_TEST_DATA), laid out as the corpora are released, through the recipes' stages."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from recipe_runner import ROOT, run

sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from real_release import RealRelease, lay_out

SOURCE = os.environ.get("VGS_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not SOURCE, reason="VGS_TEST_DATA is not set")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> RealRelease:
    return lay_out(Path(SOURCE), tmp_path_factory.mktemp("real"))


def lines(*paths: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def joined(release: RealRelease) -> int:
    """English captions of images that have Hindi ones too: those that the joined corpus must hold."""
    records = {
        language: [item for path in paths for item in json.loads(path.read_text(encoding="utf-8"))["data"]]
        for language, paths in (("en", release.english.glob("metadata/*.json")), ("hi", release.hindi.glob("*.json")))
    }
    described = {item["image"] for item in records["hi"]}
    return sum(item["image"] in described for item in records["en"])


def check_nothing_lost(data: Path, captions: dict[str, int]) -> None:
    """Every caption has features, every image is packed, nothing was rejected."""
    for language, count in captions.items():
        assert lines(*data.glob(f"speech/*_{language}/wav.scp")) == count
        assert lines(*data.glob(f"speech/*_{language}/feats.scp")) == count
    assert lines(*data.glob("images/*/packed.scp")) == lines(*data.glob("images/*/images.scp")) > 0
    assert not [path for path in data.rglob("*rejected") if path.read_text()]


def evaluate(recipe: str, work: Path, bilingual: Path, *paths: str) -> dict[str, dict[str, float]]:
    """Stages 5 and 6 with the tiny mini model, which has another front end; the scores of the one evaluated split."""
    model = work.parent / "model"
    model.mkdir()
    for name in ("config.yaml", "best.pt"):
        shutil.copy(bilingual / "exp/mini" / name, model / name)
    printed = run(recipe, work, *paths, "--model", str(model), "--stop-stage", "6", "--nj", "2")
    assert "stage 2 images: up to date" in printed and "stage 4 train: skipped" in printed
    assert not (model / "eval").exists()  # nothing is written beside a model from elsewhere
    (path,) = work.glob("exp/model_applied/eval/*/*/retrieval/results.json")
    directions: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))["directions"]
    return directions


def test_two_languages(release: RealRelease, bilingual: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    paths = (
        "--places-audio",
        str(release.english),
        "--hindi-audio",
        str(release.hindi),
        "--images",
        str(release.images),
    )
    run("hindi_english", work, *paths, "--stop-stage", "3", "--nj", "2")
    check_nothing_lost(work / "data/places_hindi", {"en": joined(release), "hi": release.hindi_captions})
    scores = evaluate("hindi_english", work, bilingual, *paths)
    tested = {lang: lines(work / f"data/places_hindi/speech/test_{lang}/wav.scp") for lang in ("en", "hi")}
    asked = {name: directed["n_queries"] for name, directed in scores.items()}
    assert asked["en>image"] == tested["en"] and asked["hi>image"] == tested["hi"]
    assert len(scores) == 6 and all(0 <= directed["r10"] <= 1 for directed in scores.values())


def test_english(release: RealRelease, bilingual: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    paths = ("--places-audio", str(release.english), "--images", str(release.images))
    run("places", work, *paths, "--stop-stage", "3", "--nj", "2")
    check_nothing_lost(work / "data/places", {"en": release.english_captions})
    scores = evaluate("places", work, bilingual, *paths)
    tested = lines(work / "data/places/speech/test_seen_en/wav.scp")
    assert {name: directed["n_queries"] for name, directed in scores.items()}["en>image"] == tested
    assert set(scores) == {"en>image", "image>en"}
