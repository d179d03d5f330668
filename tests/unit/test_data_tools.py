"""Subset, split, combine and copy of speech sets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_tools_set import content, find, make_images, make_set, speakers_set, tool
from vgspeech.datadir import SpeechSet
from vgspeech.dataset_tools.combine import combine_sets, merge
from vgspeech.dataset_tools.renaming import copy_set
from vgspeech.dataset_tools.selection import Selection, subset_set
from vgspeech.dataset_tools.split import split_set
from vgspeech.errors import DataError, UsageError
from vgspeech.tables import read_table, write_table
from vgspeech.validation import validate_speech_set

NAMES = st.text(st.sampled_from("ab1-_.$(`'\"é"), min_size=1, max_size=4)
SETS = st.dictionaries(
    st.tuples(NAMES, NAMES).map(lambda pair: f"{pair[0]}-{pair[1]}"), st.sampled_from(["i1", "i2", "i3"]), min_size=1, max_size=12
)
FAST = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return speakers_set(Path("data dir/train_en"))


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> object:
    """A function that goes to a new folder, for tests that run many times."""
    return lambda: monkeypatch.chdir(tmp_path_factory.mktemp("x"))


def ids(path: Path | str) -> list[str]:
    return list(read_table(Path(path) / "utt2spk"))


def test_a_subset_has_every_file_and_is_valid(speech: Path) -> None:
    assert subset_set(find(speech), Selection(count=7), "small") == (7, 20)
    kept, all_files, small = ids("small"), content(speech), content(Path("small"))
    assert len(kept) == 7 and small.keys() == all_files.keys()
    for name in ("wav.scp", "utt2accent", "text", "feats/other.scp", "ctm", "ctm_phones"):
        lines = all_files[name].splitlines(keepends=True)
        assert small[name] == b"".join(line for line in lines if line.split()[0].decode() in kept), name
    assert small["feats.scp"] == b"feats/fbank.scp" and small["feats/fbank.yaml"] == all_files["feats/fbank.yaml"]
    assert set(read_table("small/spk2gender")) == set(SpeechSet.load("small").utt2spk.values())
    assert "7 utterances" in validate_speech_set("small", features=True)


def test_images_and_speakers_are_taken_whole(speech: Path) -> None:
    whole = SpeechSet.load(speech)
    subset_set(find(speech), Selection("image", 3), "by_image")
    images = set(SpeechSet.load("by_image").utt2image.values())
    assert len(images) == 3 and ids("by_image") == [u for u in whole.ids if whole.utt2image[u] in images]
    subset_set(find(speech), Selection("speaker", 2), "by_speaker")
    assert len(ids("by_speaker")) == 10 and len(read_table("by_speaker/spk2utt")) == 2


def test_the_same_images_are_taken_in_both_languages(speech: Path) -> None:
    hindi = make_set(Path("train_hi"), {f"h{i}-x": (f"h{i}", f"i{i}") for i in range(7)}, "hi")
    for name, source in (("en", speech), ("hi", hindi)):
        subset_set(find(source), Selection("image", 4), name)
    assert set(SpeechSet.load("en").utt2image.values()) == set(SpeechSet.load("hi").utt2image.values())


def test_splits_share_no_image(speech: Path) -> None:
    subset_set(find(speech), Selection("image", 2), "test")
    subset_set(find(speech), Selection("image", 2, apart_from=["test"]), "dev")
    subset_set(find(speech), Selection(apart_from=["test", "dev"]), "train")
    sets = [SpeechSet.load(name) for name in ("test", "dev", "train")]
    images = [set(part.utt2image.values()) for part in sets]
    assert sorted(u for part in sets for u in part.ids) == ids(speech)
    assert not images[0] & images[1] and not images[2] & (images[0] | images[1])
    validate_speech_set("train", apart_from=["test", "dev"])
    with pytest.raises(DataError, match=r"utt2image:\d+: image 'i\d' is also in test"):
        validate_speech_set(speech, apart_from=["test"])


def test_shortest_first_last_and_lists(speech: Path, tmp_path: Path) -> None:
    durations = SpeechSet.load(speech).utt2dur
    subset_set(find(speech), Selection(count=4, order="shortest"), "short")
    assert ids("short") == sorted(sorted(durations, key=lambda u: (durations[u], u))[:4])
    subset_set(find(speech), Selection(count=3, order="first"), "first")
    subset_set(find(speech), Selection(count=3, order="last"), "last")
    assert ids("first") == ids(speech)[:3] and ids("last") == ids(speech)[-3:]
    Path("list").write_text("s02-u1 more words\ns00-u3\n", encoding="utf-8")
    subset_set(find(speech), Selection(listed=Path("list")), "listed")
    assert ids("listed") == ["s00-u3", "s02-u1"]
    Path("list").write_text("s02-u1\ns9-u9\n", encoding="utf-8")
    with pytest.raises(DataError, match="list:2: utterance 's9-u9' is not in"):
        subset_set(find(speech), Selection(listed=Path("list")), "listed")
    with pytest.raises(UsageError, match=r"21 utterances are asked for; .* has 20"):
        subset_set(find(speech), Selection(count=21), "more")
    assert not Path("more").exists()


@FAST
@given(SETS, st.data())
def test_a_subset_of_a_subset_is_the_smaller_subset(fresh: object, utterances: dict[str, str], data: st.DataObject) -> None:
    fresh()  # type: ignore[operator]
    source = make_set(Path("x"), {u: (u, image) for u, image in utterances.items()})
    large = data.draw(st.integers(1, len(utterances)))
    small = data.draw(st.integers(1, large))
    subset_set(find(source), Selection(count=large), "large")
    subset_set(find(Path("large")), Selection(count=small), "twice")
    subset_set(find(source), Selection(count=small), "once")
    assert content(Path("twice")) == content(Path("once"))


@FAST
@given(SETS, st.integers(1, 15), st.booleans())
def test_split_then_combine_changes_nothing(fresh: object, utterances: dict[str, str], jobs: int, by_speaker: bool) -> None:
    fresh()  # type: ignore[operator]
    source = make_set(Path("x"), {u: (u[0], image) for u, image in utterances.items()})
    report = split_set(find(source), jobs, by="speaker" if by_speaker else "utterance")
    parts = [report.folder / str(job) for job in range(1, report.parts + 1)]
    assert all(ids(part) for part in parts)
    combine_sets([find(part) for part in reversed(parts)], "again")
    before = {name: text for name, text in content(source).items() if not name.startswith("split")}
    assert content(Path("again")) == before


def test_split_by_speaker_keeps_speakers_together_and_clamps(speech: Path) -> None:
    report = split_set(find(speech), 9)
    assert report.folder == speech / "split4" and report.remark == f"{speech} has 4 speakers: making 4 parts instead of 9"
    speakers = [set(read_table(report.folder / str(job) / "spk2utt")) for job in range(1, 5)]
    assert sorted(map(len, speakers)) == [1, 1, 1, 1] and len(set.union(*speakers)) == 4
    report = split_set(find(speech), 8, by="utterance")
    sizes = [len(ids(report.folder / str(job))) for job in range(1, 9)]
    assert report.folder.name == "split8utt" and sum(sizes) == 20 and max(sizes) - min(sizes) <= 1
    for job in range(1, 9):
        validate_speech_set(report.folder / str(job), features=True)
    with pytest.raises(UsageError, match="at least 1"):
        split_set(find(speech), 0)


def test_a_new_split_replaces_the_old_one(speech: Path) -> None:
    folder = split_set(find(speech), 2).folder
    (folder / "2" / "stale").touch()
    split_set(find(speech), 2)
    assert not (folder / "2" / "stale").exists() and not list(speech.glob(".*"))


def segmented(path: Path, recording: str = "tape") -> Path:
    speakers_set(path, feats=False)
    names = ids(path)
    write_table(path / "segments", {u: f"{recording}{i // 10} {i} {i + 1}" for i, u in enumerate(names)})
    write_table(path / "wav.scp", {f"{recording}{i}": f"/{i}.wav" for i in range(2)})
    write_table(path / "reco2dur", {f"{recording}{i}": "99" for i in range(2)})
    return path


def test_recordings_follow_their_segments(speech: Path) -> None:
    source = segmented(Path("taped"))
    subset_set(find(source), Selection(count=3, order="first"), "three")
    assert read_table("three/wav.scp") == {"tape0": "/0.wav"} and read_table("three/reco2dur") == {"tape0": "99"}
    parts = split_set(find(source), 3).folder
    combine_sets([find(parts / str(job)) for job in (1, 2, 3)], "again")
    assert content(Path("again")) == {n: t for n, t in content(source).items() if not n.startswith("split")}
    copy_set(find(source), "copy", utt_prefix="p-", spk_prefix="p-")
    assert set(read_table("copy/wav.scp")) == {"tape0", "tape1"} and ids("copy")[0] == "p-s00-u0"
    assert read_table("copy/segments")["p-s00-u0"] == "tape0 0 1"
    combine_sets([find(Path("copy")), find(speech)], "mixed")  # whole recordings become segments of themselves
    validate_speech_set("mixed")
    assert SpeechSet.load("mixed").audio_location("s00-u0")[1] == 0.0


def test_what_may_not_be_shared_stays_so_in_every_copy(speech: Path) -> None:
    every = ids(speech)
    write_table(speech / "utt2share", {utt: "no" if utt == every[0] else "yes" for utt in every})
    other = make_set(Path("other"), {"z-1": ("z", "i2")})  # without the table: all may be shown
    report = combine_sets([find(other), find(speech)], "both", features=False)
    assert not any("utt2share" in remark for remark in report.remarks)
    validate_speech_set("both")
    assert read_table("both/utt2share") == {**read_table(speech / "utt2share"), "z-1": "yes"}
    copy_set(find(speech), "copy", utt_prefix="p-")
    assert SpeechSet.load("copy").private == {f"p-{every[0]}"}


def test_a_renamed_copy_is_valid_and_combines(speech: Path) -> None:
    assert copy_set(find(speech), "b", utt_prefix="b-", spk_prefix="b-") == 20
    assert "20 utterances" in validate_speech_set("b", features=True)
    assert read_table("b/utt2uniq")["b-s00-u0"] == "s00-u0"
    lines = Path("b/ctm_phones").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 240 and all(line.startswith("b-s") for line in lines)
    assert set(read_table("b/spk2gender")) == {f"b-s{i:02d}" for i in range(4)}
    report = combine_sets([find(speech), find(Path("b"))], "both")
    assert report.utterances == 40 and report.remarks == []
    validate_speech_set("both", features=True)
    assert read_table("both/utt2uniq")["s00-u0"] == "s00-u0"
    copy_set(find(Path("b")), "bb", utt_prefix="x")
    assert read_table("bb/utt2uniq")["xb-s00-u0"] == "s00-u0"  # the name in the archives, through every copy
    with pytest.raises(UsageError, match="contains a blank or '/'"):
        copy_set(find(speech), "c", utt_prefix="a b")


def test_a_plain_copy_is_the_same(speech: Path) -> None:
    copy_set(find(speech), "copy")
    assert content(Path("copy")) == content(speech)


def test_combine_refuses_what_does_not_fit(speech: Path) -> None:
    other = make_set(Path("other"), {"s02-u1": ("s02", "i1"), "z-1": ("z", "i2")})
    with pytest.raises(DataError, match=r"other/utt2spk:1: utterance 's02-u1' is also in data dir/train_en/utt2spk:12") as caught:
        combine_sets([find(speech), find(other)], "x")
    assert "copy_data_dir.sh --utt-prefix" in str(caught.value) and not Path("x").exists()
    hindi = make_set(Path("hi"), {"h-1": ("h", "i1")}, "hi")
    with pytest.raises(DataError, match=r"hi/utt2lang:1: a speech set holds one language: this is hi, and .*:1 is en"):
        combine_sets([find(speech), find(hindi)], "x")
    third = make_set(Path("third"), {"s00-z": ("s00", "i1")})
    write_table(third / "spk2gender", {"s00": "m"})
    with pytest.raises(DataError, match=r"speaker 's00' is also in .*spk2gender:1, with another line"):
        combine_sets([find(speech), find(third)], "x")
    (third / "spk2gender").unlink()
    (third / "feats/other.yaml").write_text("num_mel_bins: 80\n")
    with pytest.raises(DataError, match="features made in two ways"):
        combine_sets([find(speech), find(third)], "x")
    report = combine_sets([find(speech), find(third)], "x", features=False)
    assert report.remarks == ["spk2gender is left out: third does not have it"] and not Path("x/feats").exists()
    validate_speech_set("x")


@FAST
@given(st.lists(st.lists(st.binary(min_size=1, max_size=2), unique=True, max_size=9), max_size=4), st.integers(1, 4))
def test_merge_sorts(streams: list[list[bytes]], size: int) -> None:
    unique = [sorted({bytes([number]) + key for key in keys}) for number, keys in enumerate(streams)]
    mixed = [[key[1:] + key[:1] for key in keys] for keys in unique]
    blocks = [[[(k, k) for k in sorted(ks)[i : i + size]] for i in range(0, len(ks), size)] for ks in mixed]
    merged = [key for block in merge([iter(stream) for stream in blocks]) for _, key in block]
    assert merged == sorted(key for keys in mixed for key in keys)


def test_files_nobody_knows_are_named_and_can_be_declared(speech: Path) -> None:
    (speech / "notes").write_text("s00-u0 x\ns00-u1 y\ns03-u4 z\n", encoding="utf-8")
    (speech / "rooms").write_text("s00 big\ns03 small\n", encoding="utf-8")
    done = tool("subset_data_dir.sh", "--first", speech, "5", "out")
    assert done.returncode == 0 and f"not taken along from {speech}: notes rooms" in done.stderr
    assert done.stdout == f"Took 5 of 20 utterances of {speech} into out\n"
    extra = ("--utt-extra-files", "notes", "--spk-extra-files", "rooms")
    done = tool("subset_data_dir.sh", "--first", *extra, speech, "5", "out2")
    assert done.returncode == 0 and done.stderr == ""
    assert Path("out2/notes").read_text() == "s00-u0 x\ns00-u1 y\n" and Path("out2/rooms").read_text() == "s00 big\n"


def test_an_existing_folder_is_not_overwritten_unless_it_is_such_a_set(speech: Path) -> None:
    subset_set(find(speech), Selection(count=3), "out")
    subset_set(find(speech), Selection(count=2), "out")
    assert len(ids("out")) == 2
    Path("out/feats/x.1.ark").touch()
    with pytest.raises(UsageError, match=r"holds files of its own \(feats/x.1.ark\)"):
        subset_set(find(speech), Selection(count=3), "out")
    for target in (speech, speech.parent, Path(".")):
        with pytest.raises(UsageError, match=r"overwrite what it is made of|files of its own"):
            copy_set(find(speech), target)


@pytest.mark.parametrize("name", ["ctm", "text", "feats/other.scp", "utt2accent"])
def test_a_bad_file_stops_every_tool_and_leaves_nothing(speech: Path, name: str) -> None:
    with open(speech / name, "ab") as stream:
        stream.write(b"a-comes-too-late 1 0 1 x\n")
    before = content(Path("."))
    for run in (
        lambda: subset_set(find(speech), Selection(count=3), "out"),
        lambda: split_set(find(speech), 2),
        lambda: combine_sets([find(speech)], "out"),
        lambda: copy_set(find(speech), "out", utt_prefix="x"),
    ):
        with pytest.raises(DataError, match=f"{name}:\\d+: 'a-comes-too-late' comes after"):
            run()  # type: ignore[no-untyped-call]
    assert content(Path(".")) == before
    with pytest.raises(DataError):
        validate_speech_set(speech)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "has a carriage return": lambda raw: raw.replace(b"\n", b"\r\n"),
    "starts with a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "appears twice": lambda raw: raw.splitlines(keepends=True)[0] + raw,
    "comes after": lambda raw: b"".join(reversed(raw.splitlines(keepends=True))),
    "no newline at its end": lambda raw: raw[:-1],
    "is not UTF-8": lambda raw: raw[:-1] + b"\xff\n",
    "is empty": lambda raw: b"\n" + raw,
}
"""What a line's message says -> the damage."""


