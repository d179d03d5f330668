"""Repair of speech sets, and what validation says about sets that need it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from data_tools_set import content, find, make_images, make_set, speakers_set, tool
from vgspeech.datadir import SpeechSet, Word
from vgspeech.dataset_tools.fix import fix_set, kind_of
from vgspeech.errors import DataError
from vgspeech.streams import TABLE, TEXT, TIMES, Form, read_blocks
from vgspeech.tables import read_table, write_table
from vgspeech.validation import validate_speech_set


@pytest.fixture
def speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return speakers_set(Path("data dir/train_en"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_bytes(text.replace(old, new).encode())


def test_a_good_set_is_not_touched(speech: Path) -> None:
    before = content(speech)
    report = fix_set(find(speech))
    assert (report.total, report.kept, report.removed, report.changes) == (20, 20, None, {})
    assert content(speech) == before


def test_every_lost_utterance_has_its_reason(speech: Path) -> None:
    edit(speech / "utt2dur", "s00-u0 ", "s00-u0 0 ")
    edit(speech / "utt2image", "s00-u1 i0\n", "")
    edit(speech / "wav.scp", "s01-u0 /", "s01-u0 ~/")
    edit(speech / "text", "s02-u0 ", "s02-u0 <s> ")
    edit(speech / "utt2lang", "s03-u0 en\n", "s03-u0\n")
    edit(speech / "utt2spk", "s03-u1 s03\n", "s03-u1 s03\ns03-u1 s02\n")
    report = fix_set(find(speech))
    assert (report.total, report.kept) == (20, 14)
    assert report.removed is not None
    removed = read_table(report.removed)
    assert set(removed) == {"s00-u0", "s00-u1", "s01-u0", "s02-u0", "s03-u0", "s03-u1"}
    assert removed["s00-u1"] == "not in utt2image" and removed["s03-u0"] == "utt2lang:16: has no value"
    assert removed["s02-u0"] == "text:11: contains the reserved symbol <s>"
    assert removed["s03-u1"] == "utt2spk:18: a second line, which differs"
    assert sum(report.reasons.values()) == 6 and report.reasons["not in utt2image"] == 1
    assert "14 utterances" in validate_speech_set(speech, features=True)
    assert not set(SpeechSet.load(speech).ctm) & set(removed)


def test_originals_are_kept_even_of_a_second_repair(speech: Path) -> None:
    edit(speech / "utt2dur", "s00-u0 ", "s00-u0 0 ")
    damaged = content(speech)
    fix_set(find(speech))
    kept = content(speech / ".backup")
    assert kept and all(kept[name] == damaged[name] for name in kept)
    assert "utt2dur" in kept and "feats/fbank.scp" in kept and "feats/fbank.yaml" not in kept
    fix_set(find(speech))
    assert content(speech / ".backup") == kept  # nothing was to do
    edit(speech / "utt2dur", "s01-u0 ", "s01-u0 0 ")
    fix_set(find(speech))
    assert content(speech / ".backup.1") == kept
    assert set(read_table(speech / "removed")) == {"s01-u0"} and set(read_table(speech / ".backup/removed")) == {"s00-u0"}


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        (lambda raw: b"\xef\xbb\xbf" + raw, "byte order mark removed"),
        (lambda raw: raw.replace(b"\n", b"\r\n"), "carriage returns removed"),
        (lambda raw: b"".join(reversed(raw.splitlines(keepends=True))), "sorted"),
        (lambda raw: raw + raw.splitlines(keepends=True)[-1], "repeated lines removed"),
        (lambda raw: re.sub(rb"(?m)^(\S+) ", rb"\1  ", raw), "blanks put right"),
        (lambda raw: re.sub(rb"(?m)^(\S+) ", rb"\1\t", raw), "put in form"),
        (lambda raw: b"\n" + raw, "put in form"),
    ],
)
@pytest.mark.parametrize("name", ["utt2spk", "wav.scp", "utt2accent", "spk2gender"])
def test_form_is_repaired_without_loss(speech: Path, name: str, damage: object, repair: str) -> None:
    before = content(speech)
    (speech / name).write_bytes(damage(before[name]))  # type: ignore[operator]
    report = fix_set(find(speech))
    assert report.kept == report.total == 20 and list(report.changes) == [name]
    assert repair in report.changes[name]
    after = content(speech)
    assert {file: text for file, text in after.items() if file in before} == before
    assert after["removed"] == b""


def test_word_times_are_repaired(speech: Path) -> None:
    before = (speech / "ctm").read_bytes()
    lines = before.splitlines(keepends=True)
    bad = b"s00-u0 1 x 0.5 word\ns00-u0 1 0 -1 word\nnobody 1 0 1 word\ns00-u1 1 0\n"
    (speech / "ctm").write_bytes(b"".join(lines[6:]) + bad + b"".join(lines[:6]).replace(b"\n", b"\r\n"))
    with pytest.raises(DataError, match=r"ctm:31: has a carriage return"):
        validate_speech_set(speech)
    report = fix_set(find(speech))
    assert report.kept == 20 and report.changes == {"ctm": ["carriage returns removed", "sorted", "4 lines removed"]}
    assert (speech / "ctm").read_bytes() == before
    assert SpeechSet.load(speech).ctm["s00-u0"] == [Word(0, 0.5, "लाल"), Word(0.5, 1, "square")]


def test_a_last_line_that_is_cut_off_is_not_trusted(speech: Path) -> None:
    file = speech / "wav.scp"
    file.write_bytes(file.read_bytes()[:-4])
    fix_set(find(speech))
    assert read_table(speech / "removed") == {"s03-u4": "wav.scp:20: the last line is cut off"}


@pytest.mark.parametrize("name", ["text", "utt2dur", "wav.scp", "utt2spk"])
def test_an_empty_file_does_not_empty_the_set(speech: Path, name: str) -> None:
    (speech / name).write_bytes(b"")
    before = content(speech)
    with pytest.raises(DataError) as caught:
        fix_set(find(speech))
    assert f"none of the 20 utterances would be left:\n  20  not in {name}" in str(caught.value)
    assert "nothing was changed" in str(caught.value) and content(speech) == before


def test_hostile_ids_are_refused_or_carried_unharmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = ["$(touch${IFS}pwned)", "`id`", "a'b\"c", "--help", "*", "हिन्दी-1", ";rm"]
    source = make_set(Path("it's a $set"), {name: (name, "i1") for name in odd})
    done = tool("subset_data_dir.sh", source, "5", "a b")
    assert done.returncode == 0 and len(read_table("a b/utt2spk")) == 5
    assert tool("split_data_dir.sh", source, "3").stdout == "3\n"
    done = tool("combine_data_dir.sh", "again", *(source / "split3" / str(job) for job in (1, 2, 3)))
    assert done.returncode == 0 and set(read_table("again/utt2spk")) == set(odd)
    for line in (b"a b c\n", b"up/../../etc s\n", "no\u00a0break s\n".encode(), b"nul\0 s\n", b"new\nline s\n", b"l\xe9 s\n"):
        with open(source / "utt2spk", "ab") as stream:
            stream.write(line)
    assert tool("validate_data_dir.sh", source).returncode == 4
    done = tool("fix_data_dir.sh", source)
    assert done.returncode == 0 and "kept 7 of" in done.stdout
    assert set(read_table(source / "utt2spk")) == set(odd)
    assert tool("validate_data_dir.sh", "--feats", source).returncode == 0
    assert not Path("pwned").exists()


def test_two_spellings_of_one_hindi_id_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nfc, nfd = (unicodedata.normalize(form, "s-ऩ") for form in ("NFC", "NFD"))
    source = make_set(Path("x"), {nfc: ("s", "i1"), "s-a": ("s", "i1")}, "hi", feats=False)
    write_table(source / "utt2dur", {nfd: "1", "s-a": "1"})
    fix_set(find(source))
    removed = read_table(source / "removed")
    assert "other Unicode characters for the same letters" in removed[nfc] and nfd in removed[nfc]


def test_images_features_and_sound_files(speech: Path, tmp_path: Path) -> None:
    images = make_images(Path("images"), ["i0", "i1", "i2", "i3", "i4", "i5"])
    scp = speech / "feats/other.scp"
    scp.write_text("".join(scp.read_text().splitlines(keepends=True)[1:]))
    Path("good.wav").write_bytes(b"x")
    Path("empty.wav").touch()
    paths = dict.fromkeys(read_table(speech / "wav.scp"), "good.wav")
    write_table(speech / "wav.scp", {**paths, "s01-u1": "empty.wav", "s01-u2": "missing.wav", "s01-u3": "sox x |"})
    report = fix_set(find(speech), images=images, features=True, check_audio=True)
    removed = read_table(speech / "removed")
    assert removed["s00-u0"] == "not in feats/other.scp"
    assert removed["s01-u1"] == "its sound file is empty" and removed["s01-u2"] == "its sound file is missing"
    assert report.reasons["its image is not in images"] == 2 and report.kept == 15
    validate_speech_set(speech, images=images, features=True)


def test_segments_of_lost_recordings_go(speech: Path) -> None:
    names = list(read_table(speech / "utt2spk"))
    write_table(speech / "segments", {u: f"tape{i // 10} {i} {i + 1}" for i, u in enumerate(names)})
    write_table(speech / "wav.scp", {"tape0": "/0.wav", "tape7": "/7.wav"})
    edit(speech / "segments", "s00-u2 tape0 2 3", "s00-u2 tape0 3 2")
    report = fix_set(find(speech))
    assert report.kept == 9 and report.reasons["its recording is not in wav.scp"] == 10
    assert report.reasons["segments: the segment from N s to N s is empty or negative"] == 1
    assert read_table(speech / "wav.scp") == {"tape0": "/0.wav"}
    validate_speech_set(speech)


def test_kinds_of_reasons_join_what_differs_only_in_details() -> None:
    assert kind_of("utt2dur:7: duration 'abc' is not a number") == kind_of("utt2dur:9: duration 'de' is not a number")
    assert kind_of("not in text (which has 'x', other)") == "not in text"
    assert kind_of("wav.scp:3: the path starts with '~', which only shells understand").count("~") == 1


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TABLE, "a x y\nb\tz\n"),
        (TEXT, "a\nb \nc लाल\u2003घर\n"),
        (TIMES, "a 1 0 0.5 x\na 1 .5 1e-1 y\na 1 1 1 z 0.9\nb  1 0 1 लाल\n"),
        (TABLE, ""),
    ],
)
def test_blocks_hold_every_line_whatever_their_size(tmp_path: Path, form: Form, text: str, block_bytes: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(text.encode())
    records = [record for block in read_blocks(file, form, block_bytes=block_bytes) for record in block]
    assert b"".join(record[0] for record in records) == text.encode()
    assert all(record[0].startswith(record[1]) for record in records)


@pytest.mark.parametrize("block_bytes", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("form", "content_", "message"),
    [
        (TABLE, b"a 1\nb 2\r\n", ":2: has a carriage return"),
        (TABLE, b"\xef\xbb\xbfa 1\n", ":1: starts with a byte order mark"),
        (TABLE, b"a 1\nb 2", ":2: the last line has no newline"),
        (TABLE, b"a 1\na 2\n", ":2: 'a' appears twice"),
        (TABLE, b"a 1\nc 1\nb 2\n", ":3: 'b' comes after 'c'"),
        (TABLE, b"a 1\nb\n", ":2: 'b' has no value"),
        (TABLE, b"a 1\n\nb 2\n", ":2: is empty"),
        (TABLE, b"a 1\nb 1 \n", ":2: the value of 'b' starts or ends with a blank"),
        (TABLE, "a 1\nb\u00a0 1\n".encode(), ":2: id 'b\u00a0' is empty or contains a blank"),
        (TABLE, b"a 1\nb \xff\n", ":2: is not UTF-8"),
        (TEXT, b"a 1\na/b\n", ":2: id 'a/b'"),
        (TIMES, b"a 1 0 1 x\na 1 0 1\n", ":2: expected 'utterance channel start duration word'"),
        (TIMES, b"a 1 0 1 x\nb 1 nan 1 x\n", ":2: start 'nan' is not a number"),
        (TIMES, b"b 1 0 1 x\na 1 0 1 x\n", ":2: 'a' comes after 'b': the file is not sorted"),
        (TIMES, b"a 1 0 1 x\n b 1 0 1 x\n", ":2: starts with a blank"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, form: Form, content_: bytes, message: str, block_bytes: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(content_)
    with pytest.raises(DataError) as caught:
        list(read_blocks(file, form, block_bytes=block_bytes))
    assert str(caught.value).startswith(f"{file}{message}")
