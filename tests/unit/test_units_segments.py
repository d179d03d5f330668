"""Pseudo-words and events: planted ones are found, frames are kept, and the scores read both."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vgspeech.archive import ArchiveReader
from vgspeech.bin import learn_units_bpe
from vgspeech.datadir import Word
from vgspeech.errors import UsageError
from vgspeech.files import read_json, write_json
from vgspeech.stats.aligned_words import AlignedWords
from vgspeech.units.clock import CodeClock
from vgspeech.units.cooccurrence import count_words
from vgspeech.units.detectors import detections
from vgspeech.units.events import EventFinder, SegmentMeans, encode_segments
from vgspeech.units.pseudo_words import Pieces, learn_pieces
from vgspeech.units.runs import Runs, collapse, expand, write_runs
from vgspeech.units.segmentation import score_units, shuffled

CLOCK = CodeClock(0.02, 0.01)
WORDS, CODES = 8, 45


def spoken(utterances: int = 120) -> tuple[list[tuple[str, Runs]], dict[str, list[Word]]]:
    """Words of three codes each, said at random, with a varying code between them that belongs to no word."""
    random = np.random.default_rng(0)
    runs, said = [], {}
    for i in range(utterances):
        frames: list[int] = []
        words = []
        for word in random.integers(0, WORDS, 6).tolist():
            start = len(frames)
            for part in range(3):
                frames += [5 * word + part] * int(random.integers(2, 5))
            words.append(Word(0.02 * start, 0.02 * len(frames), f"w{word}"))
            frames += [40 + int(random.integers(0, 5))] * 2
        runs.append((f"u{i:03d}", collapse(np.array(frames))))
        said[f"u{i:03d}"] = words
    return runs, said


def test_pieces_are_the_planted_words_and_keep_every_frame() -> None:
    runs, said = spoken()
    pieces = Pieces(learn_pieces((found for _, found in runs), CODES, 29 + 1 + 2 * WORDS))
    learnt = {tuple(pieces.codes(i)) for i in range(len(pieces))}
    assert {tuple(5 * word + part for part in range(3)) for word in range(WORDS)} <= learnt
    coded = list(pieces.encode(runs))
    for (_, before), (_, after) in zip(runs, coded, strict=True):
        assert after.lengths.sum() == before.lengths.sum()
        assert [code for piece in after.codes.tolist() for code in pieces.codes(piece)] == before.codes.tolist()
    words = AlignedWords.of(said)
    token = score_units(coded, words, len(pieces), CLOCK, [0.0])["segmentation"][0]["token"]
    assert token["recall"] == 1.0
    counts = count_words(((utt, expand(found)) for utt, found in coded), words, len(pieces), CLOCK)
    found = detections(counts)
    assert (found.f1[found.best_of_words()] > 0.75).all()  # windows of 40 ms reach into the neighbours


def test_a_code_that_was_never_seen_is_the_unknown_piece() -> None:
    runs, _ = spoken(20)
    pieces = Pieces(learn_pieces((found for _, found in runs), CODES + 5, 60))
    _, after = next(pieces.encode([("u", Runs(np.array([0, 48, 49, 1]), np.array([2, 3, 4, 5])))]))
    assert after.codes.tolist()[1] == 0 and pieces.codes(0) == []
    assert after.lengths.tolist() == [2, 7, 5]


def test_a_vocabulary_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match="no more than the single codes"):
        learn_pieces([Runs(np.arange(9), np.ones(9, int))], 9, 10)
    with pytest.raises(UsageError, match="at most 20000"):
        learn_pieces([Runs(np.arange(9), np.ones(9, int))], 30_000, 40_000)


def test_the_command_writes_units_that_the_scores_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _ = spoken(30)
    write_runs(tmp_path / "units", runs)
    about = {"layer": "codes2", "num_codes": CODES, "frame_shift_s": 0.02, "frame_offset_s": 0.01}
    write_json(tmp_path / "units" / "codes.json", about)
    arguments = ["--vocabulary", "60", "--ctm", str(tmp_path / "units"), str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["learn_units_bpe", *arguments])
    learn_units_bpe.main()
    made = read_json(tmp_path / "out" / "codes.json")
    assert (made["method"], made["of_codes"], made["layer"]) == ("pseudo-words", CODES, "codes2")
    codes = ArchiveReader(tmp_path / "out" / "codes.scp")
    assert [len(codes[utt]) for utt, _ in runs] == [found.lengths.sum() for _, found in runs]
    assert len((tmp_path / "out" / "pieces.tsv").read_text().splitlines()) == made["num_codes"] + 1


def sounds(kind: str) -> tuple[dict[str, np.ndarray], dict[str, list[Word]]]:
    """Noisy steady sounds; for ``norm`` each begins with a burst."""
    random = np.random.default_rng(3)
    shapes = 3 * random.standard_normal((6, 12))
    frames, said = {}, {}
    for i in range(40):
        lengths = random.integers(5, 12, 10)
        phones = (np.cumsum(random.integers(1, 6, 10))) % 6  # neighbours differ
        matrix = np.repeat(shapes[phones], lengths, 0) + 0.1 * random.standard_normal((lengths.sum(), 12))
        ends = np.cumsum(lengths)
        if kind == "norm":
            matrix[ends[:-1]] *= 4
        lead = 0.01 if kind == "norm" else 0.0  # a burst is at its frame's centre, a change between frames
        edges = np.r_[0, 0.02 * ends[:-1] + lead, 0.02 * ends[-1] + lead]
        said[f"u{i}"] = [Word(a, b, f"p{p}") for a, b, p in zip(edges, edges[1:], phones, strict=False)]
        frames[f"u{i}"] = matrix.astype(np.float32)
    return frames, said


@pytest.mark.parametrize("kind", ["change", "norm"])
def test_events_are_at_the_planted_boundaries(kind: str) -> None:
    frames, said = sounds(kind)
    finder = EventFinder(kind, 0.5)  # type: ignore[arg-type]
    means = SegmentMeans(frames, finder)
    codebook = np.concatenate([means[utt] for utt in frames])[:60]
    runs = list(encode_segments(frames.items(), codebook, finder))
    assert all(found.lengths.sum() == len(frames[utt]) for utt, found in runs)
    words, clock = AlignedWords.of(said), finder.clock(CLOCK)
    scores = score_units(runs, words, len(codebook), clock, [0.0])["segmentation"][0]
    assert scores["boundary"]["f1"] > 0.9
    chance = score_units(list(shuffled(runs, 1)), words, len(codebook), clock, [0.0])["segmentation"][0]
    assert chance["boundary"]["f1"] < 0.4


def test_a_constant_or_empty_layer_has_no_events() -> None:
    finder = EventFinder("change", 0.1)
    assert finder.segments(np.ones((5, 3)))[0].tolist() == [5]
    assert finder.segments(np.zeros((0, 3)))[0].tolist() == []
