import os
import subprocess
import sys
from pathlib import Path

import pytest

from small_release import SmallRelease, write_image
from vgspeech.corpora import checks
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import Settings, prepare
from vgspeech.corpora.truth import Truth, read_truth
from vgspeech.datadir import ImageSet, SpeechSet, Word
from vgspeech.errors import DataError
from vgspeech.tables import read_table
from vgspeech.validation import validate_image_set, validate_speech_set

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return SmallRelease(tmp_path)


def both(small, truth=None, **settings):
    lead, other = read_hindi(small.hindi_root), read_english(small.english_root)
    return prepare(lead, [other], Path("data/x"), Settings(images=small.images, **settings), truth or Truth())


def english(small, **settings):
    return prepare(read_english(small.english_root), [], Path("data/x"), Settings(small.images, **settings), Truth())


def speech(name):
    return SpeechSet.load(f"data/x/speech/{name}")


def test_english_alone(small):
    done = english(small)
    assert (len(done.sets), done.image_sets, done.notes) == (3, 3, [])
    train = speech("train_en")
    assert train.ids == ["spktrain0-train_0", "spktrain0-train_2", "spktrain1-train_1", "spktrain1-train_3"]
    assert train.wav["spktrain1-train_3"] == "PlacesAudio_small/wavs/3/train_3.wav"  # relative to the work directory
    assert train.utt2dur["spktrain1-train_3"] == 1.3
    assert train.ctm["spktrain1-train_3"][1] == Word(0.3, pytest.approx(0.75), "picture")
    images = ImageSet.load("data/x/images/train")
    assert set(train.utt2image.values()) == set(images.ids)
    assert images.sizes[images.ids[0]] == (32, 24)


def test_joined_sets_are_valid_and_prefixed_by_language(small):
    both(small)
    for split in ("train", "dev", "test"):
        images = Path(f"data/x/images/{split}")
        for language in ("en", "hi"):
            validate_speech_set(Path(f"data/x/speech/{split}_{language}"))
            assert all(utterance.startswith(f"{language}-") for utterance in speech(f"{split}_{language}").ids)
        validate_image_set(images)
    hindi = speech("test_hi")
    assert set(hindi.utt2image.values()) == set(speech("test_en").utt2image.values())
    assert hindi.text["hi-s0test-test000001"] == ""  # the release has no transcript of it


def test_english_captions_go_where_hindi_has_their_image(small):
    small.english["train"] += small.english["test"][:1]
    del small.english["test"][0]
    small.save()
    both(small)
    assert "en-spktest0-test_0" in speech("test_en").ids and len(speech("train_en")) == 4


def test_images_without_a_language_are_dropped_and_counted(small):
    del small.english["dev"][0]
    small.save()
    assert "dev: 1 image left out, without a caption in one of the languages" in both(small).notes
    assert len(speech("dev_hi")) == 3
    both(small, require_all_languages=False)
    assert (len(speech("dev_hi")), len(speech("dev_en"))) == (4, 3)


def place_of(metadata: Path, record: int, mark: str) -> str:
    """Where a record starts: the line before the first that holds ``mark``."""
    line = next(number for number, text in enumerate(metadata.read_text("utf-8").splitlines()) if mark in text)
    return f"{metadata}:{line}: record {record}"


def test_a_caption_that_is_in_another_split_there_is_named_where_it_stands(small):
    moved = small.english["test"].pop(0)
    small.english["train"].append(moved)
    (small.english_root / moved["wav"]).unlink()
    small.save()
    both(small, max_bad=0.5)
    (reason,) = read_table("data/x/speech/test_en/rejected").values()
    assert reason.startswith(place_of(small.english_root / "metadata/train.json", 5, "test_0") + ": ")


