"""egs/own, stage 0: what somebody changed in her recordings since is noticed, however they are described."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from praatio import textgrid

from recipe_runner import ROOT, run
from vgspeech.datadir import SpeechSet

sys.path.insert(0, str(ROOT / "tests/unit"))
from small_release import write_image, write_wav

PICTURES = 6
ROWS = [f"awa-{number} long {number} {number + 0.75}" for number in range(PICTURES)]
EDITS = {"table": "cuts.tsv", "tier": "long.TextGrid", "segments": "kaldi/segments"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A recording of six seconds as a table, a tier and Kaldi's segments cut it, and a tree of short ones."""
    folder = tmp_path / "own"
    write_wav(folder / "long.wav", PICTURES)
    (folder / "kaldi").mkdir()
    spans, cuts, tables = [], ["image\twav\tlang\tspeaker\tstart\tend"], {"wav.scp": ["long long.wav"], "segments": ROWS}
    for number in range(PICTURES):
        write_image(folder / f"tree/p{number}/p{number}.jpg")
        write_wav(folder / f"tree/p{number}/bam/awa.wav", 0.5)
        spans.append((float(number), number + 0.75, f"p{number}"))
        cuts.append(f"tree/p{number}/p{number}.jpg\tlong.wav\tbam\tawa\t{number}\t{number + 0.75}")
        for name, value in (("utt2spk", "awa"), ("utt2lang", "bam"), ("utt2image", f"p{number}")):
            tables.setdefault(name, []).append(f"awa-{number} {value}")
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("picture", spans, 0, PICTURES))
    grid.save(str(folder / "long.TextGrid"), format="long_textgrid", includeBlankSpaces=True)
    tables |= {"../cuts.tsv": cuts, "../long.tsv": ["wav\tlang\tspeaker", "long.wav\tbam\tawa"]}
    for name, lines in tables.items():
        (folder / "kaldi" / name).write_text("\n".join(lines) + "\n")
    return folder


def options(own: Path, way: str) -> list[str]:
    words = {
        "table": ["--manifest", str(own / "cuts.tsv")],
        "tier": ["--manifest", str(own / "long.tsv"), "--tier", "picture"],
        "segments": ["--kaldi", str(own / "kaldi"), "--audio", str(own), "--images", str(own)],
        "tree": ["--tree", str(own / "tree")],
    }
    return [*words[way], "--langs", "bam", "--nj", "1", "--stop-stage", "0"]


def ends(work: Path) -> set[float | None]:
    sets = [SpeechSet.load(folder) for folder in (work / "data/own/speech").iterdir()]
    return {one.segments[utt].end_s for one in sets for utt in one.ids}


@pytest.mark.parametrize("way", EDITS)
def test_an_edited_cut_is_noticed(own: Path, tmp_path: Path, way: str) -> None:
    work, words = tmp_path / "work", options(own, way)
    run("own", work, *words)
    assert ends(work) == {number + 0.75 for number in range(PICTURES)}
    edited = own / EDITS[way]
    text = edited.read_text()
    assert text.count("3.75") in (1, 2)  # in a TextGrid also where the silence behind it begins
    edited.write_text(text.replace("3.75", "3.50"))
    told = run("own", work, *words, status=3)
    assert f"input {edited}: content changed" in told and "--on-drift rerun" in told
    run("own", work, *words, "--on-drift", "rerun")
    assert ends(work) == {0.75, 1.75, 2.75, 3.5, 4.75, 5.75}
    assert "stage 0 data: up to date" in run("own", work, *words)


def test_a_recording_that_came_to_the_tree_is_noticed(own: Path, tmp_path: Path) -> None:
    words = options(own, "tree")
    run("own", tmp_path / "work", *words)
    write_wav(own / "tree/p1/bam/moussa.wav", 0.5)
    assert f"input {own}/tree: content changed" in run("own", tmp_path / "work", *words, status=3)
    assert "7 utterances, 0 rejected" in run("own", tmp_path / "work", *words, "--on-drift", "rerun")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tree", "own/tree", "--tier", "picture"], "--tier goes with --manifest: a table with the columns wav, lang, speaker"),
        (["--kaldi", "own/kaldi", "--tier", "picture"], "--tier goes with --manifest"),
        (["--tree", "own/tree", "--kaldi", "own/kaldi"], "which recordings? give --manifest FILE, --tree DIR or --kaldi"),
        (["--manifest", "own/none.tsv"], "--manifest: no such file or folder: "),
        (["--tree", "own/none"], "--tree: no such file or folder: "),
        (["--manifest", "own/cuts.tsv", "--images", "pictures"], "--images: no such file or folder: "),
    ],
)
def test_mistakes_are_told_before_anything_is_set_up(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.setenv("VGS_PYTHON", "/nowhere/python")  # the set-up would end with this
    assert own.exists() and told in run("own", tmp_path / "work", *words, "--langs", "bam", status=2)
    assert not (tmp_path / "work").exists()
