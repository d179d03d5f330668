"""Tables and data directories: round trips, and a message with file and line for every broken rule."""

import unicodedata
from pathlib import Path

import pytest

from vgspeech.datadir import (
    ImageSet,
    SceneObject,
    Segment,
    SpeechSet,
    Word,
    check_rejected,
    job_slice,
    read_ctm,
    read_lexicon,
    read_table,
    write_image_set,
    write_rejected,
    write_speech_set,
    write_table,
)
from vgspeech.errors import DataError, UsageError
from vgspeech.validation import validate_image_set, validate_speech_set

UTTERANCES = ["s1-a", "s1-b", "s2-a"]


@pytest.fixture
def speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_speech_set(
        "speech/dev_hi",
        wav={name: str(tmp_path / "wav" / f"{name}.wav") for name in UTTERANCES},
        utt2spk={name: name[:2] for name in UTTERANCES},
        utt2lang=dict.fromkeys(UTTERANCES, "hi"),
        utt2dur={"s1-a": 1.25, "s1-b": 10.0, "s2-a": 0.0000625},
        utt2image={"s1-a": "i1", "s1-b": "i1", "s2-a": "i2"},
        text={"s1-a": "लाल घर", "s1-b": "", "s2-a": "x y"},
        ctm={"s1-a": [Word(0.0, 0.5, "लाल"), Word(0.5, 1.25, "घर")]},
    )
    return Path("speech/dev_hi")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    objects = {"i1": [SceneObject("house", "red", (1, 2, 30, 40))]}
    write_image_set("images/dev", paths={"i1": "/x/1.jpg", "i2": "p/2 b.jpg"}, sizes={"i1": (64, 48)}, objects=objects)
    return Path("images/dev")


def test_speech_set_round_trip(speech: Path) -> None:
    loaded = SpeechSet.load(speech)
    assert loaded.ids == UTTERANCES and loaded.name == "dev_hi" and len(loaded) == 3
    assert loaded.audio_location("s1-b") == ("wav/s1-b.wav", None, None)  # relative to the work directory
    assert loaded.utt2dur == {"s1-a": 1.25, "s1-b": 10.0, "s2-a": 0.000063}
    assert loaded.text == {"s1-a": "लाल घर", "s1-b": "", "s2-a": "x y"}
    assert loaded.ctm == {"s1-a": [Word(0.0, 0.5, "लाल"), Word(0.5, 1.25, "घर")]}
    assert loaded.ctm_phones == {} and loaded.may_share("s1-a")
    assert (speech / "spk2utt").read_text(encoding="utf-8") == "s1 s1-a s1-b\ns2 s2-a\n"
    write_table(speech / "utt2share", {"s1-a": "no", "s1-b": "yes", "s2-a": "yes"})
    again = SpeechSet.load(speech)
    assert not again.may_share("s1-a") and again.may_share("s1-b")


