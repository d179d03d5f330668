import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from small_release import write_image, write_wav
from vgspeech.corpora.division import side_by_side
from vgspeech.corpora.holdout import Fractions, hold_out
from vgspeech.corpora.manifest import Roots, read_manifest
from vgspeech.corpora.prepare import Settings, prepare_division
from vgspeech.corpora.tree import TREE, read_tree
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.errors import DataError, UsageError
from vgspeech.tables import read_table
from vgspeech.validation import validate_image_set, validate_speech_set
from vgspeech.waves import read_wave

ROOT = Path(__file__).parents[2]
HEADER = ("image", "wav", "lang", "speaker")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Thirty captions of ten images in two languages, below ``own``."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "own"
    for number in range(10):
        write_image(folder / f"img/{number}.jpg")
        for language, speaker in (("fr", "awa"), ("bam", "awa"), ("bam", "moussa")):
            write_wav(folder / f"rec/{language}/{speaker}{number}.wav", 0.5 + number / 10)
    return folder


def lines_of(**change):
    """The manifest's cells, some changed by line (from 2)."""
    lines = [
        [f"img/{n}.jpg", f"rec/{lang}/{speaker}{n}.wav", lang, speaker]
        for n in range(10)
        for lang, speaker in (("fr", "awa"), ("bam", "awa"), ("bam", "moussa"))
    ]
    return [list(HEADER), *lines]


def write(path, lines, delimiter="\t", end="\n", encoding="utf-8"):
    path.write_bytes("".join(delimiter.join(line) + end for line in lines).encode(encoding))
    return path


def read(path, **roots):
    return read_manifest(path, Roots(roots.get("audio", path.parent), roots.get("images", path.parent)), Fractions())


def prepare(path, **settings):
    releases = read(path)
    return prepare_division(side_by_side(releases), releases, Path("data/x"), Settings(path.parent, **settings), Truth())


def captions(releases):
    return sorted(c._replace(source=None) for release in releases for split in release.splits.values() for c in split.captions)


def test_two_languages_become_valid_sets(own):
    done = prepare(write(own / "manifest.tsv", lines_of()), max_bad=0)
    assert sorted(made.name for made in done.sets) == [f"{s}_{lang}" for s in ("dev", "test", "train") for lang in ("bam", "fr")]
    assert sum(made.utterances for made in done.sets) == 30
    for made in done.sets:
        split = made.name.partition("_")[0]
        validate_speech_set(f"data/x/speech/{made.name}", images=f"data/x/images/{split}")
        validate_image_set(f"data/x/images/{split}")
    train = SpeechSet.load("data/x/speech/train_bam")
    assert train.utt2spk[train.ids[0]] == "bam-awa" and train.ids[0].startswith("bam-awa-rec%2Fbam%2Fawa")
    assert train.wav[train.ids[0]].startswith("own/rec/bam/awa")


@pytest.mark.parametrize(
    ("delimiter", "end", "encoding"),
    [("\t", "\r\n", "utf-8"), (",", "\n", "utf-8"), (";", "\r\n", "utf-8-sig"), ("\t", "\r\n", "utf-16"), ("\t", "\r", "utf-8")],
)
def test_files_of_spreadsheet_programs_read_the_same(own, delimiter, end, encoding):
    plain = captions(read(write(own / "a.tsv", lines_of())))
    assert captions(read(write(own / "b.tsv", lines_of(), delimiter, end, encoding))) == plain


def test_json_reads_the_same(own):
    plain = captions(read(write(own / "a.tsv", lines_of())))
    rows = [dict(zip(HEADER, line, strict=True)) for line in lines_of()[1:]]
    for name, top in (("list.json", rows), ("object.json", {"data": rows})):
        (own / name).write_text(json.dumps(top))
        assert captions(read(own / name)) == plain
    (own / "bad.json").write_text(json.dumps([*rows, {**rows[0], "wav": None}], indent=1))
    found = read(own / "bad.json")[0]
    (rejected,) = [one for split in found.splits.values() for one in split.rejected] or [
        one for release in read(own / "bad.json") for split in release.splits.values() for one in split.rejected
    ]
    assert rejected.reason == f"{own / 'bad.json'}:{2 + 6 * 30}: record 31: no 'wav'"


