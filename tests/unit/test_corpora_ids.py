import posixpath
import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vgspeech.corpora.ids import IMAGE_EXTENSIONS, image_id, image_stem, release_path, speaker_id, utterance_id

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SPEAKERS = st.text("ab-!=_%", min_size=1, max_size=4)


def stem_of(path: str) -> str:
    text = unicodedata.normalize("NFC", path.lstrip("/"))
    root, extension = posixpath.splitext(text)
    return root if extension.lower() in IMAGE_EXTENSIONS else text


def test_known_ids():
    assert image_id("/a/abbey/gsun_01.jpg") == "a%2Fabbey%2Fgsun_01"
    assert image_id("val2014/two words.JPEG") == "val2014%2Ftwo%20words"
    assert image_id("100%.png") == "100%25"
    assert image_id("v1.2") == "v1.2"  # not an image's extension
    assert image_id("e\u0301.jpg") == image_id("\u00e9.jpg") == "\u00e9"


@given(TEXT)
def test_image_id_can_be_undone_and_is_a_table_key(path):
    stem = stem_of(path)
    assume(stem and not stem.endswith("/"))
    image = image_id(path)
    assert image_stem(image) == stem
    assert "/" not in image and image.split() == [image] and not re.search(r"[\x00-\x20\x7f-\x9f]", image)


@given(TEXT, TEXT)
def test_two_images_have_two_ids(a, b):
    assume(all(stem_of(p) and not stem_of(p).endswith("/") for p in (a, b)))
    assert (image_id(a) == image_id(b)) == (stem_of(a) == stem_of(b))


@pytest.mark.parametrize("path", ["", "/", "..", "../secret.jpg", "a/../../b.jpg", "a\nb.jpg", "a\0.jpg", "\ud800.jpg"])
def test_paths_that_leave_their_root_or_name_nothing_are_refused(path):
    with pytest.raises(ValueError):
        release_path(path)


def test_release_paths_are_cleaned():
    assert release_path("/a//b/./c.wav") == "a/b/c.wav"
    assert release_path("/data/mit/wavs/a.wav", base="/data/mit/") == "wavs/a.wav"
    assert release_path("wavs/a.wav", base="/data/mit") == "wavs/a.wav"


@given(st.lists(st.tuples(SPEAKERS, st.text("ab-!", min_size=1, max_size=3)), min_size=1, max_size=12))
def test_sorted_by_utterance_is_sorted_by_speaker(pairs):
    listed = sorted((utterance_id(speaker, name), speaker_id(speaker)) for speaker, name in pairs)
    speakers = [speaker for _, speaker in listed]
    assert speakers == sorted(speakers)


@given(SPEAKERS, SPEAKERS)
def test_two_speakers_have_two_ids(a, b):
    assert (speaker_id(a) == speaker_id(b)) == (a == b)


def test_speaker_prefix_is_not_repeated():
    assert utterance_id("A1B", "A1B-GSUN_7") == "A1B-GSUN_7"
    assert utterance_id("A1B", "GSUN_7") == "A1B-GSUN_7"
    assert utterance_id("a-b", "a-b-1") == "a=2Db-1"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\tb", "\ud800"])
def test_speakers_with_blanks_or_slashes_are_refused(name):
    with pytest.raises(ValueError):
        speaker_id(name)
