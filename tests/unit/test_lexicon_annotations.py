"""Found words in the forms that linguists open, read back with the libraries they use."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vgspeech.bin import export_words
from vgspeech.datadir import Segment, SpeechSet, write_speech_set
from vgspeech.errors import UsageError
from vgspeech.files import read_json, write_json
from vgspeech.lexicon.clusters import DROPPED, Clusters
from vgspeech.lexicon.found_words import FoundWord, Link, by_recording, found_words, significant_links
from vgspeech.lexicon.peaks import Peaks
from vgspeech.lexicon.storage import write_peaks
from vgspeech.tables import read_rows, write_table, write_tsv


def peaks_at(*rows: tuple[str, float, float, float, float]) -> Peaks:
    """Peaks of language a: (utterance, peak, start, end, score); language b has the same."""
    utts = [row[0] for row in rows]
    times = np.array([row[1:4] for row in rows])
    vectors = np.eye(len(rows), 4, dtype=np.float32)
    scores = np.array([row[4] for row in rows], np.float32)
    others = [utt.replace("en", "hi") for utt in utts]
    return Peaks(["img"] * len(rows), utts, others, times, times, scores, vectors, vectors, n_pairs=1)


def clusters_of(labels: list[int]) -> Clusters:
    count = max(labels) + 1
    ones = np.ones(count, np.int64)
    return Clusters(np.array(labels), np.eye(count, 4, dtype=np.float32), ones, np.zeros(count), ones, ones)


def test_the_better_peak_keeps_its_stretch() -> None:
    peaks = peaks_at(
        ("en1", 0.5, 0.3, 0.8, 0.9),
        ("en1", 0.6, 0.5, 1.2, 0.5),  # its peak lies in the first one
        ("en1", 1.0, 0.7, 1.3, 0.4),  # reaches into it
        ("en1", 2.0, 1.9, 2.1, 0.8),  # no cluster
    )
    words = found_words(peaks, 0, np.array([3, 1, 2, DROPPED]), {3: Link(7, 1)})
    assert words == {
        "en1": [
            FoundWord(0.3, 0.8, 3, 7, 1, pytest.approx(0.9)),
            FoundWord(0.8, 1.3, 2, None, None, pytest.approx(0.4)),
        ]
    }


def test_the_best_of_several_partners_counts(tmp_path: Path) -> None:
    header = ("rank", "cluster_en", "cluster_hi", "significant")
    write_tsv(tmp_path / "lexicon.tsv", header, [("1", "4", "1", "no"), ("2", "4", "7", "yes"), ("3", "4", "9", "yes")])
    assert significant_links(tmp_path / "lexicon.tsv", ("en", "hi"), 0) == {4: Link(7, 2)}
    assert significant_links(tmp_path / "lexicon.tsv", ("en", "hi"), 1) == {7: Link(4, 2), 9: Link(4, 3)}


def speech_set(path: Path, lang: str, segmented: bool) -> SpeechSet:
    utts = [f"{lang}1", f"{lang}2"]
    segments = {utt: Segment(f"{lang}-tape", 10.0 * i, 10.0 * i + 4) for i, utt in enumerate(utts, start=1)}
    write_speech_set(
        path,
        wav={f"{lang}-tape": f"/rec/a b & c/{lang}.wav"} if segmented else {utt: f"/rec/{utt}.flac" for utt in utts},
        utt2spk=dict.fromkeys(utts, lang),
        utt2lang=dict.fromkeys(utts, lang),
        utt2dur=dict.fromkeys(utts, 4.0),
        utt2image=dict.fromkeys(utts, "img"),
        segments=segments if segmented else None,
    )
    return SpeechSet.load(path)


def test_captions_cut_from_one_recording_come_together_in_its_time(tmp_path: Path) -> None:
    speech = speech_set(tmp_path / "en", "en", segmented=True)
    word = FoundWord(0.5, 1.0, 1, None, None, 0.5)
    (tape,) = by_recording(speech, {"en1": [word], "en2": [word]})
    assert [(utt, found.start_s, found.end_s) for utt, found in tape.words] == [
        ("en1", 10.5, 11.0),
        ("en2", 20.5, 21.0),
    ]
    assert (tape.name, tape.duration_s) == ("en-tape", 24.0)


@pytest.fixture(params=[False, True], ids=["recordings", "segments"])
def exported(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small lexicon, exported; the second caption's speakers did not agree to be shown."""
    for lang in ("en", "hi"):
        speech_set(tmp_path / f"data/speech/train_{lang}", lang, request.param)
        write_table(tmp_path / f"data/speech/train_{lang}/utt2share", {f"{lang}2": "no"})
    peaks = peaks_at(("en1", 0.5, 0.3, 0.8, 0.9), ("en1", 1.0, 0.8, 1.3, 0.4), ("en2", 1.0, 0.8, 1.3, 0.4))
    folder = tmp_path / "en-hi"
    write_peaks(folder, peaks, (clusters_of([0, 1, 1]), clusters_of([1, 0, 0])), ("en", "hi"))
    header = ("rank", "cluster_en", "cluster_hi", "significant")
    write_tsv(folder / "lexicon.tsv", header, [("1", "0", "1", "yes"), ("2", "1", "0", "no")])
    write_json(folder / "scores.json", {"languages": ["en", "hi"]})
    run_export(folder, tmp_path, monkeypatch)
    return tmp_path / "out"