def test_absolute_paths_and_backslashes_are_the_same_files(own):
    plain = captions(read(write(own / "a.tsv", lines_of())))
    absolute = [[str(own / a), str(own / b), *rest] for a, b, *rest in lines_of()[1:]]
    assert captions(read(write(own / "b.tsv", [list(HEADER), *absolute]))) == plain
    windows = [[a.replace("/", "\\"), b.replace("/", "\\"), *rest] for a, b, *rest in lines_of()[1:]]
    assert captions(read(write(own / "c.tsv", [list(HEADER), *windows]))) == plain


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["image", "audio", "lang", "speaker"], "unknown column 'audio'; did you mean 'wav'?"),
        (["image", "wav", "langg", "speaker"], "unknown column 'langg'; did you mean 'lang'?"),
        (["image", "wav", "lang", "spk", "text"], "did you mean 'speaker'?"),
        (["image", "wav", "lang"], "no column 'speaker'"),
        (["image", "wav", "lang", "speaker", "wav"], "column 'wav' stands twice"),
        (["image"], "no columns separated by tabs"),
        ([], "empty"),
    ],
)
def test_wrong_columns_are_named(own, header, message):
    path = write(own / "a.tsv", [header] if header else [])
    with pytest.raises(DataError) as caught:
        read(path)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}")


def test_columns_that_are_not_ours_are_noted(own):
    lines = [[*line, "x"] for line in lines_of()]
    releases = read(write(own / "a.tsv", lines))
    assert any("column 'x' is not used" in note for note in releases[0].notes)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["img/0.jpg", "", "fr", "awa"], "no 'wav'"),
        (["", "rec/fr/awa0.wav", "fr", "awa"], "no 'image'"),
        (["img/0.jpg", "rec/x.wav", "french", "awa"], "not a tag"),
        (["img/0.jpg", "rec/x.wav", "fr", "awa k"], "whitespace"),
        (["img/0.jpg", "rec/x.wav", "fr", ""], "speaker"),
        (["img/0.jpg", "/etc/passwd", "fr", "awa"], "lies outside"),
        (["img/0.jpg", "../x.wav", "fr", "awa"], "leaves the folder"),
        (["img/0.jpg", "C:\\rec\\x.wav", "fr", "awa"], "another machine"),
        (["img/0.jpg", "rm -rf x |", "fr", "awa"], "command"),
        (["img/0.jpg", "rec/fr/awa0.wav", "fr", "awa", "x"], "5 cells under 4 columns"),
        (["img/1.jpg", "rec/fr/awa0.wav", "fr", "awa"], "is also that of record 1, "),
    ],
)
def test_bad_lines_are_listed_with_their_number(own, cells, reason):
    path = write(own / "a.tsv", [*lines_of(), cells])
    (rejected,) = [one for release in read(path) for split in release.splits.values() for one in split.rejected]
    assert rejected.id == "manifest#31" and rejected.reason.startswith(f"{path}:32: ") and reason in rejected.reason


def test_a_manifest_without_a_usable_line_says_why(own):
    with pytest.raises(DataError, match="no line can be used") as caught:
        read(write(own / "a.tsv", [list(HEADER), ["", "x.wav", "fr", "awa"]]))
    assert "a.tsv:2: no 'image'" in str(caught.value)


def test_missing_files_are_named_with_their_line(own):
    (own / "rec/fr/awa3.wav").unlink()
    (own / "img/5.jpg").write_text("no image")
    (own / "img/8.jpg").unlink()
    path = write(own / "a.tsv", lines_of())
    prepare(path, max_bad=1)
    rejected = {}
    for folder in Path("data/x/speech").iterdir():
        rejected |= read_table(folder / "rejected")
    assert rejected["fr-awa-rec%2Ffr%2Fawa3"] == f"{path}:11: {own}/rec/fr/awa3.wav: no such file"
    assert rejected["bam-awa-rec%2Fbam%2Fawa5"].startswith(f"{path}:18: its image cannot be used: {own}/img/5.jpg: not a")
    assert rejected["bam-moussa-rec%2Fbam%2Fmoussa8"] == f"{path}:28: its image cannot be used: {own}/img/8.jpg: no such file"
    assert len(rejected) == 7


