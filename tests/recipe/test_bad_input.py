"""What a user gets who types something wrong or has a damaged corpus: the right exit status and a message that helps."""

from __future__ import annotations

import sys
from collections.abc import Callable
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stage", "trian"), "did you mean train?"),
        (("--stage", "12"), "no stage 12"),
        (("--max-bad", "2"), "between 0 and 1"),
        (("--nj", "0"), "at least 1"),
        (("--set", "training.epohcs=1"), "did you mean 'training.epochs'?"),
        (("--set", "training.epochs=many"), "'training.epochs' is a whole number, not 'many'"),
        (("--mini-set", "train_scene=9"), "error: --mini-set train_scene=9: unknown key 'train_scene'"),
        (("--mini-set", "train_scenes"), "error: --mini-set: expected a.b=value"),
        (("--train-config", "no.yaml"), "no such file"),
        (("--model", "nowhere"), "holds no trained model"),
    ],
)
def test_a_wrong_value_ends_the_run_before_its_first_stage(
    options: tuple[str, str], message: str, tmp_path: Path
) -> None:
    printed = run("places", tmp_path / "w", *options, status=2)
    assert message in printed and "stage 0 data:" not in printed and "Traceback" not in printed


def test_help_names_options_and_stages(tmp_path: Path) -> None:
    printed = run("hindi_english", tmp_path / "w", "--help")
    assert "--hindi-audio" in printed and "10 report" in printed and not (tmp_path / "w").exists()


def test_a_split_that_the_corpus_lacks_is_refused_before_training(release: SmallRelease, tmp_path: Path) -> None:
    printed = prepare(release, tmp_path / "w", "--discovery-split", "trian", stop="9", status=2)
    assert "no split trian (there are: dev test train)" in printed and "stage 1" not in printed


def test_an_unknown_corpus_is_refused(tmp_path: Path) -> None:
    assert "no corpus" in run("places", tmp_path / "w", "--corpus", "placess", status=2)


def test_a_corpus_needs_its_paths(tmp_path: Path) -> None:
    assert "--places-audio" in run("places", tmp_path / "w", "--corpus", "places", status=2)


def test_no_such_corpus_folder(release: SmallRelease, tmp_path: Path) -> None:
    paths = ("--places-audio", str(tmp_path / "nowhere"), "--images", str(release.images))
    printed = run("places", tmp_path / "w", *paths, "--stop-stage", "0", status=4)
    assert f"error: {tmp_path}/nowhere: no such corpus folder" in printed and "train_2020.json" in printed


def test_a_folder_that_is_no_release(release: SmallRelease, tmp_path: Path) -> None:
    hindi = ("--hindi-audio", str(release.images), "--places-audio", str(release.english_root))
    printed = run("hindi_english", tmp_path / "w", *hindi, "--images", str(release.images), status=4)
    assert f"error: {release.images}: the corpus lacks 2 of its parts:" in printed and printed.count("error:") == 1
    assert f"{release.images}/*Hindi*_*.json: the metadata" in printed
    assert f"{release.images}/hindi_wavs: the recordings" in printed


def test_metadata_that_is_not_json_is_named_with_its_line(release: SmallRelease, tmp_path: Path) -> None:
    path = release.english_root / "metadata/val.json"
    path.write_text(path.read_text().replace('"data"', "data", 1))
    printed = prepare(release, tmp_path / "w", status=4)
    assert f"error: {path}:4: not JSON" in printed and printed.count("error:") == 1 and "Traceback" not in printed


def test_a_record_without_wav_is_named_with_its_line(release: SmallRelease, tmp_path: Path) -> None:
    del release.english["train"][3]["wav"]
    release.save()
    printed = prepare(release, tmp_path / "w", status=4)
    assert f"{place_of(release, 4)}: no 'wav'" in printed and printed.count("error:") == 1


def place_of(release: SmallRelease, record: int) -> str:
    """Where a training record starts."""
    metadata = release.english_root / "metadata/train.json"
    ids = [number for number, text in enumerate(metadata.read_text().splitlines(), 1) if '"uttid"' in text]
    return f"{metadata}:{ids[record - 1] - 1}: record {record}"


def victim(release: SmallRelease, kind: str) -> Path:
    """The recording, or the image, of the third training caption."""
    record = release.english["train"][2]
    return release.english_root / record["wav"] if kind == "wav" else release.images / record["image"]


def damage_empty_wav(release: SmallRelease) -> str:
    victim(release, "wav").write_bytes(b"")
    return f"{victim(release, 'wav')}: the file is empty"


def damage_lying_header(release: SmallRelease) -> str:
    path = victim(release, "wav")
    write_wav(path, 2.0)
    path.write_bytes(path.read_bytes()[:32044])
    return f"{path}: its header announces 64000 bytes of sound, but only 32000 are there"


def damage_missing_wav(release: SmallRelease) -> str:
    victim(release, "wav").unlink()
    return f"{victim(release, 'wav')}: no such file"


def damage_missing_image(release: SmallRelease) -> str:
    victim(release, "image").unlink()
    return f"its image cannot be used: {victim(release, 'image')}: no such file"


def damage_text_image(release: SmallRelease) -> str:
    victim(release, "image").write_text("not a picture\n")
    return f"its image cannot be used: {victim(release, 'image')}: not a readable image"


@pytest.mark.parametrize(
    "damage", [damage_missing_wav, damage_empty_wav, damage_lying_header, damage_missing_image, damage_text_image]
)
def test_a_damaged_file_fails_stage_0_above_max_bad_and_is_listed_below(
    damage: Callable[[SmallRelease], str], release: SmallRelease, tmp_path: Path
) -> None:
    reason = f"{place_of(release, 3)}: {damage(release)}"
    printed = prepare(release, tmp_path / "strict", status=4)
    assert reason in printed and "1 of 10 inputs cannot be used, more than --max-bad 0.01 allows" in printed
    assert printed.count("error:") == 1 and printed.count("resume:") == 1 and "Traceback" not in printed
    printed = prepare(release, tmp_path / "lenient", "--max-bad", "0.2")
    (path,) = (tmp_path / "lenient/data/places/speech").glob("train*/rejected")
    assert reason in path.read_text(encoding="utf-8")
    assert "train_en: 9 utterances, 2 speakers, 9 images, 0.00 h; 1 rejected" in printed


def test_an_image_that_ends_early_fails_the_image_stage(release: SmallRelease, tmp_path: Path) -> None:
    """Its header is whole, so only decoding shows it."""
    path = victim(release, "image")
    write_image(path, (400, 300))
    path.write_bytes(path.read_bytes()[:2000])
    printed = prepare(release, tmp_path / "w", "--stage", "0", stop="2", status=4)
    assert f"{path}: is a damaged or incomplete JPEG image" in printed and printed.count("error:") == 1
    assert "stage 2 (images) failed" in printed
    printed = prepare(release, tmp_path / "w", "--max-bad", "0.2", "--on-drift", "rerun", stop="2")
    assert "Packed 9 of 10 images of train; 1 could not be used, see" in printed


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
