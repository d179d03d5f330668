"""What counts as a change and what does not: other experiments are never drift, a changed input or setting always is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from recipe_runner import ROOT, STAGES, TINY, run

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from small_release import SmallRelease


@pytest.fixture(scope="module")
def work(bilingual: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the whole run, for tests to change."""
    copy = tmp_path_factory.mktemp("drift") / "work"
    shutil.copytree(bilingual, copy, symlinks=True)
    return copy


def planned(work: Path, *options: str) -> dict[str, str]:
    """Stage -> what a dry run says of it."""
    lines = run("hindi_english", work, *options, "--dry-run").splitlines()
    return {line.split()[2].rstrip(":"): line.split(": ", 1)[1] for line in lines if line.startswith("stage ")}


def test_another_corpus_gets_a_page_of_its_own(work: Path, tmp_path: Path) -> None:
    """Mini, then one with a test split in one language, by the same model: its own page beside the first's, which stays."""
    release = SmallRelease(tmp_path / "release", images=4)
    for name in ("train", "val"):
        (release.english_root / f"metadata/{name}.json").unlink()
    page = work / "exp/mini/report/index.html"
    before = page.read_bytes()
    paths = ("--places-audio", str(release.english_root), "--images", str(release.images))
    printed = run("places", work, *paths, "--nj", "1", "--model", "exp/mini")
    assert printed.count("done in") == 8 and printed.count("skipped, ") == 3
    assert f"open {work}/exp/mini/report/places/index.html in a browser" in printed
    other = (work / "exp/mini/report/places/index.html").read_text(encoding="utf-8")
    assert "The corpus of this page: places" in other and page.read_bytes() == before
    for model in (f"{work}/exp/mini", "work/exp/../exp/mini"):
        assert run("places", work, *paths, "--nj", "1", "--model", model).count("up to date") == 8
    assert run("hindi_english", work, *TINY).count("up to date") == len(STAGES)


def test_another_configuration_tag_or_seed_is_another_experiment(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((ROOT / "egs/hindi_english/conf/mini.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    for options in (("--train-config", str(other)), ("--tag", "t"), ("--seed", "2")):
        plan = planned(work, *TINY, *options)
        assert all(plan[name].startswith("up to date") for name in STAGES[:4]), options
        assert plan["train"].startswith("would run (not done yet)"), options


def test_a_model_from_elsewhere_with_a_corpus_of_the_same_name_is_no_drift(work: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(work / "data", elsewhere / "data", symlinks=True)
    mini = [word for word in TINY if "=" in word and "." not in word]
    settings = [word for setting in mini for word in ("--mini-set", setting)]
    plan = planned(elsewhere, *settings, "--model", str(work / "exp/mini"))
    assert plan["statistics"].startswith("up to date") and plan["embed"].startswith("would run (not done yet)")
    assert not (work / "exp/mini/eval/elsewhere").exists() and not (elsewhere / "exp").exists()


@pytest.mark.parametrize(
    ("change", "stage", "told"),
    [
        ("features", "1 features", "fbank.yaml: other content than"),
        ("corpus", "4 train", "input data/mini/speech/train_hi/utt2image: content changed"),
        ("loss", "4 train", "loss.margin=2"),
        ("scenes", "0 data", "train_scenes=41"),
    ],
)
def test_a_change_is_caught(change: str, stage: str, told: str, work: Path, tmp_path: Path) -> None:
    options = [*TINY]
    kept = work / "data/mini/speech/train_hi/utt2image"
    before = kept.read_text(encoding="utf-8")
    if change == "features":
        config = tmp_path / "fbank.yaml"
        text = (ROOT / "egs/hindi_english/conf/fbank.yaml").read_text(encoding="utf-8")
        config.write_text(text.replace("low_freq: 20", "low_freq: 60"), encoding="utf-8")
        assert config.read_text(encoding="utf-8") != text
        options += ["--front-end-config", str(config)]
    elif change == "corpus":
        kept.write_text("".join(before.splitlines(keepends=True)[:-1]), encoding="utf-8")
    else:
        options += ["--set", "loss.margin=2"] if change == "loss" else ["--mini-set", "train_scenes=41"]
    try:
        printed = run("hindi_english", work, *options, status=3)
    finally:
        kept.write_text(before, encoding="utf-8")
    assert f"stage {stage}: something changed since it ran" in printed and told in printed