def piece(image, start, end, share="yes", text=""):
    return [f"img/{image}.jpg", "long.wav", "fr", "awa", start, end, share, text]


def long_manifest(own, lines):
    write_wav(own / "long.wav", 10.0, rate=44100)
    return write(own / "a.tsv", [[*HEADER, "start", "end", "share", "text"], *lines])


def test_pieces_of_a_long_recording(own):
    lines = [piece(n, str(n), str(n + 0.75)) for n in range(9)] + [piece(9, "9.5", "", "no", "le  marché")]
    prepare(long_manifest(own, lines), max_bad=0)
    sets = [SpeechSet.load(path) for path in sorted(Path("data/x/speech").iterdir())]
    for one in sets:
        validate_speech_set(one.path)
        assert list(one.wav) == ["long.wav"] and one.wav["long.wav"] == "own/long.wav"
        for utterance in one.ids:
            location, start, end = one.audio_location(utterance)
            assert len(read_wave(location, 16000, start, end)) == pytest.approx(16000 * one.utt2dur[utterance], abs=2)
    durations = {key: value for one in sets for key, value in one.utt2dur.items()}
    assert durations["awa-long-00009500"] == 0.5 and durations["awa-long-00003000"] == 0.75
    private = [u for one in sets for u in one.ids if not one.may_share(u)]
    assert private == ["awa-long-00009500"]
    assert [one.text[u] for one in sets for u in one.ids if u in private] == ["le marché"]


def test_pieces_outside_the_recording_are_rejected(own):
    lines = [piece(n, str(n), str(n + 0.5)) for n in range(8)]
    lines += [piece(8, "9", "10.4"), piece(9, "10.2", "10.4"), piece(0, "9.3", "11"), piece(1, "5", "4"), piece(2, "x", "1")]
    lines += [piece(3, "nan", ""), piece(4, "1", "2", "perhaps")]
    prepare(long_manifest(own, lines), max_bad=1)
    rejected = {}
    for path in Path("data/x/speech").iterdir():
        rejected |= read_table(path / "rejected")
    assert sorted(rejected) == [
        "awa-long-00009300", "awa-long-00010200", "manifest#12", "manifest#13", "manifest#14", "manifest#15",
    ]  # fmt: skip
    assert "lies outside the recording of 10.000 s" in rejected["awa-long-00009300"]


def test_any_format_rate_and_channel_count(own):
    lines = [list(HEADER)]
    kinds = [("wav", 8000, 1), ("flac", 44100, 2), ("ogg", 48000, 1), ("mp3", 22050, 2), ("aiff", 96000, 3), ("au", 11025, 1)]
    kinds.append(("wav", 44100, 2))
    for number, (kind, rate, channels) in enumerate(kinds):
        sound = np.random.default_rng(0).uniform(-0.3, 0.3, (rate, channels))
        soundfile.write(own / f"{number}.{kind}", sound, rate)
        lines.append([f"img/{number}.jpg", f"{number}.{kind}", "fr", "awa"])
    done = prepare(write(own / "a.tsv", lines), max_bad=0)
    assert sum(made.utterances for made in done.sets) == len(kinds)
    assert all(made.hours * 3600 == pytest.approx(made.utterances, rel=0.06) for made in done.sets)


