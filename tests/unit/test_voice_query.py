"""Query by voice: search, scores, and the queries that are cut from captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lexicon_simulation import CLOCK
from vgspeech.datadir import Lexicon, Segment, SpeechSet, Word, write_speech_set
from vgspeech.dataset_tools.words import cut_words
from vgspeech.errors import DataError
from vgspeech.lexicon.query_scores import Asked, equal_error_rate, overlap, score_captions, score_ranking
from vgspeech.lexicon.voice_query import Hits, Queries, query_vectors, search_captions, search_images


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def test_a_word_is_found_where_it_is_said() -> None:
    rng = np.random.default_rng(0)
    words = unit(rng.normal(size=(5, 24)))
    captions = {f"u{i}": unit(0.15 * rng.normal(size=(30, 24))) for i in range(5)}
    for i in range(5):
        captions[f"u{i}"][10 + i : 14 + i] = words[i]
    queries = query_vectors({f"q{i}": unit(words[i] + 0.05 * rng.normal(size=(6, 24))) for i in range(5)})
    hits = search_captions(queries, captions, [], CLOCK)
    assert hits.scores.argmax(1).tolist() == list(range(5))
    for i in range(5):
        edges = np.array([10 + i - 0.5, 13 + i + 0.5]) * CLOCK.shift_s + CLOCK.offset_s
        # a frame is blurred by its neighbours
        np.testing.assert_allclose(hits.times[i, i, 1:], edges, atol=1.25 * CLOCK.shift_s)
        assert edges[0] <= hits.times[i, i, 0] <= edges[1]


def test_frames_that_go_with_everything_do_not_win_after_the_subtraction() -> None:
    word, usual = np.eye(2, 8)
    captions = {
        "hub": np.tile(unit((word + usual)[None]), (9, 1)),
        "said": np.tile(unit((0.8 * word + 0.8 * np.eye(8)[2])[None]), (9, 1)),
    }
    query = unit((word + 0.5 * usual)[None])
    assert search_captions(query, captions, [], CLOCK).scores.argmax() == 0
    assert search_captions(query, captions, [np.tile(usual, (4, 1))], CLOCK).scores.argmax() == 1


def test_an_image_is_as_good_as_its_best_cell() -> None:
    frames = {"q": np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 9]])}
    queries = Queries(frames, {"q": np.array([True, True, False])})  # the last frame is silence and would match "c"
    grids = {"b": np.array([[0.5, 0, 0], [0.5, 0, 0]]), "a": np.array([[0.0, 1, 0], [0.9, 0, 0]]), "c": np.eye(3)[2:]}
    images, scores = search_images(queries, grids)
    assert images == ["a", "b", "c"]
    np.testing.assert_allclose(scores, [[0.9, 0.5, 0]])


def test_scores_of_one_query() -> None:
    relevant = np.array([True, False, True, False])
    found = score_ranking(np.array([0.9, 0.8, 0.7, 0.1]), relevant, np.array([0.6, 0, 0.4, 0]))
    assert found == {
        "p_at_10": 0.5,  # all four are among the first ten
        "p_at_n": 0.5,
        "eer": pytest.approx(0.5),
        "chance": 0.5,
        "p_at_10_localised": 0.25,
    }
    constant = score_ranking(np.zeros(4), relevant)
    assert constant is not None and constant["p_at_n"] == 0  # ties are against the query
    assert score_ranking(np.zeros(4), np.ones(4, bool)) is None


@pytest.mark.parametrize(
    ("scores", "rate"), [([4, 3, 2, 1], 0.0), ([1, 2, 3, 4], 1.0), ([1, 1, 1, 1], 0.5), ([4, 2, 3, 1], 0.5)]
)
def test_equal_error_rate(scores: list[float], rate: float) -> None:
    assert equal_error_rate(np.array(scores, float), np.array([True, True, False, False])) == pytest.approx(rate)


def test_random_scores_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    relevant = rng.random(4000) < 0.2
    found = [score_ranking(rng.random(4000), relevant) for _ in range(200)]
    for metric, wanted in (("p_at_10", 0.2), ("p_at_n", 0.2), ("eer", 0.5)):
        assert np.mean([row[metric] for row in found if row]) == pytest.approx(wanted, abs=0.03)


def test_overlap_is_that_of_the_best_word() -> None:
    words = [Word(0.0, 1.0, "x"), Word(2.0, 3.0, "x")]
    assert overlap(0.5, 1.5, words) == pytest.approx(1 / 3)
    assert overlap(2.0, 3.0, words) == 1
    assert overlap(1.0, 2.0, words) == overlap(0, 1, []) == 0


def speech_set(path: Path, lang: str, words: dict[str, list[Word]], segmented: bool = False) -> SpeechSet:
    utts = list(words)
    write_speech_set(
        path,
        wav={"tape": "/rec/tape.wav"} if segmented else {utt: f"/rec/{utt}.wav" for utt in utts},
        utt2spk=dict.fromkeys(utts, lang),
        utt2lang=dict.fromkeys(utts, lang),
        utt2dur=dict.fromkeys(utts, 2.0),
        utt2image={utt: f"img{i}" for i, utt in enumerate(utts)},
        segments={utt: Segment("tape", 5.0 * i, 5.0 * i + 2) for i, utt in enumerate(utts)} if segmented else None,
        text={utt: " ".join(word.text for word in said) for utt, said in words.items()},
        ctm=words,
    )
    return SpeechSet.load(path)


SAID = {
    "en-1": [Word(0.05, 0.5, "dog"), Word(0.6, 1.0, "the")],
    "en-2": [Word(1.0, 1.95, "dog")],
    "en-3": [Word(0.5, 1.0, "cat")],
}


@pytest.mark.parametrize("segmented", [False, True])
def test_words_are_cut_with_their_context(tmp_path: Path, segmented: bool) -> None:
    speech = speech_set(tmp_path / "en", "en", SAID, segmented)
    counts = cut_words(speech, tmp_path / "words", lambda word: word != "the", per_word=2, context_s=0.1)
    assert counts == {"dog": 2, "cat": 1}
    words = SpeechSet.load(tmp_path / "words")
    pieces = {key: words.audio_location(key) for key in words.ids}
    second, name = (5.0, "/rec/tape.wav") if segmented else (0.0, "/rec/en-2.wav")
    first_name = "/rec/tape.wav" if segmented else "/rec/en-1.wav"
    assert pieces["en-1-w000"] == (first_name, 0.0, pytest.approx(0.6))  # within its caption
    assert pieces["en-2-w000"] == (name, pytest.approx(second + 0.9), pytest.approx(second + 2.0))
    assert words.text["en-3-w000"] == "cat" and words.utt2image["en-3-w000"] == "img2"
    with pytest.raises(DataError, match="no wanted word"):
        cut_words(speech, tmp_path / "none", lambda _: False, per_word=1, context_s=0)


def test_captions_are_scored_by_concept_and_time(tmp_path: Path) -> None:
    lexicon = Lexicon(
        ("en", "hi"), {"dog": {"en": ("dog",), "hi": ("kutta",)}, "cat": {"en": ("cat",), "hi": ("billi",)}}
    )
    spoken = {f"hi-{i}": [Word(0.5, 1.0, "kutta" if i < 3 else "billi")] for i in range(6)}
    searched = speech_set(tmp_path / "hi", "hi", spoken)
    queries = speech_set(tmp_path / "en", "en", {"en-1": [Word(0.0, 0.5, "dog")]})
    times = np.tile([0.7, 0.5, 1.0], (1, 6, 1))
    times[0, 1] = [1.5, 1.4, 1.6]  # the right caption, the wrong time
    hits = Hits(sorted(spoken), np.array([[0.9, 0.8, 0.1, 0.5, 0.4, 0.3]]), times)
    found = score_captions(Asked.of(queries, "en", lexicon, others_only=False), hits, searched, "hi", lexicon)
    assert found["p_at_n"] == pytest.approx(2 / 3) and found["p_at_10_localised"] == pytest.approx(2 / 6)
    others = score_captions(Asked.of(queries, "en", lexicon, others_only=True), hits, searched, "hi", lexicon)
    assert others["p_at_n"] == pytest.approx(1 / 2)  # without hi-0, which tells of the query's image
    (tmp_path / "hi/ctm").unlink()
    untimed = score_captions(
        Asked.of(queries, "en", lexicon, others_only=False), hits, SpeechSet.load(tmp_path / "hi"), "hi", lexicon
    )
    assert untimed["p_at_n"] == found["p_at_n"] and "p_at_10_localised" not in untimed