def test_too_many_missing_files_stop_with_their_names(small):
    small.english["train"][0].pop("wav")
    (small.english_root / "wavs/1/train_1.wav").unlink()
    (small.images / small.english["train"][2]["image"]).write_text("not an image")
    small.save()
    with pytest.raises(DataError, match="3 of 4 inputs cannot be used") as caught:
        english(small)
    assert "metadata/train.json:5: record 1: no 'wav'" in str(caught.value)
    rejected = read_table("data/x/speech/train_en/rejected")
    metadata, image = small.english_root / "metadata/train.json", small.images / small.english["train"][2]["image"]
    missing = f"{small.english_root}/wavs/1/train_1.wav: no such file"
    assert rejected["spktrain1-train_1"] == f"{place_of(metadata, 2, 'train_1')}: {missing}"
    place, reason = place_of(metadata, 3, "train_2"), f"{image}: not a readable image: it is in no known format"
    assert rejected["spktrain0-train_2"] == f"{place}: its image cannot be used: {reason}"
    assert read_table("data/x/images/train/rejected") == {"t%2Ftrain%2Fimg%202": f"{place}: {reason}"}
    assert not Path("data/x/speech/train_en/wav.scp").exists()


@pytest.mark.parametrize("lost", ["pictures", "recordings"])
def test_a_wrong_folder_is_told_at_a_glance(small, lost, monkeypatch):
    """Nothing is written, and not all files are looked for."""
    monkeypatch.setattr(checks, "read_headers", None)
    folder = small.images if lost == "pictures" else small.english_root / "wavs"
    folder.rename("elsewhere")
    folder.mkdir()
    with pytest.raises(DataError, match=f"none of the {lost} is there; looked for 12 files, the first: {folder}") as caught:
        english(small)
    assert caught.value.hint == (checks.IMAGES_HINT if lost == "pictures" else checks.RECORDINGS_HINT)
    assert not Path("data").exists()


def test_few_bad_files_are_listed_and_counted(small):
    small.english["train"][0].pop("wav")
    (small.hindi_root / "hindi_wavs/train/train_1.wav").write_bytes(b"")
    small.save()
    done = both(small, max_bad=0.5)
    assert {made.name: made.rejected for made in done.sets if made.rejected} == {"train_en": 1, "train_hi": 1}
    # Image 0 has lost its English caption and image 1 its Hindi one: neither can be a pair.
    assert set(speech("train_en").utt2image.values()) == {"t%2Ftrain%2Fimg%202", "t%2Ftrain%2Fimg%203"}
    assert ImageSet.load("data/x/images/train").ids == ["t%2Ftrain%2Fimg%202", "t%2Ftrain%2Fimg%203"]


def test_splits_that_share_images_are_refused(small):
    small.english["test"].append({**small.english["train"][0], "wav": "wavs/1/train_1.wav", "uttid": "x"})
    small.save()
    with pytest.raises(DataError, match=r"share images.*test and train share 1 image \(t%2Ftrain%2Fimg%200\)"):
        english(small)
    notes = english(small, allow_overlap=True).notes
    assert any("share 1 image" in note for note in notes) and any("share 1 speaker" in note for note in notes)


def test_duplicates_are_listed_apart(small):
    small.hindi["train"].append(small.hindi["train"][0])
    small.save()
    both(small)
    assert list(read_table("data/x/speech/train_hi/duplicates")) == ["train#5"]
    assert read_table("data/x/speech/train_hi/rejected") == {}


def test_two_files_with_one_image_id_are_refused(small):
    small.english["train"][1]["image"] = small.english["train"][0]["image"].replace(".jpg", ".png")
    small.save()
    write_image(small.images / small.english["train"][1]["image"])
    with pytest.raises(DataError, match="two images would have one id") as caught:
        english(small)
    assert str(caught.value).startswith(place_of(small.english_root / "metadata/train.json", 2, "train_1") + ": ")


def test_an_extension_that_differs_between_releases_is_no_other_image(small):
    for record in small.hindi["train"]:
        record["image"] = record["image"].replace(".jpg", ".JPG")
    small.save()
    both(small)
    assert len(speech("train_hi")) == 4


def test_releases_that_do_not_meet_are_refused(small):
    for record in small.hindi["test"]:
        record["image"] = "elsewhere" + record["image"]
    small.save()
    with pytest.raises(DataError, match="no caption in 'hi' is left for the split test"):
        both(small)


def test_subsets_are_nested_and_keep_languages_together(small):
    chosen = []
    for size in (1, 3):
        both(small, subset=size)
        chosen.append(set(speech("train_en").utt2image.values()))
        assert chosen[-1] == set(speech("train_hi").utt2image.values()) and len(chosen[-1]) == size
    assert chosen[0] < chosen[1]


