"""Real recordings and photos ($VGS_TEST_DATA), laid out as the corpora are released, through the recipes' stages."""

from __future__ import annotations

import json
import os
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


def check_nothing_lost(data: Path, captions: dict[str, int]) -> None:
    """Every caption has features, every image is packed, nothing was rejected."""
    for language, count in captions.items():
        assert lines(*data.glob(f"speech/*_{language}/wav.scp")) == count
        assert lines(*data.glob(f"speech/*_{language}/feats.scp")) == count
    assert lines(*data.glob("images/*/packed.scp")) == lines(*data.glob("images/*/images.scp")) > 0
    assert not [path for path in data.rglob("*rejected") if path.read_text()]


def evaluate(recipe: str, work: Path, corpus: str, bilingual: Path) -> dict[str, float]:
    """Stages 5 and 6 with the tiny mini model; R@10 by direction, over all evaluated splits."""
    model = str(bilingual / "exp/mini")
    run(recipe, work, "--corpus", corpus, "--model", model, "--stage", "1", "--stop-stage", "6", "--nj", "2")
    found = list((bilingual / "exp/mini/eval" / corpus).glob("*/retrieval/results.json"))
    assert found
    results = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    return {name: scores["r10"] for result in results for name, scores in result["directions"].items()}


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
    english = sum(1 for path in work.glob("data/places_hindi/speech/*_en/wav.scp") for _ in path.open())
    check_nothing_lost(work / "data/places_hindi", {"en": english, "hi": release.hindi_captions})
    assert english >= release.shared_images
    scores = evaluate("hindi_english", work, "places_hindi", bilingual)
    assert len(scores) == 6 and all(0 <= score <= 1 for score in scores.values())


def test_english(release: RealRelease, tmp_path: Path) -> None:
    work = tmp_path / "work"
    run(
        "places",
        work,
        "--places-audio",
        str(release.english),
        "--images",
        str(release.images),
        "--stop-stage",
        "3",
        "--nj",
        "2",
    )
    check_nothing_lost(work / "data/places", {"en": release.english_captions})
