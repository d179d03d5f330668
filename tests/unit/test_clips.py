"""Clips as sets of video frames: from corpora through data directories and tools to packed images."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_files import number_of, spoken_moments, write_frames, write_video
from small_release import write_image, write_wav
from vgspeech.applied import lay_out
from vgspeech.archive import BlobReader
from vgspeech.config import ExperimentConfig, FrontEndConfig
from vgspeech.corpora import headers
from vgspeech.corpora.clips import look_up
from vgspeech.corpora.division import side_by_side
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.manifest import Roots, read_manifest
from vgspeech.corpora.moments import MOMENTS_TREE, read_spoken_moments
from vgspeech.corpora.prepare import Settings, prepare, prepare_division
from vgspeech.corpora.published import SPOKEN_MOMENTS, compare
from vgspeech.corpora.tree import read_tree
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.dataset_tools.fix import fix_set
from vgspeech.dataset_tools.layout import SpeechFiles
from vgspeech.errors import DataError
from vgspeech.images import PackedImages, merge_packed, pack_images
from vgspeech.stats.data_page import data_page
from vgspeech.stats.durations import describe_corpus
from vgspeech.tables import read_table
from vgspeech.validation import validate_image_set, validate_speech_set

ROOT = Path(__file__).parents[2]
CLIP = "training%2Frunning%2Ftrain%200"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    spoken_moments(tmp_path)
    return tmp_path


def prepared(root: Path, **settings: object) -> ImageSet:
    """Stage 0; the training set's clips."""
    given = {"max_bad": 1.0, **settings}
    prepare(read_spoken_moments(root / "smit"), [], Path("data/x"), Settings(root / "videos", **given), Truth())  # type: ignore[arg-type]
    return ImageSet.load("data/x/images/train")


def packed(jobs: int = 1, max_bad: float = 1.0) -> PackedImages:
    """Stage 2."""
    images = ImageSet.load("data/x/images/train")
    for job in range(1, jobs + 1):
        pack_images(images, job, jobs)
    merge_packed(images, jobs, max_bad)
    return PackedImages(images.path / "packed.scp")


def test_a_corpus_of_clips_becomes_valid_data_directories(root: Path) -> None:
    images = prepared(root)
    assert images.pictures == [CLIP, "training%2Frunning%2Ftrain%201", "training%2Frunning%2Ftrain%202"]
    assert images.images_of(CLIP) == tuple(f"{CLIP}@{n:02d}" for n in range(3)) and images.shown(CLIP) == f"{CLIP}@01"
    assert images.paths[f"{CLIP}@01"] == "videos/training/running/train 0.mp4#t=1.500"
    assert images.paths["training%2Frunning%2Ftrain%202@02"] == "videos/training/running/train 2/frame10.jpg"
    assert set(images.sizes.values()) == {(64, 48)} and len(images) == 9
    assert validate_image_set("data/x/images/train").endswith("9 images, the video frames of 3 clips among them")
    for split in ("train", "dev", "test"):
        validate_speech_set(f"data/x/speech/{split}_en", images=f"data/x/images/{split}")
    train = SpeechSet.load("data/x/speech/train_en")
    assert train.utt2image["w0-train00"] == train.utt2image["w0-train01"] == CLIP and train.text["w0-train00"] == "a man runs"
    assert "9</" in data_page(Path("data/x"), describe_corpus(Path("data/x"), 0))


def test_number_of_video_frames(root: Path) -> None:
    assert [len(prepared(root, frames=count).images_of(CLIP)) for count in (1, 5, 64)] == [1, 5, 30]
    assert len(prepared(root, frames=64).images_of("training%2Frunning%2Ftrain%202")) == 11


@pytest.mark.parametrize("jobs", [1, 4])
def test_packed_video_frames_are_those_of_the_moments(root: Path, jobs: int) -> None:
    prepared(root)
    whole = packed(1).ids, dict(BlobReader("data/x/images/train/packed.scp"))
    images = packed(jobs)
    assert (images.ids, dict(BlobReader("data/x/images/train/packed.scp"))) == whole and len(images) == 3
    assert [number_of(pixels) for pixels in images[CLIP]] == [5, 15 % 9, 25 % 9]
    assert [number_of(pixels) for pixels in images["training%2Frunning%2Ftrain%202"]] == [1, 5, 0]  # files 2, 6 and 10
    assert CLIP in images and f"{CLIP}@01" not in images
    assert list(images.image_counts(images.lines_of(np.array([CLIP.encode()])))) == [3]
    assert list(images.lines_of(np.array([b"nothing"]))) == [-1]
    validate_image_set("data/x/images/train", packed=True)


