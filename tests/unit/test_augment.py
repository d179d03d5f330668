"""Augmentation: what is drawn, what is applied, and that a batch does not depend on how it is split."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vgspeech.audio import FrontEnd, bins_at_speed
from vgspeech.config import AugmentConfig, FrontEndConfig
from vgspeech.training.augment import (
    ImageChanges,
    SpeechChanges,
    crop_and_resize,
    crop_speech,
    draw_image_changes,
    draw_speech_changes,
    shift_and_flip,
    warp_speech,
)

ALL = AugmentConfig(
    image_shift=3, image_flip=True, tempo=0.12, mel_warp=0.08, mel_shift=1.0, frequency_mask=6, time_mask=12
)


def speech_changes(n: int, **given: object) -> SpeechChanges:
    nothing = {
        "tempo": np.ones(n),
        "warp": np.ones(n),
        "mel_shift": np.zeros(n),
        "frequency_mask": np.zeros((n, 1, 2)),
        "time_mask": np.zeros((n, 1, 2)),
        "speed": np.ones(n),
        "start": np.zeros(n),
    }
    return SpeechChanges(**{**nothing, **given})


def test_draws_stay_within_the_configured_limits() -> None:
    images = draw_image_changes(2000, ALL, np.random.default_rng(0))
    speech = draw_speech_changes(2000, ALL, np.random.default_rng(0))
    assert set(np.unique(images.shift)) == set(range(-3, 4))
    assert 0.4 < images.flip.mean() < 0.6
    assert 0.88 <= speech.tempo.min() < 0.9 and 1.1 < speech.tempo.max() <= 1.12
    assert set(np.unique(speech.frequency_mask[..., 0])) == set(range(7))
    assert speech.time_mask[..., 0].max() == 12


def test_no_augmentation_changes_nothing() -> None:
    off = AugmentConfig()
    images = torch.randint(0, 256, (5, 6, 7, 3), dtype=torch.uint8)
    assert torch.equal(shift_and_flip(images, draw_image_changes(5, off, np.random.default_rng(1))), images)
    frames, offsets, lengths = torch.randn(30, 4), torch.tensor([0, 10, 17]), torch.tensor([10, 7, 13])
    plain, _ = warp_speech(frames, offsets, lengths, None)
    warped, new_lengths = warp_speech(frames, offsets, lengths, draw_speech_changes(3, off, np.random.default_rng(1)))
    assert torch.equal(new_lengths, lengths)
    torch.testing.assert_close(warped, plain, rtol=0, atol=1e-6)
    assert torch.equal(plain[1, :7], frames[10:17]) and plain[1, 7:].abs().sum() == 0


def test_shift_repeats_the_edge_and_flip_mirrors() -> None:
    image = torch.arange(12).reshape(1, 3, 4, 1).expand(1, 3, 4, 3)
    moved = shift_and_flip(image, ImageChanges(np.array([[1, -2]]), np.array([False]), np.zeros((1, 4))))
    assert moved[0, :, :, 0].tolist() == [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]]
    mirrored = shift_and_flip(image, ImageChanges(np.array([[0, 0]]), np.array([True]), np.zeros((1, 4))))
    assert mirrored[0, 0, :, 0].tolist() == [3, 2, 1, 0]


def test_rows_of_a_batch_do_not_depend_on_the_split() -> None:
    images = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    frames, lengths = torch.randn(200, 10), torch.tensor([20, 31, 25, 24, 40, 12, 28, 20])
    offsets = lengths.cumsum(0) - lengths
    changes = draw_image_changes(8, ALL, np.random.default_rng(2))
    speech = draw_speech_changes(8, ALL, np.random.default_rng(3))
    part = np.arange(5, 8)
    assert torch.equal(shift_and_flip(images[5:], changes.rows(part)), shift_and_flip(images, changes)[5:])
    whole, whole_lengths = warp_speech(frames, offsets, lengths, speech)
    some, some_lengths = warp_speech(frames, offsets[5:], lengths[5:], speech.rows(part))
    assert torch.equal(some_lengths, whole_lengths[5:])
    torch.testing.assert_close(some, whole[5:, : some.shape[1]], rtol=0, atol=1e-6)


def test_tempo_resamples_linearly_in_time() -> None:
    ramp = torch.arange(21.0)[:, None].expand(21, 3)
    faster, length = warp_speech(ramp, torch.tensor([0]), torch.tensor([21]), speech_changes(1, tempo=np.array([1.5])))
    assert length.tolist() == [14]
    torch.testing.assert_close(faster[0, :, 0], torch.arange(14) * 1.5)


def test_mel_warp_moves_energy_along_the_axis() -> None:
    peak = torch.zeros(1, 40)
    peak[0, 20] = 1.0
    changes = speech_changes(1, warp=np.array([1.0]), mel_shift=np.array([2.0]))
    moved, _ = warp_speech(peak, torch.tensor([0]), torch.tensor([1]), changes)
    assert moved[0, 0].argmax() == 18 and moved.sum() == pytest.approx(1.0)
    stretched, _ = warp_speech(peak, torch.tensor([0]), torch.tensor([1]), speech_changes(1, warp=np.array([0.8])))
    assert stretched[0, 0].argmax() == 25


def test_masks_are_zero_and_lie_inside_the_caption() -> None:
    frames = torch.ones(100, 10)
    changes = speech_changes(
        2, time_mask=np.array([[[5, 0.999]], [[50, 0.0]]]), frequency_mask=np.array([[[3, 0.0]], [[0, 0.5]]])
    )
    out, _ = warp_speech(frames, torch.tensor([0, 60]), torch.tensor([60, 40]), changes)
    assert out[0, :, 5].eq(0).nonzero().flatten().tolist() == [55, 56, 57, 58, 59]
    assert out[0, 0].tolist() == [0] * 3 + [1] * 7
    assert out[1].abs().sum() == 0  # a mask longer than the caption covers it and no more


def test_crop_covers_the_image_at_full_area_and_stays_inside() -> None:
    image = torch.arange(64, dtype=torch.uint8).reshape(8, 8, 1).expand(8, 8, 3)
    assert torch.equal(crop_and_resize(image, np.array([1.0, 1.0, 0.3, 0.7]), 8), image)
    for row in draw_image_changes(50, AugmentConfig(image_crop_scale=0.08), np.random.default_rng(0)).crop:
        assert crop_and_resize(image, row, 5).shape == (5, 5, 3)


def test_more_options_leave_the_other_draws_as_they_are() -> None:
    more = dataclasses.replace(ALL, masks=3, speed=(0.9, 1.1))
    one, three = (draw_speech_changes(50, config, np.random.default_rng(8)) for config in (ALL, more))
    assert np.array_equal(one.tempo, three.tempo) and np.array_equal(one.mel_shift, three.mel_shift)
    assert np.array_equal(one.time_mask, three.time_mask[:, :1]) and three.time_mask.shape == (50, 3, 2)
    assert set(three.speed) == {0.9, 1.1} and set(one.speed) == {1.0}
    assert len(np.unique(three.time_mask[0, :, 1])) == 3


def test_every_mask_hides_something() -> None:
    masks = np.array([[[2, 0.0], [3, 0.5], [1, 0.999]]])
    out, _ = warp_speech(torch.ones(20, 4), torch.tensor([0]), torch.tensor([20]), speech_changes(1, time_mask=masks))
    assert out[0, :, 0].tolist() == [0, 0] + [1] * 7 + [0] * 3 + [1] * 7 + [0]


@pytest.mark.parametrize("kind", ["fbank", "davenet"])
def test_speed_moves_a_tone_as_playing_it_faster_does(kind: str) -> None:
    """The features of a sine at 1,000 Hz played 1.25 times as fast peak in the bin of 1,250 Hz, and are shorter."""
    front_end = FrontEndConfig(type=kind)  # type: ignore[arg-type]
    peaks = []
    for hertz in (1000.0, 1250.0):
        wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000).astype(np.float32)
        peaks.append(FrontEnd(front_end)(wave))
    slow, fast = (torch.from_numpy(features) for features in peaks)
    axes = {1.25: torch.from_numpy(bins_at_speed(front_end, 1.25)).float()}
    changes = speech_changes(1, speed=np.array([1.25]))
    played, lengths = warp_speech(slow, torch.tensor([0]), torch.tensor([len(slow)]), changes, axes)
    assert int(lengths[0]) == int(len(slow) / 1.25)
    assert int(slow[30].argmax()) != int(fast[30].argmax())
    assert abs(int(played[0, 30].argmax()) - int(fast[30].argmax())) <= 1
    assert bins_at_speed(front_end, 1.0) == pytest.approx(np.arange(40), abs=1e-9)


def test_a_long_caption_keeps_a_random_stretch() -> None:
    offsets, lengths = torch.tensor([0, 50, 60]), torch.tensor([50, 10, 12])
    starts = []
    for place in (0.0, 0.5, 0.999):
        first, kept = crop_speech(offsets, lengths, np.full(3, place), 10)
        assert kept.tolist() == [10, 10, 10] and int(first[1]) == 50
        starts.append(first.tolist())
    assert starts == [[0, 50, 60], [20, 50, 61], [40, 50, 62]]
