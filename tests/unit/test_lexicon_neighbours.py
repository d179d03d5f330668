"""Languages that share no images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lexicon_simulation import simulate
from vgspeech.errors import DataError
from vgspeech.lexicon import neighbours
from vgspeech.lexicon.discover import DiscoveryOptions, discover
from vgspeech.lexicon.neighbours import mutual_nearest, pair_nearest


def test_blocks_do_not_change_who_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((n, 6)).astype(np.float32) for n in (50, 40))
    cosine = a @ b.T
    expected = [(i, int(cosine[i].argmax())) for i in range(50) if cosine[:, cosine[i].argmax()].argmax() == i]
    for block in (7, 4096):
        monkeypatch.setattr(neighbours, "_BLOCK", block)
        found = mutual_nearest(a, b)
        assert list(zip(*(rows.tolist() for rows in found), strict=True)) == expected


def test_words_are_found_through_images_that_look_alike() -> None:
    data = simulate(400, concepts=12)
    random = np.random.default_rng(0)
    cells = {}
    for image in set(data.a.utt2image.values()):
        looks = random.standard_normal((4, 32)).astype(np.float32)
        cells[image] = looks
        cells[f"other-{image}"] = looks + 0.3 * random.standard_normal((4, 32)).astype(np.float32)
    renamed = {utt: f"other-{image}" for utt, image in data.b.utt2image.items()}
    b = dataclasses.replace(data.b, utt2image=renamed)
    pairs = pair_nearest(data.a.utt2image, renamed, cells)
    assert len(pairs) > 380
    assert np.mean([renamed[pair.b[0]] == f"other-{pair.image}" for pair in pairs]) > 0.95
    with pytest.raises(DataError, match="at least two"):
        discover(data.a, b, DiscoveryOptions())
    assert discover(data.a, b, DiscoveryOptions(), cells)[2].significant.sum() >= 10
    del cells[pairs[0].image]
    with pytest.raises(DataError, match="no embedding"):
        pair_nearest(data.a.utt2image, renamed, cells)
