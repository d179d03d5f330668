"""Matchmaps with the response to unrelated images subtracted, and the scores against object boxes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from planted_corpus import Planted, make_planted
from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.bin import plot_matchmaps
from vgspeech.config import ExperimentConfig, ImageEncoderConfig, load_config
from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.localize.boxes import View, cells_in_boxes, read_grid_shapes, visible_part
from vgspeech.localize.captions import choose_captions
from vgspeech.localize.inputs import EmbedDir, speech_set
from vgspeech.localize.matchmaps import FrameTimes, active_spans, choose_unrelated, subtracted_matchmap
from vgspeech.localize.score import score_split


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.chdir(tmp_path)
    return make_planted(Path())


def score(planted: Planted, untrained: EmbedDir | None = None) -> dict:
    config = load_config(ExperimentConfig, planted.model / "config.yaml")
    return score_split(EmbedDir.load(planted.embed), untrained, planted.data, "test", config)


def test_subtracted_matchmap_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    frames, cells = rng.normal(size=(5, 8)), rng.normal(size=(6, 8))
    unrelated = [rng.normal(size=(n, 8)) for n in (6, 4, 9)]
    expected = np.zeros((5, 6))
    for t in range(5):
        response = np.mean([max(float(frames[t] @ cell) for cell in other) for other in unrelated])
        for c in range(6):
            expected[t, c] = float(frames[t] @ cells[c]) - response
    assert subtracted_matchmap(frames, cells, unrelated) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_unrelated_images_are_distinct_others_and_do_not_depend_on_anything_else() -> None:
    images = [f"i{k:03}" for k in range(50)]
    for image in images:
        chosen = choose_unrelated(image, images, 20)
        assert len(set(chosen)) == 20 and image not in chosen
        assert chosen == choose_unrelated(image, images, 20)
    assert sorted(choose_unrelated("i000", images[:5], 20)) == images[1:5]
    with pytest.raises(DataError, match="no other image"):
        choose_unrelated("i000", images[:1])


def test_frames_inside_a_word_and_the_nearest_one_for_a_very_short_word() -> None:
    times = FrameTimes(0.08, 0.0125)
    assert times.inside(0.08, 0.18, 10).tolist() == [1, 2]
    assert times.inside(0.10, 0.12, 10).tolist() == [1]
    assert times.inside(5.0, 5.1, 10).tolist() == [9]


def test_visible_part_undoes_resize_and_centre_crop() -> None:
    settings = ImageEncoderConfig(image_size=224, resize=256)
    assert visible_part(256, 256, settings) == View(16, 16, 240, 240)
    wide = visible_part(1024, 512, settings)
    assert (wide.x1 - wide.x0, wide.y1 - wide.y0) == (448, 448)
    assert (wide.x0 + wide.x1, wide.y0 + wide.y1) == (1024, 512)
    centres = View(16, 16, 240, 240).cell_centres((7, 7))
    assert centres[0].tolist() == [32, 32] and centres[8].tolist() == [64, 64] and centres[1].tolist() == [64, 32]


def test_box_edges_are_exclusive_on_the_right() -> None:
    points = np.array([[10.0, 10.0], [20.0, 10.0], [19.9, 19.9]])
    assert cells_in_boxes(points, [(10, 10, 20, 20)]).tolist() == [True, False, True]


def test_planted_words_look_at_their_objects(planted: Planted) -> None:
    result = score(planted)
    for lang in ("en", "hi"):
        nouns, top = result["languages"][lang]["noun_in_box"], result["languages"][lang]["top_frame"]
        assert (nouns["nouns"], nouns["correct"], nouns["accuracy"]) == (9, 9, 1.0)
        assert nouns["chance"] == pytest.approx(0.25)
        assert top["in_content_word"] == 1.0 and top["in_box"] == 1.0
        assert top["in_content_word_raw"] == 0.0, "silence has the highest plain score here"


def test_scores_notice_a_model_that_looks_elsewhere(planted: Planted) -> None:
    grids = ArchiveReader(planted.embed / "images.scp")
    turned = planted.embed.parent / "turned"
    shutil.copytree(planted.embed, turned)
    with ArchiveWriter(turned / "images.ark", turned / "images.scp") as archive:
        for image in grids:
            archive.write(image, grids[image].reshape(4, 4, -1)[::-1, ::-1].reshape(16, -1).copy())
    result = score(Planted(planted.data, planted.model, turned), EmbedDir.load(planted.embed))
    nouns = result["languages"]["en"]["noun_in_box"]
    assert nouns["accuracy"] == 0.0 and nouns["untrained"] == 1.0
    assert result["languages"]["en"]["top_frame"]["in_box"] == 0.0


def test_without_truth_the_result_says_what_is_missing(planted: Planted) -> None:
    (planted.data / "speech/test_hi/ctm").unlink()
    assert "ctm" in score(planted)["languages"]["hi"]["missing"]
    (planted.data / "images/test/objects.tsv").unlink()
    assert "objects.tsv" in score(planted)["missing"]


def test_active_spans_find_the_peaks_in_time_order() -> None:
    curve = np.array([-1, -1, 0.2, 1, 0.9, 0.1, -1, 0.3, 0.8, 0.3, -1])
    spans = active_spans(curve[:, None], FrameTimes(0.1, 0.05), 1.1, 2)
    assert np.array(spans) == pytest.approx(np.array([(0.3, 0.5), (0.8, 0.9)]))
    assert active_spans(-np.ones((4, 1)), FrameTimes(0.1, 0.05), 0.4, 2) == []


def test_captions_show_the_same_images_in_all_languages_and_leave_out_who_did_not_agree(planted: Planted) -> None:
    (planted.data / "speech/test_en/utt2share").write_text("en-1 no\n")
    speech = {lang: speech_set(planted.data, "test", lang) for lang in ("en", "hi")}
    chosen = choose_captions(EmbedDir.load(planted.embed), speech, 9)
    assert len(chosen["en"]) == 8 and "en-1" not in chosen["en"]
    assert [utt[3:] for utt in chosen["hi"][:8]] == [utt[3:] for utt in chosen["en"]]


def test_bad_grid_shape_is_refused() -> None:
    with pytest.raises(DataError, match="expected 'image H W'"):
        read_grid_shapes({"i": "8x8"}, "grid_shape")


@pytest.mark.parametrize("timed", [True, False])
def test_pictures_are_written_with_and_without_word_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    planted = make_planted(Path(), timed=timed)
    arguments = [planted.model, planted.embed, planted.data, "test", planted.embed.parent / "matchmaps"]
    monkeypatch.setattr(sys, "argv", ["plot_matchmaps", "--captions", "2", *map(str, arguments)])
    plot_matchmaps.main()
    assert "4 captions" in capsys.readouterr().out
    folder = planted.embed.parent / "matchmaps"
    captions = read_json(folder / "captions.json")["captions"]
    assert [caption["timed"] for caption in captions] == [timed] * 4
    for caption in captions:
        assert ArchiveReader(folder / "maps.scp")[caption["utt"]].shape == (7, 16)
        assert all((folder / caption[kind]).stat().st_size > 0 for kind in ("scene", "sound", "picture"))
        brightest = max(caption["spans"], key=lambda span: span["score"])
        assert 0.2 <= (brightest["start_s"] + brightest["end_s"]) / 2 <= 0.6