def test_unreadable_alignments_are_reported(small):
    small.english["dev"][1]["text_alignment"] = "0.1__A"
    small.save()
    assert any("dev_en: 1 alignment left out, first of record 2" in note for note in english(small).notes)
    assert len(speech("dev_en").ctm) == 3


def test_a_record_without_an_alignment_is_kept_without_word_times(small):
    del small.english["dev"][1]["text_alignment"]
    small.save()
    assert english(small).notes == []
    dev = speech("dev_en")
    assert len(dev) == 4 and len(dev.ctm) == 3


def write_truth(folder, image):
    folder.mkdir()
    (folder / "lexicon.tsv").write_text("concept\ten\thi\ncat\tcat\tबिल्ली\n")
    (folder / "objects.tsv").write_text(f"image\tconcept\tcolour\tx0\ty0\tx1\ty1\n{image}\tcat\tred\t1\t2\t9\t8\n")
    (folder / "ctm_hi").write_text("hindi_wavs/train/train_0.wav 1 0.25 0.5 बिल्ली\n")
    (folder / "ctm_phones_en").write_text("wavs/0/train_0.wav 1 0.1 0.05 k\n")


def test_truth_is_keyed_by_utterance_and_image(small):
    write_truth(Path("truth"), small.english["train"][0]["image"])
    both(small, truth=read_truth(Path("truth")))
    assert speech("train_hi").ctm == {"hi-s0train-train000001": [Word(0.25, 0.75, "बिल्ली")]}
    assert list(speech("train_en").ctm_phones) == ["en-spktrain0-train_0"]
    assert len(speech("train_en").ctm) == 4  # of the metadata
    (thing,) = ImageSet.load("data/x/images/train").objects()["t%2Ftrain%2Fimg%200"]
    assert (thing.concept, thing.colour, thing.box) == ("cat", "red", (1, 2, 9, 8))
    assert Path("data/x/lexicon.tsv").read_bytes() == Path("truth/lexicon.tsv").read_bytes()


def test_bad_truth_names_the_line(small):
    write_truth(Path("truth"), "../outside.jpg")
    with pytest.raises(DataError) as caught:
        read_truth(Path("truth"))
    assert caught.value.where == "truth/objects.tsv:2"


def test_a_second_run_gives_the_same_bytes_on_any_job_count(small):
    both(small)
    files = sorted(path for path in Path("data").rglob("*") if path.is_file())
    before = [path.read_bytes() for path in files]
    both(small, jobs=2)
    assert [path.read_bytes() for path in files] == before


def test_sets_of_another_preparation_are_left_alone_and_named(small):
    Path("data/x/speech/mine_en").mkdir(parents=True)
    assert "data/x/speech/mine_en was left alone: it is not part of this corpus" in english(small).notes


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib"), "VGS_PYTHON": sys.executable}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [ROOT / "local" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_scripts(small):
    done = run("places_data_prep.sh", "--places-audio", small.english_root, "--images", small.images, "data/en")
    assert done.returncode == 0, done.stderr
    closing = "prepared data/en: 3 speech sets and 3 image sets, 12 utterances, 0 rejected"
    assert done.stdout.splitlines()[-1] == closing
    options = ["--hindi-audio", small.hindi_root, "--places-audio", small.english_root, "--images", small.images]
    done = run("places_hindi_data_prep.sh", *options, "--subset", 2, "data/both")
    assert done.returncode == 0 and "6 speech sets" in done.stdout, done.stderr


def test_scripts_explain_themselves_and_their_errors(small):
    done = run("places_hindi_data_prep.sh", "--help")
    assert done.returncode == 0 and "hindi_wavs/" in done.stdout and "Where to get it" in done.stdout
    assert run("places_data_prep.sh", "data/en").returncode == 2
    done = run("places_data_prep.sh", "--places-audio", "none", "--images", small.images, "data/en")
    assert done.returncode == 4 and "no such corpus folder" in done.stderr and "metadata/" in done.stderr
    (small.english_root / "metadata/val.json").write_text("{")
    done = run("places_data_prep.sh", "--places-audio", small.english_root, "--images", small.images, "data/en")
    assert done.returncode == 4 and "metadata/val.json:1: not JSON" in done.stderr and "Traceback" not in done.stderr
