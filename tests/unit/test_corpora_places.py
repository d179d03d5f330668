import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from small_release import SmallRelease, write_json, write_wav
from vgspeech.corpora.metadata import read_metadata, record_places
from vgspeech.corpora.places import ENGLISH_TREE, HINDI_TREE, hindi_wav, read_english, read_hindi
from vgspeech.corpora.truth import alignment_lines, parse_alignment
from vgspeech.datadir import ctm_lines
from vgspeech.errors import DataError

ROOT = Path(__file__).parents[2]
GOOD = {"uttid": "s-1", "speaker": "s", "asr_text": "a", "wav": "wavs/1.wav", "image": "a/1.jpg"}


def english(tmp_path, records, name="train.json"):
    write_json(tmp_path / "metadata" / name, records)
    (tmp_path / "wavs").mkdir(exist_ok=True)
    return read_english(tmp_path).splits["train"]


def test_reads_english_and_hindi(tmp_path):
    small = SmallRelease(tmp_path)
    release = read_english(small.english_root)
    assert sorted(release.splits) == ["dev", "test", "train"]
    first = release.splits["dev"].captions[0]
    assert (first.utterance, first.speaker, first.wav) == ("spkdev0-dev_0", "spkdev0", "wavs/0/dev_0.wav")
    assert (first.text, first.image, first.image_id) == ("a picture 0", "d/dev/img 0.jpg", "d%2Fdev%2Fimg%200")
    first, second = read_hindi(small.hindi_root).splits["train"].captions[:2]
    assert (first.utterance, first.wav) == ("s0train-train000001", "hindi_wavs/train/train_0.wav")
    assert (first.text, second.text) == ("", "एक तस्वीर")
    assert first.image == "t/train/img 0.jpg"  # without the leading slash, so that it meets the English one


def test_split_names(tmp_path):
    for name in ("train_2020", "dev_seen_2020", "test_unseen_2020", "train", "val", "notes_2020"):
        write_json(tmp_path / "metadata" / f"{name}.json", [GOOD])
    (tmp_path / "wavs").mkdir()
    release = read_english(tmp_path)
    assert sorted(release.splits) == ["dev_seen", "test_unseen", "train"]
    assert release.splits["train"].captions[0].source.path.name == "train_2020.json"
    assert any("notes_2020.json" in note for note in release.notes)
    assert any("train.json, val.json" in note for note in release.notes)


def test_hindi_split_may_have_a_suffix(tmp_path):
    (tmp_path / "hindi_wavs").mkdir()
    write_json(tmp_path / "PlacesHindi_mini_test_unseen.json", [{**GOOD, "wav": "x/hindi_wavs/test_unseen/1.wav"}])
    assert list(read_hindi(tmp_path).splits) == ["test_unseen"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("data/sls/hindi_wavs/train/a.wav", "hindi_wavs/train/a.wav"),
        ("hindi_wavs/train/b/a.wav", "hindi_wavs/train/b/a.wav"),
        ("hindi_wavs/a.wav", "hindi_wavs/train/a.wav"),
        ("hindi_wavs/val/a.wav", "hindi_wavs/train/a.wav"),
        ("old/train/b/a.wav", "hindi_wavs/train/b/a.wav"),
        ("old/place/b/a.wav", "hindi_wavs/train/b/a.wav"),
        ("a.wav", "hindi_wavs/train/a.wav"),
    ],
)
def test_hindi_recordings_behind_stale_folders(tmp_path, path, place):
    assert hindi_wav(tmp_path, path, "train") == place


@pytest.mark.parametrize("path", ["x/hindi_wavs/dev/a.wav", "hindi_wavs/dev/a.wav"])
def test_a_hindi_recording_that_lies_in_another_splits_folder_is_found(tmp_path, path):
    write_wav(tmp_path / "hindi_wavs/dev/a.wav", 0.1)
    assert hindi_wav(tmp_path, path, "train") == "hindi_wavs/dev/a.wav"


def test_a_hindi_recording_without_the_subfolders_of_its_path_is_found(tmp_path):
    write_wav(tmp_path / "hindi_wavs/train/a.wav", 0.1)
    assert hindi_wav(tmp_path, "old/place/b/a.wav", "train") == "hindi_wavs/train/a.wav"
    endless = "a" * 5000  # no file system has such a name
    assert hindi_wav(tmp_path, f"{endless}/x/{endless}/a.wav", "train") == "hindi_wavs/train/a.wav"