WAYS: dict[str, Callable[[Path], object]] = {
    "subset": lambda speech: subset_set(find(speech), Selection(count=19), "out"),
    "split": lambda speech: split_set(find(speech), 2),
    "combine": lambda speech: combine_sets([find(speech)], "out"),
    "copy": lambda speech: copy_set(find(speech), "out", utt_prefix="x"),
    "validate": validate_speech_set,
}


@pytest.mark.parametrize("message", DAMAGE)
@pytest.mark.parametrize("way", WAYS)
def test_damaged_tables_are_refused_with_file_and_line(speech: Path, way: str, message: str) -> None:
    file = speech / "utt2accent"
    file.write_bytes(DAMAGE[message](file.read_bytes()))
    before = content(Path("."))
    with pytest.raises(DataError, match=rf"{re.escape(str(file))}:\d+: .*{message}"):
        WAYS[way](speech)
    assert content(Path(".")) == before


@pytest.mark.parametrize("name", ["utt2spk", "wav.scp", "utt2image", "text"])
def test_a_file_of_no_bytes_is_refused(speech: Path, name: str) -> None:
    (speech / name).write_bytes(b"")
    before = content(Path("."))
    for way in WAYS:
        with pytest.raises(DataError, match=f"{name}: (the file is empty|has no)"):
            WAYS[way](speech)
    assert content(Path(".")) == before


