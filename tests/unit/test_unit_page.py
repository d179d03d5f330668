"""The page of units: offline, escaped, with sounds only of who agreed, and with what is not there said."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from planted_corpus import Planted, make_planted
from test_report import Page
from vgspeech.bin import make_unit_report, score_segmentation, score_word_detectors
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError, UsageError
from vgspeech.files import write_json
from vgspeech.report.timelines import timeline
from vgspeech.report.unit_source import Stretch, UnitFolder
from vgspeech.units.clock import CodeClock
from vgspeech.units.runs import collapse, write_codes_of_runs

SPLIT = "test"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.chdir(tmp_path)
    return make_planted(Path())


def speech(planted: Planted) -> SpeechSet:
    return SpeechSet.load(planted.data / "speech" / f"{SPLIT}_en")


def write_units(planted: Planted, folder: Path, score: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that are the words, on a 20 ms grid; codes 8 and 9 are dead."""
    spoken = speech(planted)
    vocabulary = sorted({word.text for words in spoken.ctm.values() for word in words})
    clock, runs = CodeClock(0.02, 0.01), []
    for utt, words in spoken.ctm.items():
        times = clock.centres(int(spoken.utt2dur[utt] / 0.02))
        codes = np.zeros(len(times), np.int32)
        for word in words:
            codes[(times >= word.start_s) & (times < word.end_s)] = 1 + vocabulary.index(word.text)
        runs.append((utt, collapse(codes)))
    write_codes_of_runs(folder, runs)
    about = {"layer": "stage2", "method": "planted", "num_codes": len(vocabulary) + 3}
    write_json(folder / "codes.json", {**about, "frame_shift_s": 0.02, "frame_offset_s": 0.01})
    if score:
        for command, options in ((score_word_detectors, ["--min-occurrences", "1"]), (score_segmentation, [])):
            monkeypatch.setattr(sys, "argv", ["score", *options, str(spoken.path), str(folder)])
            command.main()


def page(monkeypatch: pytest.MonkeyPatch, planted: Planted, *arguments: str) -> str:
    named = ["--model", str(planted.model), "--data", str(planted.data), "--split", SPLIT, "--language", "en"]
    monkeypatch.setattr(sys, "argv", ["make_unit_report", *named, "--out", "page", *arguments])
    make_unit_report.main()
    return Path("page/index.html").read_text(encoding="utf-8")


def test_layers_stand_side_by_side_with_sounds(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    write_units(planted, Path("a"), True, monkeypatch)
    write_units(planted, Path("b"), False, monkeypatch)
    content = page(monkeypatch, planted, "top<b>=a", "other=b")
    found = Page(content)
    assert "http://" not in content and "https://" not in content
    assert "<b>=" not in content and "top&lt;b&gt;" in content
    assert found.count("svg", "timeline-units") == 3
    assert found.count("button", "clip") > 3
    assert "No word detectors" in content  # of the second
    assert re.search(r"dead codes</dt><dd>2<", content)
    words = {word.text for said in speech(planted).ctm.values() for word in said}
    assert UnitFolder("a", Path("a")).words().keys() == words
    assert "100.0" in content


def test_recordings_are_left_out_when_asked_or_not_agreed(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    write_units(planted, Path("a"), True, monkeypatch)
    silent = page(monkeypatch, planted, "--no-audio", "a")
    assert Page(silent).count("button", "clip") == 0 and "data:audio" not in silent
    spoken = speech(planted)
    hidden = sorted(spoken.utt2spk)
    (spoken.path / "utt2share").write_text("".join(f"{utt} no\n" for utt in hidden))
    content = page(monkeypatch, planted, "a")
    assert Page(content).count("button", "clip") == 0
    assert all(utt not in content for utt in hidden) and "No caption may be shown" in content


def test_wrong_arguments_are_errors(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    write_units(planted, Path("a"), False, monkeypatch)
    with pytest.raises(UsageError, match="one name"):
        page(monkeypatch, planted, "a", "a")
    with pytest.raises(DataError, match="no codes"):
        page(monkeypatch, planted, "none=nowhere")


def test_a_timeline_escapes_what_it_shows() -> None:
    stretches = [Stretch("u", 3, 0.0, 0.5), Stretch("u", 4, 0.5, 1.0)]
    picture = timeline(np.sin(np.arange(800.0)), 1.0, [], {"<i>": stretches}, {"<i>": {3: "<script>"}})
    assert "<script>" not in picture and "&lt;script&gt;" in picture and "<i>" not in picture
    assert picture.count("<rect") == 2 and "polygon" in picture
    assert "polygon" not in timeline(None, 1.0, [], {}, {})