def test_telephone_formats_say_how_to_convert(own):
    (own / "rec/fr/awa0.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(200))
    lines = lines_of()
    lines[1][1] = "rec/fr/awa0.m4a"
    prepare(write(own / "a.tsv", lines), max_bad=1, subset=0)
    reasons = [reason for path in Path("data/x/speech").iterdir() for reason in read_table(path / "rejected").values()]
    assert len(reasons) == 1 and "ffmpeg -i" in reasons[0]


def test_a_split_column_counts_and_overlap_is_refused(own):
    lines = [[*HEADER, "split"], *([*line, ("train", "val", "test")[n % 3]] for n, line in enumerate(lines_of()[1:]))]
    path = write(own / "a.tsv", lines)
    with pytest.raises(DataError, match=r"share images.*dev and train share 10 images"):
        prepare(path)
    assert any("share 10 images" in note for note in prepare(path, allow_overlap=True).notes)
    apart = [[*HEADER, "split"], *([*line, "train" if n < 15 else "test"] for n, line in enumerate(lines_of()[1:]))]
    path = write(own / "b.tsv", apart)
    assert any("share 3 speakers" in note for note in prepare(path).notes)
    with pytest.raises(DataError, match="share 3 speakers"):
        prepare(path, speakers_apart=True)


def test_images_stay_in_their_split_when_recordings_are_added():
    few = hold_out([(f"i{n}", "en") for n in range(300)], Fractions())
    more = hold_out([(f"i{n}", "en") for n in range(3000)], Fractions())
    assert all(more[image] == split for image, split in few.items())
    counts = [sum(split == name for split in more.values()) for name in ("dev", "test")]
    assert all(250 < count < 350 for count in counts)
    tiny = hold_out([("a", "en"), ("b", "en"), ("c", "en"), ("x", "bam")], Fractions())
    assert sorted(tiny[image] for image in "abc") == ["dev", "test", "train"]
    assert set(hold_out([("a", "en"), ("b", "en")], Fractions(0, 0)).values()) == {"train"}
    with pytest.raises(UsageError):
        hold_out([], Fractions(0.5, 0.5))


def plant_tree(root):
    for number in range(4):
        write_image(root / f"img{number}/picture.jpg")
        for name in ("fr/awa.wav", "fr/awa_2.wav", "bam/moussa b.WAV"):
            write_wav(root / f"img{number}" / name.replace("WAV", "wav"), 0.4)
    (root / "img0/fr/awa.wav").rename(root / "img0/fr/awa.WAV")
    (root / "img1/fr/notes.txt").write_text("x")
    (root / "img1/.DS_Store").write_text("x")


def test_a_folder_tree(own):
    root = own / "tree"
    plant_tree(root)
    releases = read_tree(root, root, Fractions())
    assert [release.language for release in releases] == ["fr", "bam"]
    found = captions(releases)
    assert len(found) == 12 and {c.speaker for c in found} == {"awa", "moussa.b"}
    assert any("1 files were left alone" in note and "notes.txt" in note for note in releases[0].notes)
    done = prepare_division(side_by_side(releases), releases, Path("data/t"), Settings(releases[0].root, max_bad=0), Truth())
    assert sum(made.utterances for made in done.sets) == 12


def test_a_tree_with_its_images_elsewhere(own):
    for number in range(3):
        write_wav(own / f"tree/p{number}/en/a.wav", 0.3)
        write_image(own / f"pictures/p{number}.PNG")
    releases = read_tree(own / "tree", own / "pictures", Fractions())
    prepare_division(side_by_side(releases), releases, Path("data/t"), Settings(releases[0].root, max_bad=0), Truth())
    assert ImageSet.load("data/t/images/train").ids[0].startswith("pictures%2Fp")


def test_trees_of_another_form_are_drawn(own):
    with pytest.raises(DataError, match=r"market\.jpg"):
        read_tree(own / "rec", own / "rec", Fractions())
    with pytest.raises(DataError, match="no such folder"):
        read_tree(own / "none", own, Fractions())
    plant_tree(own / "tree")
    write_image(own / "tree/img2/other.jpg")
    with pytest.raises(DataError, match="several images in one folder"):
        read_tree(own / "tree", own / "tree", Fractions())


def test_the_script_prepares_and_explains(own):
    script = ROOT / "local/manifest_data_prep.sh"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib")}
    shown = subprocess.run([script, "--help"], capture_output=True, text=True, env=environment, check=True).stdout
    assert TREE.splitlines()[1] in shown and "--speakers-apart" in shown
    assert TREE in script.read_text().replace("#   ", "")
    write(own / "a.tsv", lines_of())
    done = subprocess.run(
        [script, "--manifest", "own/a.tsv", "--nj", "1", "data/s"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "prepared data/s: 6 speech sets and 3 image sets, 30 utterances, 0 rejected"
    again = subprocess.run([script, "data/s"], capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 2 and "give --manifest FILE, --tree DIR or --kaldi DIR" in again.stderr