def test_a_full_disk_leaves_the_old_set(speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_set(find(speech), "out")
    before = content(Path("out"))
    real = os.fsync

    def full(descriptor: int) -> None:
        if ".out." in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="no space left on the file system"):
        subset_set(find(speech), Selection(count=3), "out")
    assert content(Path("out")) == before and not list(Path(".").glob(".out*"))


def test_wrong_folders_are_named(speech: Path) -> None:
    images = make_images(Path("images"), ["i1"])
    for folder, what in ((Path("nowhere"), "no such folder"), (images, "an image set, not a speech set")):
        with pytest.raises(DataError, match=what):
            find(folder)


TOOLS = ("fix", "subset", "split", "combine", "copy", "validate")


@pytest.mark.parametrize("name", TOOLS)
def test_help_shows_an_example(name: str) -> None:
    done = tool(f"{name}_data_dir.sh", "--help")
    assert done.returncode == 0 and f"example: utils/{name}_data_dir.sh " in done.stdout.replace("\n", " ")


def test_the_scripts(speech: Path) -> None:
    done = tool("split_data_dir.sh", speech, "7")
    assert (done.returncode, done.stdout) == (0, "4\n") and "making 4 parts instead of 7" in done.stderr
    done = tool("combine_data_dir.sh", "all again", *(speech / "split4" / str(job) for job in range(1, 5)))
    assert (done.returncode, done.stdout) == (0, "Combined 4 sets into all again (20 utterances)\n")
    done = tool("copy_data_dir.sh", "--utt-prefix", "$(touch x)-", speech, "c")
    assert done.returncode == 2 and not Path("x").exists()
    done = tool("subset_data_dir.sh", speech, "--images", "3", "imgs")
    assert done.returncode == 0, done.stderr
    assert tool("validate_data_dir.sh", "--feats", "imgs", "all again").returncode == 0
    assert tool("validate_data_dir.sh", "--apart-from", "imgs", speech).returncode == 4
    done = tool("subset_data_dir.sh", speech, "imgs2")
    assert done.returncode == 2 and "either a number or a list" in done.stderr