def test_missing_folders_draw_the_expected_tree(tmp_path):
    with pytest.raises(DataError) as caught:
        read_english(tmp_path / "none")
    assert "no such corpus folder" in str(caught.value) and "dev_seen_2020.json" in str(caught.value)
    SmallRelease(tmp_path)
    with pytest.raises(DataError, match=r"lacks 2 of its parts:[^?]*did you mean .*PlacesAudio_small\?"):
        read_english(tmp_path)
    with pytest.raises(DataError, match=r"lacks 2 of its parts:[^?]*did you mean .*PlacesHindi_small\?"):
        read_hindi(tmp_path)
    with pytest.raises(DataError, match="hindi_wavs"):
        read_hindi(tmp_path)
    shutil.rmtree(tmp_path / "PlacesAudio_small/wavs")
    with pytest.raises(DataError, match=r"lacks 1 of its parts:\n +.*/wavs: the recordings"):
        read_english(tmp_path / "PlacesAudio_small")
    shutil.rmtree(tmp_path / "PlacesHindi_small/hindi_wavs")
    with pytest.raises(DataError, match=r"lacks 1 of its parts:\n +.*/hindi_wavs: the recordings"):
        read_hindi(tmp_path / "PlacesHindi_small")


OTHER_LAYOUTS = [
    ("hindi_english_100k_train.json", read_hindi, "PlacesHindi100k_train.json"),
    ("utt2wav", read_english, "train_2020.json"),
    ("metadata/utt2image", read_english, "train_2020.json"),
]


@pytest.mark.parametrize(("name", "read", "expected"), OTHER_LAYOUTS)
def test_other_layouts_that_are_in_circulation_are_refused_with_the_tree_that_is_read(tmp_path, name, read, expected):
    """One JSON of both languages, and the tables of an early release."""
    for folder in ("hindi_wavs", "wavs", "metadata"):
        (tmp_path / folder).mkdir()
    (tmp_path / name).write_text('{"data": [{"hindi_wav": "a.wav", "english_wav": "b.wav", "image": "c.jpg"}]}')
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert expected in str(caught.value)


def test_not_json_names_the_line(tmp_path):
    path = tmp_path / "metadata" / "train.json"
    path.parent.mkdir()
    (tmp_path / "wavs").mkdir()
    path.write_text('{"data": [\n{"wav": "a"},\n{"wav" "b"}]}')
    with pytest.raises(DataError) as caught:
        read_english(tmp_path)
    assert caught.value.where == f"{path}:3"


@pytest.mark.parametrize("text", ["[]", '{"data": {}}', "[" * 100000, '{"data": [' + "1" * 5000 + "]}", '"\\ud800"'])
def test_json_that_is_no_metadata_is_refused(tmp_path, text):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "wavs").mkdir()
    (tmp_path / "metadata" / "train.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_english(tmp_path)
    assert "train.json" in str(caught.value.where)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"wav": None}, "no 'wav'"),
        ({"image": ""}, "no 'image'"),
        ({"wav": 7}, "'wav' is not text"),
        ({"wav": "../../etc/passwd"}, "leaves the folder"),
        ({"wav": "rm -rf x |"}, "read as a command"),
        ({"wav": "a.ark:17"}, "archive offset"),
        ({"speaker": "a b"}, "whitespace or '/'"),
        ({"uttid": "a/b"}, "whitespace or '/'"),
        ({"image": "a/\ud800.jpg"}, "not valid Unicode"),
        ({"asr_text": "\ud800"}, "not valid Unicode"),
        ({"wav": "wavs/2.wav"}, "utterance id s-1 is also that of record 1"),
    ],
)
def test_bad_records_are_listed_with_file_and_line(tmp_path, change, reason):
    path = tmp_path / "metadata" / "train.json"
    path.parent.mkdir()
    (tmp_path / "wavs").mkdir()
    path.write_text(json.dumps({"data": [GOOD, {**GOOD, **change}]}, indent=1))  # one line for each key
    records = read_english(tmp_path).splits["train"]
    assert len(records.captions) == 1
    (rejected,) = records.rejected
    assert rejected.id == "train#2" and reason in rejected.reason
    assert rejected.reason.startswith(f"{path}:10: record 2: ")


