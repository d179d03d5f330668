"""Stage 0 and the statistics on real recordings and pictures ($VGS_TEST_DATA)."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from real_release import lay_out
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import Settings, prepare
from vgspeech.corpora.truth import Truth
from vgspeech.stats.data_page import data_page
from vgspeech.stats.durations import describe_corpus

pytestmark = pytest.mark.skipif("VGS_TEST_DATA" not in os.environ, reason="VGS_TEST_DATA is not set")


def test_every_file_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = lay_out(Path(os.environ["VGS_TEST_DATA"]), tmp_path)
    english = read_english(real.english)
    done = prepare(english, [], Path("data/en"), Settings(real.images, max_bad=0), Truth())
    assert sum(made.utterances for made in done.sets) == real.english_captions > 700
    done = prepare(read_hindi(real.hindi), [english], Path("data/both"), Settings(real.images, max_bad=0), Truth())
    assert sum(made.utterances for made in done.sets if made.name.endswith("_hi")) == real.hindi_captions == 144
    numbers = describe_corpus(Path("data/both"), 0)
    assert sum(one["images"] for one in numbers["images"].values()) == real.shared_images
    assert "उन्नीस" in (tmp_path / "data/both/speech/train_hi/text").read_text(encoding="utf-8")
    assert 'lang="hi"' in data_page(Path("data/both"), numbers)