def test_segments(speech: Path) -> None:
    tables = {name: read_table(speech / name) for name in ("utt2spk", "utt2lang", "utt2image")}
    pieces = {name: Segment("tape", 1.5 * i, 1.5 * i + 1) for i, name in enumerate(UTTERANCES)}
    pieces["s2-a"] = Segment("tape", 3.0, None)
    write_speech_set(
        speech, wav={"tape": "tape.wav"}, utt2dur=dict.fromkeys(UTTERANCES, 1.0), segments=pieces, **tables
    )
    loaded = SpeechSet.load(speech)
    assert loaded.audio_location("s1-b") == ("tape.wav", 1.5, 2.5)
    assert loaded.audio_location("s2-a") == ("tape.wav", 3.0, None)
    assert not (speech / "text").exists() and not (speech / "ctm").exists()  # none of the earlier preparation's files
    assert "3 utterances" in validate_speech_set(speech)
    (speech / "segments").write_text("s1-a tape 2 1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"segments:1: the segment from 2 s to 1 s is empty"):
        SpeechSet.load(speech)


def test_image_set_round_trip(images: Path) -> None:
    loaded = ImageSet.load(images)
    assert loaded.ids == ["i1", "i2"] and loaded.paths["i2"] == "p/2 b.jpg"
    assert loaded.sizes == {"i1": (64, 48)}
    assert loaded.objects() == {"i1": [SceneObject("house", "red", (1, 2, 30, 40))]}
    assert validate_image_set(images).endswith("2 images")
    (images / "objects.tsv").unlink()
    assert ImageSet.load(images).objects() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\nb 2\r\n", ":2: has a carriage return"),
        (b"\xef\xbb\xbfa 1\n", ":1: starts with a byte order mark"),
        (b"a 1\nb 2", ":2: the last line has no newline"),
        (b"a 1\na 2\n", ":2: 'a' appears twice"),
        (b"b 1\na 2\n", ":2: 'a' comes after 'b'"),
        (b"1_2 x\n13_1 x\n", ":2: '13_1' comes after '1_2'"),
        (b"a 1\nb\n", ":2: 'b' has no value"),
        (b"a 1\nb \n", ":2: 'b' has no value"),
        (b"a 1\n\nb 2\n", ":2: is empty"),
        (b" a 1\n", ":1: starts with a blank"),
        (b"a  1\n", ":1: the value of 'a' starts or ends with a blank"),
        (b"a 1 \n", ":1: the value of 'a' starts or ends with a blank"),
        (b"a/b 1\n", ":1: id 'a/b' is empty or contains a blank or '/'"),
        ("a\u00a0b 1\n".encode(), ":1: id 'a\u00a0b' is empty or contains a blank"),
        (b"a 1\nb \xff\n", ":2: is not UTF-8"),
    ],
)
def test_bad_tables(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert caught.value.exit_code == 4


def test_tables_in_c_order(tmp_path: Path) -> None:
    table = {"b": "1", "A": "2 3", "é": "x", "a-b": "4", "a": "5", "𝄞": "6", "क": "7"}
    write_table(tmp_path / "t", table)
    lines = (tmp_path / "t").read_bytes().splitlines()
    assert lines == sorted(lines)
    assert read_table(tmp_path / "t") == table
    bad_ids = dict.fromkeys(["a b", "a/b", "", "a\u00a0b", "a\x1cb", "a\0", "a\n"], "1")
    for key, value in {**bad_ids, "a": "1\n2", "b": "1\r", "c": " 1", "d": "1\u2003"}.items():
        with pytest.raises(DataError):
            write_table(tmp_path / "bad", {key: value})
    assert not (tmp_path / "bad").exists()


def test_empty_values_only_where_allowed(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a\nb words here\n", encoding="utf-8")
    assert read_table(tmp_path / "text", allow_empty=True) == {"a": "", "b": "words here"}


def test_ctm(tmp_path: Path) -> None:
    path = tmp_path / "ctm"
    nfd = unicodedata.normalize("NFD", "é")
    path.write_text(f"b 1 0.5 0.25 two\nb 1 0 0.5 {nfd} 0.9\na 1 1 0 x\n", encoding="utf-8")
    assert read_ctm(path) == {"b": [Word(0.0, 0.5, "é"), Word(0.5, 0.75, "two")], "a": [Word(1.0, 1.0, "x")]}
    for line in ("a 1 0 0.5", "a 1 x 0.5 w", "a 1 0 -1 w", "a 1 nan 1 w"):
        path.write_text(f"a 1 0 1 w\n{line}\n", encoding="utf-8")
        with pytest.raises(DataError, match="ctm:2: "):
            read_ctm(path)


def test_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    nfd = unicodedata.normalize("NFD", "café")
    path.write_text(f"concept\ten\thi\nhouse\thouse|home\tघर\nred\tred\t\ncafe\t{nfd}\tघर\n", encoding="utf-8")
    lexicon = read_lexicon(path)
    assert lexicon.languages == ("en", "hi")
    assert lexicon.concepts["house"] == {"en": ("house", "home"), "hi": ("घर",)}
    assert lexicon.concepts_of("en", "home") == {"house"} and lexicon.concepts_of("hi", "घर") == {"house", "cafe"}
    assert lexicon.concepts_of("en", "café") == lexicon.concepts_of("en", nfd) == {"cafe"}
    assert lexicon.concepts_of("hi", "home") == set() and lexicon.concepts["red"]["hi"] == ()
    for text, line in (("word\ten\n", 1), ("concept\ten\na\n", 2), ("concept\ten\na\tb\na\tc\n", 3), ("", 1)):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=f"lexicon.tsv:{line}: "):
            read_lexicon(path)


def test_rejected(tmp_path: Path) -> None:
    path = tmp_path / "rejected"
    write_rejected(path, [("b", "x.wav: is empty"), ("a", "two\nlines ")])
    assert path.read_text(encoding="utf-8") == "a two lines\nb x.wav: is empty\n"
    assert check_rejected(path, 200, 0.01) == 2
    with pytest.raises(DataError, match=r"2 of 199 inputs cannot be used, more than --max-bad 0\.01") as caught:
        check_rejected(path, 199, 0.01)
    assert "b: x.wav: is empty" in str(caught.value)


@pytest.mark.parametrize("total", [0, 1, 5, 16])
def test_job_slices_cover_everything_once(total: int) -> None:
    for jobs in (1, 3, 16):
        shares = [range(total)[job_slice(total, job, jobs)] for job in range(1, jobs + 1)]
        assert [i for share in shares for i in share] == list(range(total))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    with pytest.raises(UsageError):
        job_slice(total, 0, 3)


def test_valid_set(speech: Path, images: Path) -> None:
    assert validate_speech_set(speech, images=images).endswith("3 utterances, 0.00 h, 2 speakers, hi")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utt2lang", "s1-a hi\ns1-b hi\n", "utt2lang: has no line for 's2-a' (1 such utterances)"),
        ("utt2lang", "s1-a hi\ns1-b hi\ns2-a en\n", "a set holds one language, this one has en, hi"),
        ("utt2image", "s1-a i1\ns1-b i1\ns2-a i2\ns3-a i2\n", "utt2image:4: 's3-a' is not in utt2spk"),
        ("utt2image", "s1-a i1\ns1-b i9\ns2-a i2\n", "utt2image:2: image 'i9' is not known"),
        ("utt2dur", "s1-a 1\ns1-b 0\ns2-a 1\n", "utt2dur:2: the duration is not positive"),
        ("spk2utt", "s1 s1-a\ns2 s1-b s2-a\n", "spk2utt:1: does not agree with utt2spk about speaker 's1'"),
        ("wav.scp", "s1-a a.wav\ns1-b ~/b.wav\ns2-a c.wav\n", "wav.scp:2: the path starts with '~'"),
        ("wav.scp", "s1-a a.wav\ns2-a c.wav\n", "wav.scp: has no line for 's1-b'"),
        ("text", "s1-a <s> x\ns1-b y\ns2-a\n", "text:1: contains the reserved symbol <s>"),
        ("ctm", "s9 1 0 1 x\n", "ctm:1: utterance 's9' is not known"),
        ("segments", "s1-a r 0 1\ns1-b s1-b 0 1\ns2-a s2-a 0 1\n", "segments:1: recording 'r' of 's1-a' is not in"),
        ("images.scp", "i1 x.jpg\n", "images belong into a folder of their own"),
        ("utt2spk", "", "utt2spk: has no utterances"),
        ("utt2spk", "s1-b s1\ns1-a s1\n", "utt2spk:2: 's1-a' comes after 's1-b'"),
        ("feats.scp", "s1-a none.ark:5\n", "'s1-a' at none.ark:5: cannot open the archive"),
    ],
)
def test_invalid_sets(speech: Path, images: Path, name: str, content: str, message: str) -> None:
    (speech / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        validate_speech_set(speech, images=images)
    assert message in str(caught.value)


def test_speaker_order(speech: Path) -> None:
    write_table(speech / "utt2spk", {"s1-a": "z", "s1-b": "y", "s2-a": "x"})
    write_table(speech / "spk2utt", {"z": "s1-a", "y": "s1-b", "x": "s2-a"})
    with pytest.raises(DataError, match="moves when the file is sorted by speaker"):
        validate_speech_set(speech)
    validate_speech_set(speech, spk_sort=False)


def test_missing_parts(speech: Path, images: Path) -> None:
    with pytest.raises(DataError, match="no features yet"):
        validate_speech_set(speech, features=True)
    with pytest.raises(DataError, match="no packed images yet"):
        validate_image_set(images, packed=True)
    with pytest.raises(DataError, match="no such folder"):
        validate_speech_set("nowhere")
    (speech / "utt2image").unlink()
    with pytest.raises(DataError, match="utt2image: no such file"):
        SpeechSet.load(speech)


def test_invalid_image_sets(images: Path) -> None:
    (images / "objects.tsv").write_text(
        "image\tconcept\tcolour\tx0\ty0\tx1\ty1\ni1\ta\tb\t0\t0\t65\t9\n", encoding="utf-8"
    )
    with pytest.raises(DataError, match="a box of 'i1' lies outside its 64 x 48 pixels"):
        validate_image_set(images)
    (images / "image2size").write_text("i1 64 0\n", encoding="utf-8")
    with pytest.raises(DataError, match="image2size:1: expected 'image width height'"):
        ImageSet.load(images)


def test_stock_kaldi_rules(speech: Path) -> None:
    """What Kaldi's validate_data_dir.sh checks first: every table is sorted as `sort` sorts in the C locale."""
    for table in speech.iterdir():
        lines = table.read_bytes().splitlines()
        assert table.name == "ctm" or lines == sorted(lines)
