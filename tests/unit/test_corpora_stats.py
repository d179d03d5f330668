import json
import re
from pathlib import Path

import numpy as np
import pytest

from small_release import SmallRelease
from vgspeech.archive import ArchiveWriter
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import Settings, prepare
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.stats.data_page import data_page
from vgspeech.stats.durations import describe_corpus, quantiles
from vgspeech.tables import write_table


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = SmallRelease(tmp_path)
    lead, other = read_hindi(small.hindi_root), read_english(small.english_root)
    prepare(lead, [other], Path("data/x"), Settings(small.images), Truth())
    return Path("data/x")


def add_features(speech: SpeechSet) -> np.ndarray:
    generator = np.random.default_rng(3)
    matrices = {
        utterance: generator.normal(5, 2, (n + 7, 4)).astype(np.float32) for n, utterance in enumerate(speech.ids)
    }
    with ArchiveWriter(speech.path / "feats.ark", speech.path / "feats.scp") as writer:
        for utterance, matrix in matrices.items():
            writer.write(utterance, matrix)
    write_table(speech.path / "utt2num_frames", {key: str(len(matrix)) for key, matrix in matrices.items()})
    return np.concatenate(list(matrices.values()))


def test_numbers(corpus):
    frames = add_features(SpeechSet.load(corpus / "speech/train_en"))
    numbers = describe_corpus(corpus, 0)
    train = numbers["speech"]["train_en"]
    assert (train["language"], train["split"], train["utterances"], train["speakers"], train["images"]) == (
        ("en", "train", 4, 2, 4)
    )
    assert train["hours"] == pytest.approx((1.0 + 1.1 + 1.2 + 1.3) / 3600, abs=1e-6)
    assert train["duration_s"]["median"] == pytest.approx(1.15)
    assert train["duration_histogram"] == [0, 4]
    assert train["captions_per_image"] == {"mean": 1.0, "histogram": {"1": 4}}
    assert (train["words"], train["utterances_with_word_times"], train["rejected"]) == (12, 4, 0)
    assert train["features"]["frames"] == len(frames) == train["features"]["sampled_frames"]
    np.testing.assert_allclose(train["features"]["mean"], frames.mean(0), atol=1e-4)
    np.testing.assert_allclose(train["features"]["variance"], frames.var(0), atol=1e-3)
    assert numbers["speech"]["train_hi"]["features"] is None
    assert numbers["speech"]["train_hi"]["transcripts"] == 3
    assert numbers["images"]["dev"]["common_sizes"] == {"32x24": 4}
    json.dumps(numbers, allow_nan=False)


def test_features_are_sampled(corpus):
    frames = add_features(SpeechSet.load(corpus / "speech/train_en"))
    features = describe_corpus(corpus, 2)["speech"]["train_en"]["features"]
    assert (features["utterances"], features["sampled_utterances"], features["frames"]) == (4, 2, len(frames))
    assert features["sampled_frames"] < len(frames)


def test_quantiles_of_nothing():
    assert quantiles([]) == {}


def test_page_needs_nothing_from_outside(corpus):
    page = data_page(corpus, describe_corpus(corpus, 0))
    assert not re.search(r"https?://|<script|<link|src=\"(?!data:)", page)
    assert "एक तस्वीर" in page and page.count("<svg") == 2 and page.count('class="panel example"') == 4


def test_page_escapes_what_comes_from_the_data(corpus):
    table = corpus / "speech/train_en/text"
    table.write_text(table.read_text().replace("picture", "<script>"))
    page = data_page(corpus, describe_corpus(corpus, 0))
    assert "&lt;script&gt;" in page and "<script" not in page


def test_no_corpus(tmp_path):
    with pytest.raises(DataError, match="stage 0"):
        describe_corpus(tmp_path, 0)
