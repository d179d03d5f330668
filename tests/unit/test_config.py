"""Bad configurations: every message names the key, what it was given, and what would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from training_processes import ALONE
from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import ConfigError
from vgspeech.model_check import check_model_config
from vgspeech.training.check import check_training_config
from vgspeech.training.loop import train

WRONG_KIND = [
    ("training.epohcs=1", "unknown key 'training.epohcs'", "did you mean 'training.epochs'?"),
    ("trainig.epochs=1", "unknown key 'trainig'", "did you mean 'training'?"),
    ("training.epochs=many", "'training.epochs' is a whole number, not 'many'", "the default is training.epochs: 60"),
    ("training.epochs=2.5", "'training.epochs' is a whole number, not 2.5", "the default is training.epochs: 60"),
    ("training.epochs=", "'training.epochs' is a whole number, not None", "the default is training.epochs: 60"),
    ("training.learning_rate=.nan", "'training.learning_rate' is a finite number, not nan", "learning_rate: 0.002"),
    ("training.clip_norm=1e999", "'training.clip_norm' is a finite number, not inf", "training.clip_norm: 5.0"),
    ("training.compile=1", "'training.compile' is true or false, not 1", "the default is training.compile: false"),
    ("audio.widths=256", "'audio.widths' is a list, for example [a, b], not 256", "[256, 256, 512, 1024]"),
    ("audio.widths=[256, wide]", "'audio.widths[1]' is a whole number, not 'wide'", "[256, 256, 512, 1024]"),
    ("loss.type=nce", "'loss.type' is one of infonce, masked_margin", "did you mean 'infonce'?"),
    ("loss.type=7", "'loss.type' is one of infonce, masked_margin", 'the default is loss.type: "triplet"'),
    ("audio=deep", "'audio' is a section of keys, not 'deep'", "give one of its keys: audio.type, "),
    ("front_end=no", "'front_end' is text, not False", "put it in quotes"),
    ("training.epochs.long=1", "'epochs' in 'training.epochs.long=1' is not a section", ""),
]
IMPOSSIBLE = [
    ("seed=-1", "seed is -1", "at least 0"),
    ("training.batch_size=1", "training.batch_size is 1", "at least 2"),
    ("training.step_factor=0", "training.step_factor is 0.0", "above 0"),
    ("loss.image_language_weight=-1", "loss.image_language_weight is -1.0", "at least 0"),
    ("loss.image_language_weight=0", "loss.image_language_weight is 0", "a number above 0"),
    ("augment.image_shift=224", "augment.image_shift is 224 but image.image_size is 224", "fewer pixels"),
    ("image={type: vgg16, image_size: 8}", "image.image_size is 8, less than a cell of vgg16", "at least 16"),
    ("training.init_from=exp/nowhere", "training.init_from: no such file or model directory: exp/nowhere", "train that"),
    ("image={type: small, weights: nowhere.pth}", "image.weights: no such file: nowhere.pth", "image.weights: none"),
    ("image.weights=nowhere.pth", "image.weights: no such file: nowhere.pth", "give a file of resnet50 weights"),
]


@pytest.mark.parametrize(("change", "what", "remedy"), WRONG_KIND)
def test_a_wrong_entry_is_told_with_a_remedy(change: str, what: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("training: {epochs: 3}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(ExperimentConfig, tmp_path / "model.yaml", [change])
    assert what in caught.value.what and "--set" in str(caught.value.where)
    assert remedy in (caught.value.hint or "")


@pytest.mark.parametrize(("change", "what", "remedy"), IMPOSSIBLE)
def test_an_impossible_entry_is_told_with_a_remedy(change: str, what: str, remedy: str) -> None:
    config = load_config(ExperimentConfig, None, [change])
    with pytest.raises(ConfigError) as caught:
        check_model_config(config)
        check_training_config(config)
    assert what in caught.value.what and remedy in (caught.value.hint or "")


def test_training_looks_at_its_settings_before_its_data(tmp_path: Path) -> None:
    config = load_config(ExperimentConfig, None, ["audio.kernel=4"])
    with pytest.raises(ConfigError, match=r"audio\.kernel is 4"):
        train(config, tmp_path / "nowhere", tmp_path / "out", ALONE, train_split="train", dev_split="dev")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    with pytest.raises(ConfigError, match="no such configuration file\n  those that come with a recipe"):
        load_config(ExperimentConfig, path)
    for text, what in (
        ("- a\n", "expected 'key: value' lines"),
        ("a: [1\n", "not YAML"),
        ("training: 3\n", "is a section"),
        ("seed: !!python/object/apply:os.abort []\n", "not YAML"),  # which yaml.Loader would run
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=what) as caught:
            load_config(ExperimentConfig, path)
        assert caught.value.where == str(path)


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    """PyYAML alone takes the later one, and a setting that was typed is lost."""
    path = tmp_path / "model.yaml"
    path.write_text("seed: 1\ntraining:\n  epochs: 3\n  batch_size: 8\n  epochs: 4\n")
    with pytest.raises(ConfigError, match=r"'epochs' stands twice in one section, first in line 3(.|\n)*line 5"):
        load_config(ExperimentConfig, path)


def test_numbers_in_text_form_are_numbers() -> None:
    """YAML 1.1 reads 1e-3 as text."""
    training = load_config(ExperimentConfig, None, ["training.learning_rate=1e-3", "training.clip_norm=5"]).training
    assert (training.learning_rate, training.clip_norm) == (1e-3, 5.0)
