"""Own recordings in a Kaldi data directory: what is read, what is left out, and what is refused with file and line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from test_corpora_tiers import NAMES, PATHS, own  # noqa: F401  # own is a fixture
from vgspeech.bin import prepare_manifest
from vgspeech.corpora.captions import Release
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.kaldi import read_kaldi
from vgspeech.corpora.roots import Roots
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError, UsageError
from vgspeech.files import read_json, sha256_file
from vgspeech.validation import validate_speech_set

UTTERANCES = [f"awa-{number:02}" for number in range(len(NAMES))]
Tables = dict[str, dict[str, str]]


@pytest.fixture
def tables(own: Path) -> Tables:  # noqa: F811
    """Five pieces of one long recording."""
    return {
        "wav.scp": {"long": f"{own}/rec/awa.wav"},
        "segments": {utt: f"long {number} {number + 0.75}" for number, utt in enumerate(UTTERANCES)},
        "utt2spk": dict.fromkeys(UTTERANCES, "awa"),
        "utt2lang": dict.fromkeys(UTTERANCES, "bam"),
        "utt2image": dict(zip(UTTERANCES, NAMES, strict=True)),
    }


def write(folder: Path, tables: Tables) -> Path:
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        (folder / name).write_text("".join(f"{key} {value}\n" for key, value in table.items()))
    return folder


def read(own: Path, tables: Tables) -> list[Release]:  # noqa: F811
    return read_kaldi(write(own / "kaldi", tables), Roots(own, own), Fractions(0, 0))


def test_utterances_of_segments_become_captions(own: Path, tables: Tables) -> None:  # noqa: F811
    tables["segments"]["awa-04"] = "long 9.25 -1"  # to the end, as Kaldi writes it
    tables["text"] = {"awa-00": "sugu  kɔnɔ", "awa-01": ""}
    tables["utt2share"] = {"awa-03": "no"}
    (release,) = read(own, tables)
    captions = release.splits["train"].captions
    assert release.language == "bam" and not release.splits["train"].rejected and not release.notes
    assert [(one.utterance, one.speaker, one.image, one.wav) for one in captions] == [
        (utt, "awa", path, "rec/awa.wav") for utt, path in zip(UTTERANCES, PATHS, strict=True)
    ]
    assert [(one.start_s, one.end_s) for one in captions] == [*((n, n + 0.75) for n in range(4)), (9.25, None)]
    assert [one.text for one in captions] == ["sugu kɔnɔ", "", "", "", ""]
    assert [one.share for one in captions] == [True, True, True, False, True]


def test_without_segments_an_utterance_is_a_recording(own: Path, tables: Tables) -> None:  # noqa: F811
    del tables["segments"]
    tables["wav.scp"] = {"a1": "rec/awa.wav"}
    for name, value in (("utt2spk", "awa"), ("utt2lang", "bam"), ("utt2image", "Market")):
        tables[name] = {"a1": value}
    ((caption,), ) = (release.splits["train"].captions for release in read(own, tables))
    assert caption.utterance == "awa-a1" and not caption.is_piece(), "the speaker comes first"


def test_utterances_that_describe_no_picture_are_left_out_and_counted(own: Path, tables: Tables) -> None:  # noqa: F811
    for utt in UTTERANCES[1:3]:
        del tables["utt2image"][utt]
    (release,) = read(own, tables)
    assert [one.utterance for one in release.splits["train"].captions] == ["awa-00", "awa-03", "awa-04"]
    (note,) = release.notes
    assert "segments: 2 of 5 utterances are not in utt2image and were left out; the first: awa-01" in note


@pytest.mark.parametrize(
    ("table", "line", "told"),
    [
        ("utt2image", ("awa-03", "goatt"), "segments:4: no picture 'goatt' in"),
        ("utt2image", ("bob-01", "Market"), "utt2image:6: the utterance bob-01 is not in segments"),
        ("segments", ("awa-03", "short 3 4"), "segments:4: the recording short is not in wav.scp"),
        ("utt2lang", ("awa-03", None), "segments:4: the utterance awa-03 is not in utt2lang"),
        ("utt2lang", ("awa-03", "bambara"), "segments:4: language 'bambara' is not a tag of two or three letters"),
        ("utt2spk", ("awa-03", None), "segments:4: the utterance awa-03 is not in utt2spk"),
        ("utt2spk", ("awa-03", "awa k"), "segments:4: speaker 'awa k' holds whitespace"),
        ("utt2share", ("awa-03", "perhaps"), "segments:4: 'share' is yes or no"),
    ],
)
def test_a_bad_line_is_listed_with_its_place(
    own: Path, tables: Tables, table: str, line: tuple[str, str | None], told: str  # noqa: F811
) -> None:
    tables.setdefault(table, {})
    tables[table][line[0]] = line[1] or ""
    if line[1] is None:
        del tables[table][line[0]]
    (release,) = read(own, tables)
    (reason,) = [one.reason for one in release.splits["train"].rejected]
    assert reason.startswith(f"{own}/kaldi/") and told in reason
    assert len(release.splits["train"].captions) == 5 - (line[0] != "bob-01")


@pytest.mark.parametrize(
    ("table", "content", "told"),
    [
        ("wav.scp", "long sph2pipe -f wav long.sph |\n", r"wav\.scp:1: the recording long is a command"),
        ("wav.scp", "long | touch ran\n", r"wav\.scp:1: the recording long is a command"),
        ("wav.scp", "long /etc/passwd\n", r"/etc/passwd' lies outside .*--audio DIR"),
        ("wav.scp", "long wav.ark:17\n", "an archive offset"),
        ("wav.scp", None, r"has no wav\.scp"),
        ("utt2spk", None, "has no utt2spk"),
        ("utt2lang", None, r"has no utt2lang(.|\n)*sed 's/ \.\*/ fra/' utt2spk > utt2lang"),
        ("utt2image", None, r"has no utt2image(.|\n)*the picture's file name"),
        ("utt2image", "awa-01 Market\nawa-00 Market\n", r"utt2image:2: (.|\n)*LC_ALL=C sort"),
        ("utt2image", "awa-00 Market\r\n", r"utt2image:1: has a carriage return(.|\n)*sed -i"),
        ("segments", "awa-00 long 1\n", r"segments:1: expected 'utterance recording start end'"),
        ("segments", "awa-00 long 2 1\n", r"segments:1: the segment from 2 s to 1 s is empty"),
    ],
)
def test_a_directory_that_cannot_be_used(own: Path, tables: Tables, table: str, content: str | None, told: str) -> None:  # noqa: F811
    folder = write(own / "kaldi", tables)
    (folder / table).unlink()
    if content is not None:
        (folder / table).write_text(content)
    with pytest.raises(DataError, match=told):
        read_kaldi(folder, Roots(own, own), Fractions(0, 0))
    assert not Path("ran").exists()
    with pytest.raises(DataError, match="no such Kaldi data directory"):
        read_kaldi(own / "none", Roots(own, own), Fractions(0, 0))


def prepare(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare_manifest", "--dev", "0", "--test", "0", *options, "data/x"])
    prepare_manifest.main()


def test_the_command_writes_valid_sets_and_what_it_read(
    own: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    write(own / "kaldi", tables)
    paths = ("--kaldi", "own/kaldi", "--audio", "own", "--images", "own")
    prepare(monkeypatch, *paths)
    validate_speech_set("data/x/speech/train_bam", images="data/x/images/train")
    speech = SpeechSet.load("data/x/speech/train_bam")
    assert speech.ids == UTTERANCES and speech.audio_location("awa-02")[1:] == (2, 2.75)
    wanted = {f"own/kaldi/{name}": sha256_file(own / "kaldi" / name) for name in tables}
    assert read_json("data/x/.read_files.json") == wanted | {"own/kaldi/text": "", "own/kaldi/utt2share": ""}
    prepare(monkeypatch, *paths, "--hash-speakers", "true")
    assert not any("awa" in utt for utt in SpeechSet.load("data/x/speech/train_bam").ids)
    with pytest.raises(UsageError, match="one of them"):
        prepare(monkeypatch, *paths, "--tree", "own")
    with pytest.raises(UsageError, match="--tier goes with --manifest"):
        prepare(monkeypatch, *paths, "--tier", "picture")