def test_records_that_are_no_objects_are_rejected(tmp_path):
    records = english(tmp_path, [GOOD, "text", None, [1]])
    assert [rejected.id for rejected in records.rejected] == ["train#2", "train#3", "train#4"]


def test_duplicates_are_left_out_but_are_not_bad(tmp_path):
    records = english(tmp_path, [GOOD, {**GOOD, "uttid": "s-2"}])
    assert (len(records.captions), records.rejected) == (1, [])
    assert "duplicate of record 1" in records.duplicates[0].reason


def test_unnamed_speakers_and_numbers_as_names(tmp_path):
    anonymous = {key: value for key, value in GOOD.items() if key not in ("speaker", "uttid")}
    records = english(tmp_path, [anonymous, {**GOOD, "speaker": 0, "uttid": 5, "wav": "wavs/2.wav"}])
    assert [c.utterance for c in records.captions] == ["unknown-train000001", "0-5"]


def test_places_of_records_with_other_keys_before_and_after(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"x": {"data": [1, 2]},\n "data": [\n  {"a": "]"},\n\n  [2], 3\n ], "y": 1}')
    lines = {1: 3, 2: 5, 3: 5}
    assert record_places(path, lines) == {record: f"{path}:{line}: record {record}" for record, line in lines.items()}
    assert read_metadata(path).records == [{"a": "]"}, [2], 3]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
RECORD = st.fixed_dictionaries({}, optional={key: JSON | st.just(GOOD[key]) for key in GOOD} | {"text_alignment": JSON})


@settings(max_examples=60, deadline=None)
@given(records=st.lists(JSON | RECORD, max_size=6), indent=st.sampled_from([None, 1]))
def test_every_record_is_kept_or_listed(tmp_path_factory, records, indent):
    root = tmp_path_factory.mktemp("fuzz")
    (root / "metadata").mkdir()
    (root / "wavs").mkdir()
    (root / "metadata" / "train.json").write_text(json.dumps({"data": records}, indent=indent))
    found = read_english(root).splits["train"]
    assert len(found.captions) + len(found.rejected) + len(found.duplicates) == len(records)


def test_alignments():
    words = parse_alignment("0.1__A__0.35 0.35__SNAKE__CASE__0.7")
    assert [(word.start_s, word.end_s, word.text) for word in words] == [(0.1, 0.35, "a"), (0.35, 0.7, "snake__case")]
    for bad in ("0.1__A", "A__0.1__0.2__", "x__A__1", "0.5__A__0.2", "nan__A__nan", "0__A__inf"):
        with pytest.raises(ValueError):
            parse_alignment(bad)
        with pytest.raises(ValueError):
            alignment_lines("s-1", bad)


ITEM = st.tuples(st.sampled_from(["0", "0.10", "1.5", "-1", "nan", "inf", "x", "1_0", ""]), st.text("aÉİ_1", max_size=5))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ITEM, st.sampled_from(["0.1", "2.25", "1e9", "_3", ""])), min_size=1, max_size=4))
def test_the_short_way_from_alignments_to_lines_is_the_long_one(items):
    alignment = " ".join(f"{start}__{word}__{end}" for (start, word), end in items)
    try:
        expected = ctm_lines("s-1", parse_alignment(alignment))
    except ValueError:
        with pytest.raises(ValueError, match=r"start__WORD__end|ends before|could not convert"):
            alignment_lines("s-1", alignment)
    else:
        assert alignment_lines("s-1", alignment) == expected


def test_readers_need_no_torch():
    verbs = ("prepare_places", "prepare_corpus", "prepare_manifest", "compute_stats", "inspect_data")
    code = f"import sys; {'; '.join(f'import vgspeech.bin.{verb}' for verb in verbs)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_trees_are_those_of_the_scripts():
    for tree, script in ((ENGLISH_TREE, "places_data_prep.sh"), (HINDI_TREE, "places_hindi_data_prep.sh")):
        text = (ROOT / "local" / script).read_text(encoding="utf-8").replace("#   ", "")
        assert tree in text