def run_export(folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["export_words", str(folder), str(root / "data"), "train", str(root / "out")])
    export_words.main()


WANTED = {"en": [(0.3, 0.8, "en0"), (0.8, 1.3, "en1")], "hi": [(0.3, 0.8, "hi1")]}


def test_praat_and_elan_files_read_back(exported: Path) -> None:
    from praatio import textgrid
    from speach import elan

    segmented = (exported / "praat/en-tape.TextGrid").exists()
    name, offset = ("en-tape", 10.0) if segmented else ("en1", 0.0)
    wanted = {
        tier: [(start + offset, end + offset, text) for start, end, text in words] for tier, words in WANTED.items()
    }
    grid = textgrid.openTextgrid(str(exported / f"praat/{name}.TextGrid"), includeEmptyIntervals=False)
    assert grid.maxTimestamp == offset + 4 + (10 if segmented else 0)
    document = elan.read_eaf(str(exported / f"elan/{name}.eaf"))
    for tier, words in wanted.items():
        assert [(start, end, text) for start, end, text in grid.getTier(tier).entries] == words
        found = [(annotation.from_ts.sec, annotation.to_ts.sec, annotation.value) for annotation in document[tier]]
        assert found == [(pytest.approx(start), pytest.approx(end), text) for start, end, text in words]
    assert document.media_url.startswith("file:///rec/")
    assert " " not in document.media_url
    assert not list(exported.glob("*/.*"))  # no temporary file is left


def test_tables_hold_what_may_be_shown(exported: Path) -> None:
    rows = read_rows(exported / "words_en.tsv")
    assert [(row["utterance"], row["cluster"], row["linked"], row["rank"]) for row in rows] == [
        ("en1", "en0", "hi1", "1"),
        ("en1", "en1", "-", "-"),
    ]
    (recording,) = read_json(exported / "words_hi.json")["recordings"]
    assert [word["cluster"] for word in recording["words"]] == [1, 0]
    assert not (exported / "elan/en2.eaf").exists()


def test_another_split_is_refused(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("utt2spk", "utt2dur", "utt2image", "utt2lang"):
        path = tmp_path / "data/speech/train_en" / name
        path.write_text(path.read_text().replace("en1 ", "en0 "))
    with pytest.raises(UsageError, match="'en1'"):
        run_export(tmp_path / "en-hi", tmp_path, monkeypatch)
