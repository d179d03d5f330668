"""Peak search: where, how high, and independent of blocks, jobs and order of languages."""

from __future__ import annotations

import numpy as np
import pytest

from lexicon_simulation import only_noise, simulate
from vgspeech.errors import DataError
from vgspeech.lexicon.captions import (
    CaptionFrames,
    FrameClock,
    ImageCaptions,
    caption_blocks,
    mean_frame,
    pair_captions,
    windowed,
)
from vgspeech.lexicon.collapse import CollapseOptions, pick_segments, segments
from vgspeech.lexicon.detect import extents, pick_peaks, smooth
from vgspeech.lexicon.discover import DiscoveryOptions, search
from vgspeech.lexicon.peaks import PeakOptions, Peaks, concatenate
from vgspeech.lexicon.place_scores import Scenes, place_scores
from vgspeech.lexicon.places import ImageGrids, places, with_places
from vgspeech.lexicon.responses import FrameStack, Similarities, responses


def test_planted_peaks_are_found_where_they_are() -> None:
    random = np.random.default_rng(0)
    similarity = 0.05 * random.standard_normal((40, 50)).astype(np.float32)
    planted = [(5, 30), (17, 8), (33, 41)]
    for t, u in planted:
        similarity[t - 1 : t + 2, u - 1 : u + 2] += 0.5
        similarity[t, u] += 0.3
    _, frames_a, frames_b, scores = pick_peaks([similarity], PeakOptions().cells())
    assert list(zip(frames_a[:, 0], frames_b[:, 0], strict=True)) == planted
    for frames in (frames_a, frames_b):  # three frames, and half a frame of slope or more on either side
        np.testing.assert_allclose(frames[:, 0] - frames[:, 1], 2.0, atol=0.75)
        np.testing.assert_allclose(frames[:, 2] - frames[:, 0], 2.0, atol=0.75)
    assert (scores > 0.3).all()


def test_no_peak_without_positive_evidence() -> None:
    nothing = [np.full((10, 12), -0.2, np.float32), np.zeros((1, 1), np.float32)]
    assert not len(pick_peaks(nothing, PeakOptions().cells()).scores)
    assert not len(pick_peaks([], PeakOptions().cells()).scores)


def test_only_the_highest_peaks_of_a_pair_are_kept() -> None:
    similarity = np.zeros((60, 60), np.float32)
    for k in range(12):
        similarity[5 * k + 2, 5 * k + 2] = 1 + 0.01 * k
    found = pick_peaks([similarity, similarity.T], PeakOptions(per_pair=3).cells())
    assert found.frames_a[:, 0].tolist() == [47, 52, 57] * 2
    assert found.maps.tolist() == [0, 0, 0, 1, 1, 1]


