"""What a user gets who types something wrong or has a damaged corpus: the right exit status and a message that helps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from recipe_runner import ROOT, run

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from small_release import SmallRelease, write_image, write_wav


def prepare(release: SmallRelease, work: Path, *options: str, stop: str = "0", status: int = 0) -> str:
    """Stages 0 to ``stop`` of egs/places on a release."""
    paths = ("--places-audio", str(release.english_root), "--images", str(release.images))
    return run("places", work, *paths, "--stop-stage", stop, "--nj", "1", *options, status=status)


@pytest.fixture
def release(tmp_path: Path) -> SmallRelease:
    return SmallRelease(tmp_path / "release", images=10)


def test_a_wrong_option_is_corrected(tmp_path: Path) -> None:
    assert "did you mean --stop-stage" in run("places", tmp_path / "w", "--stop-stagee", "1", status=2)


def test_an_unknown_corpus_is_refused(tmp_path: Path) -> None:
    assert "no corpus" in run("places", tmp_path / "w", "--corpus", "placess", status=2)


def test_a_corpus_needs_its_paths(tmp_path: Path) -> None:
    assert "--places-audio" in run("places", tmp_path / "w", "--corpus", "places", status=2)


def test_no_such_corpus_folder(release: SmallRelease, tmp_path: Path) -> None:
    paths = ("--places-audio", str(tmp_path / "nowhere"), "--images", str(release.images))
    printed = run("places", tmp_path / "w", *paths, "--stop-stage", "0", status=4)
    assert "nowhere" in printed and "Traceback" not in printed


def test_metadata_that_is_not_json_is_named_with_its_line(release: SmallRelease, tmp_path: Path) -> None:
    path = release.english_root / "metadata/val.json"
    path.write_text(path.read_text().replace('"data"', "data", 1))
    printed = prepare(release, tmp_path / "w", status=4)
    assert "val.json:4" in printed and "not JSON" in printed and "Traceback" not in printed


def test_a_record_without_wav_is_named_with_its_line(release: SmallRelease, tmp_path: Path) -> None:
    del release.english["train"][3]["wav"]
    release.save()
    printed = prepare(release, tmp_path / "w", status=4)
    assert "train.json:" in printed and "no 'wav'" in printed


def damage_empty_wav(release: SmallRelease) -> str:
    path = release.english_root / release.english["train"][2]["wav"]
    path.write_bytes(b"")
    return "empty"


def damage_lying_header(release: SmallRelease) -> str:
    path = release.english_root / release.english["train"][2]["wav"]
    write_wav(path, 2.0)
    path.write_bytes(path.read_bytes()[:32044])
    return "header"


def damage_missing_image(release: SmallRelease) -> str:
    (release.images / release.english["train"][2]["image"]).unlink()
    return "image"


@pytest.mark.parametrize("damage", [damage_empty_wav, damage_lying_header, damage_missing_image])
def test_a_damaged_file_fails_stage_0_above_max_bad_and_is_listed_below(
    damage, release: SmallRelease, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    reason = damage(release)
    printed = prepare(release, tmp_path / "strict", status=4)
    assert reason in printed and "--max-bad" in printed and "Traceback" not in printed
    printed = prepare(release, tmp_path / "lenient", "--max-bad", "0.2")
    listed = "".join(path.read_text() for path in (tmp_path / "lenient/data/places").glob("*/train*/rejected"))
    assert reason in listed and "1 rejected" in printed


def test_an_image_that_is_a_text_file_fails_the_image_stage(release: SmallRelease, tmp_path: Path) -> None:
    (release.images / release.english["train"][2]["image"]).write_text("not a picture\n")
    printed = prepare(release, tmp_path / "w", stop="2", status=4)
    assert "Traceback" not in printed
    printed = prepare(release, tmp_path / "w2", "--max-bad", "0.2", stop="2")
    listed = [path.read_text() for path in (tmp_path / "w2/data/places/images/train").glob("*rejected")]
    assert any(listed)


def test_splits_that_share_an_image_are_refused(release: SmallRelease, tmp_path: Path) -> None:
    release.english["test"][0]["image"] = release.english["train"][0]["image"]
    release.save()
    printed = prepare(release, tmp_path / "w", status=4)
    assert "share" in printed
    prepare(release, tmp_path / "w2", "--allow-overlap", "true")


def test_a_large_image_is_fine(release: SmallRelease, tmp_path: Path) -> None:
    write_image(release.images / release.english["train"][1]["image"], (900, 700))
    printed = prepare(release, tmp_path / "w", stop="3")
    assert "Packed 10 of 10 images of train" in printed