def test_stills_and_clips_in_one_set(root: Path) -> None:
    """Ids of stills sort before, between and behind those of the clips."""
    prepared(root)
    folder = Path("data/x/images/train")
    for name in ("a", "training%2Frunning%2Ftrain%200@", "z"):
        write_image(Path(f"{name}.png"))
        for table, value in (("images.scp", f"{name}.png"), ("image2size", "32 24")):
            lines = [*(folder / table).read_text().splitlines(), f"{name} {value}"]
            (folder / table).write_text("\n".join(sorted(lines)) + "\n")
    images = packed(3)
    assert images.ids == sorted(images.ids) == ImageSet.load(folder).pictures and len(images) == 6
    assert [len(images[picture]) for picture in images.ids] == [1, 3, 1, 3, 3, 1]
    assert number_of(images[CLIP][0]) == 5 and images["a"][0].shape == (24, 32, 3)
    validate_image_set(folder, packed=True)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bad_folder(folder: Path) -> None:
    folder.with_suffix(".mp4").unlink()
    write_frames(folder, 3)
    (folder / "frame2.jpg").write_text("x")


DEFECTS = {
    "missing": (lambda path: path.unlink(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
    "cut off": (cut_off, "is a damaged or incomplete video"),
    "text": (lambda path: path.write_text("404 not found"), "of a format that is not read"),
    "sound only": (lambda path: write_video(path, sound_only=True), "has no video stream"),
    "huge": (lambda path: write_video(path, 1, size=(4800, 2000)), "more than 9,437,184 pixels"),
    "an empty folder of frames": (lambda path: (path.unlink(), path.with_suffix("").mkdir()), "the folder has no image files"),
    "a bad frame": (
        lambda path: bad_folder(path.with_suffix("")),
        "frame2.jpg: not a readable image",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_clips_that_cannot_be_used_are_listed_with_their_record(root: Path, defect: str) -> None:
    damage, reason = DEFECTS[defect]
    damage(root / "videos/training/running/train 1.mp4")
    images = prepared(root)
    assert len(images.pictures) == 2
    (said,) = read_table("data/x/speech/train_en/rejected").values()
    assert f"spoken_moments_train.json:17: record 3: its image cannot be used: {root}/videos/training/running/train 1" in said
    assert reason in said and reason in read_table("data/x/images/train/rejected")["training%2Frunning%2Ftrain%201"]


def test_a_clip_whose_end_is_missing_is_listed_when_it_is_decoded(root: Path) -> None:
    path = write_video(root / "videos/training/running/train 1.mp4", 30, movflags="faststart")
    cut_off(path)
    assert len(prepared(root).pictures) == 3
    images = packed()
    rejected = read_table("data/x/images/train/packed.rejected")
    assert len(images) == 2 and len(rejected) == 3  # all of its video frames: a clip is whole or not there
    assert all("train 1.mp4: " in reason and ("ends at" in reason or "damaged" in reason) for reason in rejected.values())
    validate_image_set("data/x/images/train", packed=True)
    with pytest.raises(DataError, match="3 of 9"):
        packed(max_bad=0.01)


def test_paths_stay_below_the_root(root: Path) -> None:
    path = root / "smit/metadata/validation.csv"
    path.write_text(path.read_text().replace("validation/running/val 0", "../../secret"))
    val = read_spoken_moments(root / "smit").splits["dev"]
    assert [one.reason for one in val.rejected] == [f"{path}:2: path '../../secret.mp4' leaves the folder of its release"]


def test_extensions_in_other_letters(root: Path) -> None:
    path = root / "videos/training/running/train 0.mp4"
    path.rename(path.with_suffix(".MP4"))
    assert prepared(root).paths[f"{CLIP}@00"].endswith("train 0.MP4#t=0.500")


def test_a_name_that_reads_as_a_moment_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.mp4#t=1.png")
    odd = tmp_path / "a.mp4#t=1"
    (tmp_path / "a.mp4#t=1.png").rename(odd)
    found = look_up([str(odd)], 3, 1, tmp_path)
    assert found.problem(str(odd)) == "its name would be read as a moment of a video"


def test_one_id_for_a_still_and_a_clip_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.jpg")
    write_video(tmp_path / "a.mp4", 3)
    write_wav(tmp_path / "1.wav", 0.4)
    write_wav(tmp_path / "2.wav", 0.4)
    (tmp_path / "m.csv").write_text("image,wav,lang,speaker,split\na.jpg,1.wav,fr,s,train\na.mp4,2.wav,fr,s,train\n")
    with pytest.raises(DataError, match=r"m\.csv:3: two images would have one id, a: .*a\.jpg and .*a\.mp4"):
        own(tmp_path)


def own(root: Path) -> ImageSet:
    releases = read_manifest(root / "m.csv", Roots(root, root), Fractions())
    prepare_division(side_by_side(releases), releases, Path("data/own"), Settings(root, max_bad=1), Truth())
    return ImageSet.load("data/own/images/train")


def test_manifests_name_videos_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.jpg")
    write_video(tmp_path / "b.mp4", 3)
    write_frames(tmp_path / "c", 5)
    lines = ["image,video,wav,lang,speaker,split"]
    for number, picture in enumerate(("a.jpg,", "b.mp4,", ",b.mp4", ",c", "a.jpg,b.mp4", ",")):
        write_wav(tmp_path / f"{number}.wav", 0.4)
        lines.append(f"{picture},{number}.wav,fr,s,train")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    images = own(tmp_path)
    assert images.pictures == ["a", "b", "c"] and list(images.clips) == ["b", "c"]
    assert SpeechSet.load("data/own/speech/train_fr").utt2image == {"s-0": "a", "s-1": "b", "s-2": "b", "s-3": "c"}
    rejected = read_table("data/own/speech/train_fr/rejected")
    assert rejected == {
        "manifest#5": f"{tmp_path}/m.csv:6: both 'image' and 'video' are given; a caption describes one of them",
        "manifest#6": f"{tmp_path}/m.csv:7: no 'image'",
    }
    (tmp_path / "m.csv").write_text("video,wav,lang,speaker,split\nb.mp4,1.wav,fr,s,train\n")
    assert own(tmp_path).pictures == ["b"]


def test_folder_trees_hold_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "market/market.mp4", 3)
    write_wav(tmp_path / "market/fr/awa.wav", 0.4)
    (release,) = read_tree(tmp_path, tmp_path, Fractions(0, 0))
    assert [caption.image for caption in release.splits["train"].captions] == ["market/market.mp4"]


BROKEN = {
    "a video frame that is not listed": ("c x@00 y@00\n", "image2frames:1: video frame 'y@00' of 'c' is not in images.scp"),
    "in two clips": ("c x@00\nd x@00\n", r"image2frames:2: video frame 'x@00' is in a clip already \('c'\)"),
    "twice in one": ("c x@00 x@00\n", r"image2frames:1: video frame 'x@00' is in a clip already \('c'\)"),
    "an image's id": ("a x@00\n", "image2frames:1: clip 'a' is also the id of an image in images.scp"),
    "no video frames": ("c\n", "image2frames:1: 'c' has no value"),
    "not sorted": ("d x@00\nc x@01\n", "image2frames:2: 'c' comes after 'd'"),
    "a slash": ("c/d x@00\n", "image2frames:1: id 'c/d' is empty or contains a blank or '/'"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_validator_names_file_and_line(tmp_path: Path, fault: str) -> None:
    (tmp_path / "images.scp").write_text("a a.jpg\nx@00 x.mp4#t=0.1\nx@01 x.mp4#t=0.2\n")
    (tmp_path / "image2size").write_text("a 4 4\nx@00 4 4\nx@01 4 4\n")
    (tmp_path / "image2frames").write_text("x x@00 x@01\n")
    validate_image_set(tmp_path)
    content, message = BROKEN[fault]
    (tmp_path / "image2frames").write_text(content)
    with pytest.raises(DataError, match=message):
        validate_image_set(tmp_path)


def test_captions_name_clips_and_not_their_video_frames(root: Path) -> None:
    prepared(root)
    path = Path("data/x/speech/train_en/utt2image")
    path.write_text(path.read_text().replace(f"w0-train00 {CLIP}", f"w0-train00 {CLIP}@00"))
    with pytest.raises(DataError, match=rf"utt2image:1: image '{CLIP}@00' is not known"):
        validate_speech_set("data/x/speech/train_en", images="data/x/images/train")
    report = fix_set(SpeechFiles.find("data/x/speech/train_en"), images="data/x/images/train")
    assert (report.kept, report.total) == (3, 4) and dict(report.reasons) == {"its image is not in data/x/images/train": 1}
    validate_speech_set("data/x/speech/train_en", images="data/x/images/train")


def test_a_trained_model_is_applied_to_clips(root: Path) -> None:
    """The tables of a new set go along with those of its clips, so that they count as paired, and are packed when they change."""
    prepared(root)
    config = ExperimentConfig(languages=("en",))
    plan = lay_out(Path("data/x"), "train", config, FrontEndConfig(), Path("laid"))
    assert plan.pack and plan.unpaired == []
    laid = ImageSet.load("laid/images/train")
    assert laid.clips == ImageSet.load("data/x/images/train").clips
    pack_images(laid, 1, 1)
    merge_packed(laid, 1, 0)
    assert PackedImages("laid/images/train/packed.scp").ids == laid.pictures
    assert not lay_out(Path("data/x"), "train", config, FrontEndConfig(), Path("laid")).pack
    table = Path("data/x/images/train/image2frames")
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if not line.startswith(CLIP)))
    assert lay_out(Path("data/x"), "train", config, FrontEndConfig(), Path("laid")).pack


def test_a_clip_that_is_packed_in_part_is_an_error(root: Path) -> None:
    prepared(root)
    packed()
    scp = Path("data/x/images/train/packed.scp")
    scp.write_text("".join(line for line in scp.read_text().splitlines(keepends=True) if f"{CLIP}@01" not in line))
    with pytest.raises(DataError, match="only 2 of the 3 video frames of"):
        PackedImages(scp)
    with pytest.raises(DataError, match="has 2 of the 3 video frames of"):
        validate_image_set(scp.parent)


def test_tools_take_clips_along(root: Path) -> None:
    """Subsets, parts, copies and combinations of speech sets stay valid with the image set of the whole."""
    prepared(root)
    whole, images = "data/x/speech/train_en", "data/x/images/train"

    def tool(name: str, *arguments: str) -> None:
        done = subprocess.run([ROOT / f"utils/{name}_data_dir.sh", *arguments], capture_output=True, text=True, env=environment())
        assert done.returncode == 0, done.stderr

    tool("subset", "--images", whole, "2", "data/two")
    assert len(set(SpeechSet.load("data/two").utt2image.values())) == 2
    tool("subset", "--images", "--apart-from", "data/two", whole, "1", "data/one")
    tool("combine", "data/both", "data/one", "data/two")
    assert SpeechSet.load("data/both").utt2image == SpeechSet.load(whole).utt2image
    tool("split", whole, "2")
    tool("copy", whole, "data/copied")
    sets = ["data/two", "data/one", "data/both", "data/copied", f"{whole}/split2/1", f"{whole}/split2/2"]
    for path in sets:
        validate_speech_set(path, images=images)


def test_preparing_anew_without_clips_leaves_no_table_of_them(root: Path) -> None:
    folder = prepared(root).path
    assert (folder / "image2frames").exists()
    shutil.rmtree(root / "videos")
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        for number in range(count):
            write_image(root / f"videos/{split}{number}.jpg")
    for path in (root / "smit/metadata").iterdir():
        text = path.read_text().replace("training/running/", "").replace("validation/running/", "")
        path.write_text(text.replace("train ", "train").replace("val ", "val").replace("test ", "test").replace(".mp4", ".jpg"))
    assert prepared(root).pictures == ["train0", "train1", "train2"] and not (folder / "image2frames").exists()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "pylib")}


def script(*options: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "local/spoken_moments_data_prep.sh", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def snapshot(*folders: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")}


def test_the_script(root: Path) -> None:
    before = snapshot(root / "smit", root / "videos")
    options = ["--spoken-moments", "smit", "--videos", "videos", "--nj", "1"]
    done = script(*options, "data/s")
    assert done.returncode == 0, done.stderr
    assert "note: en: 8 captions, published 515,912: this copy differs" in done.stdout
    assert "note: en: 7 clips, published 459,742: this copy differs" in done.stdout
    assert done.stdout.splitlines()[-1] == "prepared data/s: 3 speech sets and 3 image sets, 8 utterances, 0 rejected"
    again = script(*options, "--subset", "1", "--frames", "2", "data/s")
    assert again.stdout.splitlines()[-1].startswith("prepared data/s: 3 speech sets and 3 image sets, ")
    assert [len(frames) for frames in ImageSet.load("data/s/images/train").clips.values()] == [2]
    assert before == snapshot(root / "smit", root / "videos")
    help_text = script("--help").stdout
    assert MOMENTS_TREE.splitlines()[1] in help_text and "Where to get it" in help_text and "licence" in help_text
    assert script(*options, "--frames", "65", "data/s").returncode == 2
    assert script(*options[:2], "data/s").returncode == 2


def test_what_is_missing_is_listed_before_any_work(root: Path) -> None:
    shutil.rmtree(root / "smit/wavs")
    (root / "smit/metadata").rename(root / "smit/meta")
    done = script("--spoken-moments", "smit", "--videos", "videos", "data/s")
    assert done.returncode == 4 and not (root / "data").exists()
    assert "lacks 2 of its parts" in done.stderr and "smit/metadata: the metadata" in done.stderr
    assert "smit/wavs: the recordings" in done.stderr and "val.json" in done.stderr


def test_the_tree_is_drawn_as_the_reader_draws_it() -> None:
    text = (ROOT / "local/spoken_moments_data_prep.sh").read_text(encoding="utf-8")
    assert MOMENTS_TREE in text.replace("#   ", "")


def test_sizes_and_stray_files(root: Path) -> None:
    (root / "smit/metadata/README.md").write_text("x")
    release = read_spoken_moments(root / "smit")
    assert release.notes == [f"{root}/smit/metadata/README.md was left alone: its name is not that of a split"]
    assert [len(release.splits[split].captions) for split in ("train", "dev", "test")] == [4, 2, 2]
    assert compare([release], SPOKEN_MOMENTS)[1] == "en: 7 clips, published 459,742: this copy differs"
    shutil.copy(root / "smit/metadata/test.tsv", root / "smit/metadata/x_test.tsv")
    with pytest.raises(DataError, match=r"two files for the split test: test\.tsv, x_test\.tsv"):
        read_spoken_moments(root / "smit")


def test_headers_of_videos_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted check reads only the rest when it is started again."""
    monkeypatch.setattr(headers, "BLOCK", 1)
    paths = [str(write_video(tmp_path / f"{name}.mp4", 2 + number)) for number, name in enumerate("abc")]
    first = look_up(paths, 5, 1, tmp_path / "memory")
    assert [len(first.clips[path].locations) for path in paths] == [2, 3, 4]
    opened: list[str] = []
    read = headers.read_header
    monkeypatch.setattr(headers, "read_header", lambda path: (opened.append(path), read(path))[1])
    write_video(tmp_path / "b.mp4", 5)
    again = look_up(paths, 5, 1, tmp_path / "memory")
    assert opened == paths[1:2] and len(again.clips[paths[1]].locations) == 5 and again.clips[paths[0]] == first.clips[paths[0]]


def test_huge_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgspeech.corpora.clips.LARGEST_FOLDER", 4)
    write_frames(tmp_path / "a", 5)
    found = look_up([str(tmp_path / "a.mp4")], 3, 1, tmp_path)
    assert found.problem(str(tmp_path / "a.mp4")) == "the folder has more than 4 entries"


def test_without_pyav_folders_of_video_frames_still_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs PyAV, which is not installed"):
        prepared(root)
    for path in (root / "videos").rglob("*.mp4"):
        write_frames(path.with_suffix(""), 4, "png")
        path.unlink()
    assert len(prepared(root).clips) == 3
    assert Image.fromarray(packed()[CLIP][0]).size == (64, 48)