def test_smoothing_keeps_a_constant_and_the_sum() -> None:
    np.testing.assert_allclose(smooth(np.full((4, 7), 0.3, np.float32)), 0.3, rtol=1e-6)
    delta = np.zeros((5, 5), np.float32)
    delta[2, 2] = 16
    assert smooth(delta)[1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


def test_peaks_of_a_map_do_not_depend_on_the_maps_beside_it() -> None:
    random = np.random.default_rng(3)
    maps = [random.standard_normal(shape).astype(np.float32) for shape in ((9, 31), (40, 12), (1, 7), (25, 25))]
    together = pick_peaks(maps, PeakOptions().cells())
    for i, similarity in enumerate(maps):
        alone = pick_peaks([similarity], PeakOptions().cells())
        assert len(alone.scores)
        for name in ("frames_a", "frames_b", "scores"):
            np.testing.assert_array_equal(getattr(together, name)[together.maps == i], getattr(alone, name))


def _three_images() -> tuple[list[ImageCaptions], CaptionFrames, CaptionFrames]:
    random = np.random.default_rng(1)
    counts = (("a", ([5, 3], [4], [6])), ("b", ([2], [7, 3], [4])))
    frames: dict[str, dict[str, np.ndarray]] = {"a": {}, "b": {}}
    utts: dict[str, list[tuple[str, ...]]] = {"a": [], "b": []}
    for tag, images in counts:
        for i, lengths in enumerate(images):
            names = tuple(f"{tag}{i}{k}" for k in range(len(lengths)))
            frames[tag].update(
                (name, random.standard_normal((t, 64)).astype(np.float32))
                for name, t in zip(names, lengths, strict=True)
            )
            utts[tag].append(names)
    block = [ImageCaptions(f"i{i}", a, b) for i, (a, b) in enumerate(zip(utts["a"], utts["b"], strict=True))]
    mean = np.zeros(64, np.float32)
    return block, CaptionFrames(frames["a"], mean), CaptionFrames(frames["b"], mean)


def test_responses_are_means_of_best_matches_with_other_images() -> None:
    block, frames_a, frames_b = _three_images()
    stacks = (FrameStack(), FrameStack())
    stacks[0].fill(frames_a, [image.a for image in block])
    stacks[1].fill(frames_b, [image.b for image in block])
    response_a, response_b = responses(stacks[0].frames @ stacks[1].frames.T, *stacks)
    own_a = [utt for image in block for utt in image.a]
    for number, utt in enumerate(own_a):
        others = [other for image in block if utt not in image.a for other in image.b]
        expected = np.mean([(frames_a[utt] @ frames_b[other].T).max(1) for other in others], axis=0)
        np.testing.assert_allclose(response_a[stacks[0].caption(number)], expected, rtol=1e-5)
    pairs = Similarities(True, False).of_block(block, (frames_a, frames_b))
    assert [pair for pair, _ in pairs] == [(0, 0), (1, 0), (2, 1), (2, 2), (3, 3)]
    for (k, m), found in pairs:
        rows, columns = stacks[0].caption(k), stacks[1].caption(m)
        similarity = stacks[0].frames[rows] @ stacks[1].frames[columns].T
        expected = similarity - (response_a[rows, None] + response_b[columns]) / 2
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rough_responses_are_nearly_the_same() -> None:
    block, frames_a, frames_b = _three_images()
    exact = Similarities(True, False).of_block(block, (frames_a, frames_b))
    for (_, rough), (_, wanted) in zip(
        Similarities(True, True).of_block(block, (frames_a, frames_b)), exact, strict=True
    ):
        np.testing.assert_allclose(rough, wanted, atol=2e-3)


def test_blocks_depend_on_ids_and_seed_only() -> None:
    images = pair_captions({f"a{i}": f"i{i}" for i in range(100)}, {f"b{i}": f"i{i}" for i in range(100)})
    blocks = caption_blocks(images, 21, seed=1)
    assert blocks == caption_blocks(images[::-1], 21, seed=1)
    assert blocks != caption_blocks(images, 21, seed=2)
    assert sorted(image.image for block in blocks for image in block) == [image.image for image in images]
    assert all(len(block) >= 21 for block in blocks)


def test_any_number_of_jobs_finds_the_same_peaks_to_the_bit() -> None:
    data = simulate(150)
    whole = search(data.a, data.b, DiscoveryOptions())
    parts = concatenate([search(data.a, data.b, DiscoveryOptions(), job, 5) for job in range(1, 6)])
    assert len(whole) > 200
    assert (whole.image, whole.utt_a, whole.utt_b) == (parts.image, parts.utt_a, parts.utt_b)
    for name in ("times_a", "times_b", "scores", "vectors_a", "vectors_b"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert whole.n_pairs == parts.n_pairs == 150


def test_swapping_the_languages_gives_the_transposed_peaks() -> None:
    data = simulate(100)
    one, other = search(data.a, data.b, DiscoveryOptions()), search(data.b, data.a, DiscoveryOptions())
    rows = {
        (p[0], p[1], *t[:1], *u[:1]) for *p, t, u in zip(one.utt_a, one.utt_b, one.times_a, one.times_b, strict=True)
    }
    swapped = zip(other.utt_b, other.utt_a, other.times_b, other.times_a, strict=True)
    assert rows == {(p[0], p[1], *t[:1], *u[:1]) for *p, t, u in swapped}


def test_subtraction_removes_what_goes_with_everything() -> None:
    noise = only_noise(100)
    assert len(search(noise.a, noise.b, DiscoveryOptions())) < 5
    assert len(search(noise.a, noise.b, DiscoveryOptions(peaks=PeakOptions(background=0)))) > 500


def test_several_captions_an_image_make_all_pairs() -> None:
    images = pair_captions({"a1": "x", "a2": "x", "a3": "y"}, {"b1": "x", "b2": "x", "b3": "y", "b4": "z"})
    assert [(image.a, image.b) for image in images] == [(("a1", "a2"), ("b1", "b2")), (("a3",), ("b3",))]
    with pytest.raises(DataError, match="at least two"):
        pair_captions({"a1": "x"}, {"b1": "x"})


def test_frames_are_centred_and_of_unit_length() -> None:
    frames = {f"u{i}": np.random.default_rng(i).standard_normal((7, 5)).astype(np.float32) + 3 for i in range(30)}
    mean = mean_frame(frames, seed=1)
    np.testing.assert_allclose(mean, np.concatenate(list(frames.values())).mean(0), rtol=1e-5)
    centred = CaptionFrames(frames, mean)["u3"]
    np.testing.assert_allclose(np.linalg.norm(centred, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(windowed(centred), axis=1), 1, rtol=1e-5)
    assert windowed(centred[:1]) == pytest.approx(centred[:1])


def test_ends_lie_between_frames() -> None:
    profile = np.array([0.5, 1.0, 0.75, 0.25, 0.0, 0.9], np.float32)[:, None]
    assert extents(profile, np.array([1]), np.array([0.5], np.float32)).tolist() == [[1, -0.5, 2.5]]
    assert extents(profile, np.array([5]), np.array([0.45], np.float32)).tolist() == [[5, 4.5, 5.5]]


def test_stretches_need_both_thresholds_a_duration_and_one_partner() -> None:
    curve = np.array([0, 0.3, 1, 0.3, 0, 0.3, 0.3, 0, 0.9, 0, 0.6, 0.7, 0.8, 0.6], np.float32)
    match = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21])
    found = segments(curve, match, 0.1, CollapseOptions(high=0.5, low=0.2, min_duration_s=0.2))
    # too low: 5 and 6; too short: 8; 10 to 13 fall apart where the match jumps
    assert found == [(2, 0.5, 3.5), (11, 9.5, 11.5), (12, 11.5, 13.5)]
    assert segments(-curve, match, 0.1, CollapseOptions()) == []


def test_the_curve_detector_finds_planted_words_and_swaps() -> None:
    similarity = np.full((30, 40), -0.1, np.float32)
    for t, u in ((4, 30), (15, 8)):
        similarity[t : t + 4, u : u + 5] = 0.6
        similarity[t + 1, u + 2] = 0.9
    frames_a, frames_b, scores = pick_segments(similarity, (0.08, 0.08), CollapseOptions())
    assert frames_a.tolist() == [[5, 3.5, 7.5], [16, 14.5, 18.5]]
    assert frames_b.tolist() == [[32, 29.5, 34.5], [10, 7.5, 12.5]]
    assert scores.tolist() == pytest.approx([0.9, 0.9])
    swapped = pick_segments(similarity.T, (0.08, 0.08), CollapseOptions())
    assert swapped[0].tolist() == frames_b[::-1].tolist()


def test_clock() -> None:
    seconds = FrameClock(0.08, 0.0125).seconds(np.array([[10, 7.5, 12.5], [0, -0.5, 0.5]]))
    np.testing.assert_allclose(seconds, [[0.8125, 0.6125, 1.0125], [0.0125, 0, 0.0525]])


def test_places_are_the_most_similar_cells_of_the_own_image() -> None:
    cells = {name: np.eye(6, dtype=np.float32) for name in ("x", "y")}
    cells["y"] = cells["y"][::-1]
    grids = ImageGrids(cells, {"x": (2, 3), "y": (3, 2)})
    vectors = np.eye(6, dtype=np.float32)[[4, 4, 0]] + np.float32(0.1)
    found = places(["x", "y", "z"], vectors, grids)
    np.testing.assert_allclose(found[0], [1, 1, 0.5, 0.75])
    np.testing.assert_allclose(found[1], [0, 1, 0.75, 0.1667])
    assert np.isnan(found[2]).all()
    peaks = Peaks(["x"], ["a"], ["b"], np.zeros((1, 3)), np.zeros((1, 3)), np.ones(1), vectors[:1], vectors[2:])
    placed = with_places(peaks, ({"a": "x"}, {"b": "y"}), grids)
    assert placed.places_a.tolist() == found[:1].tolist() and placed.places_b[0, :2].tolist() == [2, 1]


def test_place_scores_count_named_objects_only() -> None:
    scenes = Scenes({"x": [("cat", (0.5, 0.0, 1.0, 0.5)), ("sun", (0.0, 0.0, 0.1, 0.1))]}, {"x": (2, 2)})
    names = {"cat": frozenset({"cat"}), "kitten": frozenset({"cat"}), "sun": frozenset({"sun"}), "the": frozenset()}
    where = np.array([[0, 1, 0.75, 0.25], [1, 1, 0.75, 0.75], [0, 0, 0.25, 0.25], [0, 1, 0.75, 0.25], [np.nan] * 4])
    words = ["cat", "kitten", "sun", "the", "cat"]
    found = place_scores(["x"] * 5, where, words, names.__getitem__, scenes)
    assert found == {"peaks": 2, "in_box": 0.5, "chance": 0.25}, "the sun's box has no cell's centre"
    assert place_scores(["z"], where[:1], ["cat"], names.__getitem__, scenes) == {"peaks": 0}
