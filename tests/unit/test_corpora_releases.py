"""Readers of released corpora, on look-alike trees with the defects that are known of them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import lookalikes
from small_release import SmallRelease
from vgspeech.corpora.coco import SPOKEN_TREE, read_spoken_coco
from vgspeech.corpora.flickr8k import FLICKR_TREE, read_flickr8k
from vgspeech.corpora.japanese import JAPANESE_TREE, read_japanese
from vgspeech.corpora.objectnet import OBJECTNET_TREE, read_objectnet
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import Settings, prepare
from vgspeech.corpora.published import FLICKR8K, SPOKEN_COCO_KARPATHY, Size, compare
from vgspeech.corpora.speechcoco import SPEECH_TREE, parse_timecodes, read_speech_coco
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import SpeechSet, Word
from vgspeech.errors import DataError
from vgspeech.validation import validate_speech_set

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(root, release, truth=None, **settings):
    done = prepare(release, [], Path("data/x"), Settings(root / "images", **settings), truth or Truth())
    for made in done.sets:
        validate_speech_set(f"data/x/speech/{made.name}", images=f"data/x/images/{made.name.rpartition('_')[0]}")
    return done


def speech(name):
    return SpeechSet.load(f"data/x/speech/{name}")


def sizes(done):
    return {made.name: made.utterances for made in done.sets}


def test_flickr8k(root):
    lookalikes.flickr8k(root)
    release, truth = read_flickr8k(root / "audio", root / "text")
    done = run(root, release, truth, max_bad=0)
    assert sizes(done) == {"train_en": 6, "dev_en": 2, "test_en": 4}
    train = speech("train_en")
    assert train.ids[0] == "0-10_a_0" and train.utt2spk["1-11_b_1"] == "1"
    assert train.text["1-11_b_1"] == "A dog , number 1 ."
    assert train.ctm["1-11_b_1"] == [Word(0.05, pytest.approx(0.15), "a"), Word(0.15, pytest.approx(0.35), "dog")]
    assert "0-10_a_1" not in train.ctm and "0-10_a_1" in train.ids  # no alignment, no reason to drop it
    notes = " ".join(done.notes)
    assert "1 caption without word times" in notes
    assert "1 file in" in notes and "the first: 10_a_txt" in notes
    assert "written captions of 1 image not used, the first: 2258277193_586949ec62.jpg.1" in notes
    assert "train and dev share" not in notes and "share 1 speaker" in notes


def test_flickr8k_refuses_and_reports(root):
    lookalikes.flickr8k(root)
    capt = root / "audio/wav2capt.txt"
    capt.write_text(capt.read_text() + "10_a_0.wav 10_a.jpg #0\nx.wav\n40_x_0.wav 40_x.jpg #0\n")
    spk = root / "audio/wav2spk.txt"
    spk.write_text("".join(spk.read_text().splitlines(keepends=True)[1:]))
    release, _ = read_flickr8k(root / "audio", root / "text")
    train = release.splits["train"]
    assert [one.reason for one in train.duplicates] == [f"duplicate of record 1 in {capt}"]
    assert [one.reason for one in train.rejected] == [f"{capt}:14: expected '<wav> <image> #<k>', got 'x.wav'"]
    assert any("1 caption left out: in no split" in note for note in release.notes)
    assert any("2 recordings without a speaker, the first: wavs/10_a_0.wav" in note for note in release.notes)


def test_flickr8k_split_lists(root):
    lookalikes.flickr8k(root)
    path = root / "text/Flickr_8k.testImages.txt"
    path.write_text("10_a.jpg\n" + path.read_text())
    release, truth = read_flickr8k(root / "audio", root / "text")
    assert release.notes[0] == (
        "1 image in two split lists, and counted for the second, the first: 10_a (train and test)"
    )
    assert sizes(run(root, release, truth)) == {"train_en": 4, "dev_en": 2, "test_en": 6}
    path.write_text("30_e.jpg\n31_f.jpg/\n")
    with pytest.raises(DataError, match="names no image") as caught:
        read_flickr8k(root / "audio", root / "text")
    assert caught.value.where == f"{path}:2"


def test_flickr8k_without_any_caption_of_a_split(root):
    lookalikes.flickr8k(root)
    (root / "audio/wav2capt.txt").write_text("99_z_0.wav 99_z.jpg #0\n")
    release, truth = read_flickr8k(root / "audio", root / "text")
    with pytest.raises(DataError, match="no caption belongs to a split"):
        run(root, release, truth)


def test_missing_parts_are_all_listed(root):
    lookalikes.flickr8k(root)
    (root / "audio/wav2spk.txt").unlink()
    (root / "text/Flickr_8k.devImages.txt").unlink()
    with pytest.raises(DataError, match="lacks 2 of its parts") as caught:
        read_flickr8k(root / "audio", root / "text")
    assert "wav2spk.txt: their speakers" in str(caught.value) and "devImages" in str(caught.value)
    assert FLICKR_TREE.splitlines()[0] in str(caught.value)


def test_spoken_coco_nested_and_unrolled_are_the_same(root):
    data = lookalikes.spoken_coco(root)
    nested = read_spoken_coco(root / "coco")
    assert sizes(run(root, nested, max_bad=0)) == {"train_en": 7, "dev_en": 4}
    assert speech("train_en").text["m1-3LUY_1_12"] == "A RED BUS"
    unrolled = [{"image": one["image"], "caption": caption} for one in data["train"] for caption in one["captions"]]
    flat = [{"image": one["image"], **caption} for one in data["train"] for caption in one["captions"]]
    for records in (unrolled, flat):
        lookalikes.write_data(root / "coco/SpokenCOCO_train.json", records)
        found = read_spoken_coco(root / "coco").splits["train"].captions
        assert [c._replace(source=None) for c in found] == [
            c._replace(source=None) for c in nested.splits["train"].captions
        ]


def test_karpathys_files_count_when_they_are_there(root):
    data = lookalikes.spoken_coco(root)
    for name in ("train_unrolled_karpathy", "val_unrolled_karpathy", "test_karpathy"):
        lookalikes.write_data(root / f"coco/SpokenCOCO_{name}.json", data["val"][:1])
    row = {"image": data["val"][0]["image"], "caption": data["val"][0]["captions"][0], "reassign_id": 7}
    row["text_alignment"] = "0.1__A__0.2 0.2__BUS__0.3"
    lookalikes.write_data(root / "coco/SpokenCOCO_val_unrolled_karpathy_with_alignments.json", [row])
    release = read_spoken_coco(root / "coco")
    assert sorted(release.splits) == ["dev", "test", "train"]
    (dev,) = release.splits["dev"].captions
    assert dev.alignment == "0.1__A__0.2 0.2__BUS__0.3"
    assert any("SpokenCOCO_train.json" in note and "SpokenCOCO_val.json" in note for note in release.notes)
    with pytest.raises(DataError, match="share images"):  # all three are made of the same image
        run(root, release)


def test_karpathys_splits_divide_the_original_release(root):
    lookalikes.spoken_coco(root)
    release = read_spoken_coco(root / "coco", lookalikes.karpathy(root))
    assert sizes(run(root, release, max_bad=0)) == {"train_en": 5, "dev_en": 2, "test_en": 4}
    (root / "other.json").write_text(json.dumps({"images": [{"filepath": "a", "filename": "b.jpg", "split": "train"}]}))
    with pytest.raises(DataError, match="none of its images"):
        read_spoken_coco(root / "coco", root / "other.json")
    (root / "other.json").write_text(json.dumps({"images": [{"filepath": "a"}]}))
    with pytest.raises(DataError, match=r"not Karpathy's dataset_coco\.json"):
        read_spoken_coco(root / "coco", root / "other.json")


def test_bad_captions_are_named_within_their_image(root):
    data = lookalikes.spoken_coco(root)
    data["train"][1]["captions"][1]["wav"] = "../x.wav"
    data["train"].append({"image": 7, "captions": []})
    lookalikes.write_data(root / "coco/SpokenCOCO_train.json", data["train"])
    rejected = read_spoken_coco(root / "coco").splits["train"].rejected
    path = root / "coco/SpokenCOCO_train.json"
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "000000000002" in text) - 1
    assert rejected[0].reason.startswith(f"{path}:{line}: record 2, caption 2: path '../x.wav' leaves")
    assert "record 4, caption 1: expected an image" in rejected[1].reason


def test_speech_coco(root):
    lookalikes.speech_coco(root)
    bad = root / "speech/train2014/json/1_10_Phil_None_0-9.json"
    bad.write_text("{")
    (root / "speech/train2014/json/notes.json").write_text("{}")
    bad = root / "speech/train2014/json/3_30_Phil_None_0-9.json"
    bad.write_text(json.dumps({"synthesisedCaption": "x", "duration": 1, "timecode": [["a"]]}))
    release, truth = read_speech_coco(root / "speech")
    assert {one.reason.partition(": ")[0] for one in release.splits["train"].rejected} == {
        str(root / "speech/train2014/json/1_10_Phil_None_0-9.json"), str(root / "speech/train2014/json/notes.json"),
    }  # fmt: skip
    done = run(root, release, truth, max_bad=0.5)
    assert sizes(done) == {"train_en": 5, "dev_en": 4}
    dev = speech("dev_en")
    assert dev.text["Phil-4_40_Phil_None_0-9"] == "White bus."
    assert [(w.text, round(w.start_s, 3), round(w.end_s, 3)) for w in dev.ctm["Phil-4_40_Phil_None_0-9"]] == [
        ("white", 0.05, 0.18), ("bus", 0.2, 0.4),
    ]  # fmt: skip
    phones = dev.ctm_phones["Phil-4_40_Phil_None_0-9"]
    assert [(w.text, round(w.end_s, 3)) for w in phones] == [("w", 0.1), ("ai", 0.15), ("t", 0.18), ("b", 0.4)]
    assert any("alignment left out" in note for note in done.notes)
    release, _ = read_speech_coco(root / "speech", lookalikes.karpathy(root))
    assert sorted(release.splits) == ["dev", "test", "train"]


def test_timecodes_that_run_backwards_are_refused():
    with pytest.raises(ValueError, match="ends before it starts"):
        parse_timecodes([[300, "WORD", "a"], [100, "WORD", "b"]], 400, "WORD")
    with pytest.raises(ValueError, match="not valid Unicode"):
        parse_timecodes([[100, "WORD", "\ud800"]], 400, "WORD")
    with pytest.raises(ValueError, match="no timecodes"):
        parse_timecodes(None, 400, "WORD")


def test_spoken_objectnet_at_48_khz(root):
    lookalikes.objectnet(root)
    done = run(root, read_objectnet(root / "son"), max_bad=0)
    assert sizes(done) == {"train_en": 2, "dev_en": 2, "test_en": 2}
    assert speech("dev_en").utt2dur["s-val0"] == 0.5 and speech("dev_en").wav["s-val0"] == "son/wavs/val0.wav"


def test_japanese_joins_the_others_by_image(root):
    small = SmallRelease(root)
    images = {split: [record["image"] for record in small.english[split]] for split in ("train", "dev", "test")}
    lookalikes.japanese(root, {"train": images["train"], "valid": images["dev"], "test": images["test"]})
    japanese = read_japanese(root / "ja")
    assert sorted(japanese.splits) == ["dev", "test", "train"]
    first = japanese.splits["dev"].captions[0]
    assert (first.image, first.wav, first.speaker) == (images["dev"][0], "wavs/valid/0.wav", "unknown")
    done = prepare(
        read_hindi(small.hindi_root), [japanese, read_english(small.english_root)], Path("data/x"),
        Settings(small.images, max_bad=0), Truth(),
    )  # fmt: skip
    assert sizes(done)["train_ja"] == 5 and sizes(done)["train_en"] == 4  # the second image has two captions
    sets = [speech(f"train_{language}") for language in ("en", "hi", "ja")]
    assert len({frozenset(one.utt2image.values()) for one in sets}) == 1
    assert sets[2].ids[0].startswith("ja-unknown-train0000")


def test_japanese_lines_without_two_columns_are_listed(root):
    lookalikes.japanese(root, {"train": ["a b.jpg", "c.jpg"]})
    path = root / "ja/PlacesAudioJpn_100k_image2audio_train.txt"
    path.write_text(path.read_text() + "/x.jpg\n/a b/c.jpg /d.wav\n")
    train = read_japanese(root / "ja").splits["train"]
    assert [one.reason for one in train.rejected] == [f"{path}:4: expected '<image> <wav>', got '/x.jpg'"]
    assert (train.captions[-1].image, train.captions[-1].wav) == ("a b/c.jpg", "d.wav")


def test_sizes_are_compared_with_the_published_ones(root):
    lookalikes.flickr8k(root)
    release, _ = read_flickr8k(root / "audio", root / "text")
    said = compare([release], FLICKR8K)
    assert said[0] == "en: 12 captions, published 40,000: this copy differs"
    assert said[1] == "en train: 3 images, published 6,000: this copy differs"
    assert compare([release], [Size("en", "dev", "images", 1)]) == ["en dev: 1 images, published 1"]
    assert compare([release], [Size("en", "", "captions", 12, exact=False)]) == ["en: 12 captions, published about 12"]
    assert compare([release], [Size("hi", "", "captions", 1), Size("en", "test_unseen", "images", 1)]) == []
    assert any(size.number == 25_031 for size in SPOKEN_COCO_KARPATHY)


TREES = {
    "flickr8k_audio": FLICKR_TREE, "spokencoco": SPOKEN_TREE, "speechcoco": SPEECH_TREE,
    "spoken_objectnet": OBJECTNET_TREE, "places_japanese": JAPANESE_TREE,
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_scripts_draw_the_trees(name):
    text = (ROOT / f"local/{name}_data_prep.sh").read_text(encoding="utf-8")
    assert TREES[name] in text.replace("#   ", "") and "Where to get it" in text


def script(name, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib")}
    command = [ROOT / f"local/{name}_data_prep.sh", *options, "--nj", "1", "data/s"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_scripts_prepare_and_leave_the_corpus_alone(root):
    lookalikes.flickr8k(root)
    before = snapshot(root / "audio") | snapshot(root / "images") | snapshot(root / "text")
    options = ["--flickr-audio", "audio", "--flickr-text", "text", "--images", "images"]
    done = script("flickr8k_audio", *options)
    assert done.returncode == 0, done.stderr
    assert "en dev: 1 images, published 1,000: this copy differs" in done.stdout
    assert done.stdout.splitlines()[-1] == "prepared data/s: 3 speech sets and 3 image sets, 12 utterances, 0 rejected"
    assert script("flickr8k_audio", *options, "--subset", "1").stdout.endswith("6 utterances, 0 rejected\n")
    assert before == snapshot(root / "audio") | snapshot(root / "images") | snapshot(root / "text")
    gone = script("flickr8k_audio", *options[:4], "--images", "none")
    assert gone.returncode == 4 and "no such folder of images" in gone.stderr
    assert script("flickr8k_audio", *options[:2]).returncode == 2
