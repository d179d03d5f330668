"""Layer outputs of small random models, and the codes that are written from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.bin import dump_codes
from vgspeech.config import AudioEncoderConfig, ExperimentConfig, FrontEndConfig, ImageEncoderConfig, save_config
from vgspeech.errors import UsageError
from vgspeech.files import read_json, write_json
from vgspeech.models import build_model, save_weights
from vgspeech.units.layers import LayerOutputs


def config(quantizers: tuple[int, ...] = ()) -> ExperimentConfig:
    audio = AudioEncoderConfig(
        stem_width=8, widths=(8, 16), blocks=(1, 1), kernel=3, quantizers=quantizers, codebook_size=16, projection=True
    )
    image = ImageEncoderConfig(type="small", image_size=32, resize=32, stem_width=4, widths=(8,))
    return ExperimentConfig(
        languages=("en",), embedding_dim=12, audio=audio, image=image, front_end_settings=FrontEndConfig()
    )


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {f"u{i}": random.standard_normal((21 + 7 * i, 40)).astype(np.float32) for i in range(5)}


def outputs(settings: ExperimentConfig, features: dict[str, np.ndarray], layer: str) -> LayerOutputs:
    torch.manual_seed(0)
    return LayerOutputs(build_model(settings).eval(), "en", features, layer)


@pytest.mark.parametrize(("layer", "stride", "channels"), [("stem", 1, 8), ("stage1", 2, 8), ("output", 4, 12)])
def test_layers_have_their_stride_and_do_not_depend_on_the_batch(
    features: dict[str, np.ndarray], layer: str, stride: int, channels: int
) -> None:
    found = outputs(config(), features, layer)
    assert found.stride == stride
    for utt, matrix in found.batches():
        assert matrix.shape == (-(-len(features[utt]) // stride), channels)
        np.testing.assert_allclose(matrix, found[utt], rtol=1e-4, atol=1e-5)


def test_an_unknown_layer_is_an_error_that_names_the_known_ones(features: dict[str, np.ndarray]) -> None:
    with pytest.raises(UsageError, match="stage1, stage2, output"):
        outputs(config(), features, "stage7")


def write_inputs(folder: Path, settings: ExperimentConfig, features: dict[str, np.ndarray]) -> list[object]:
    """A model directory, features and embeddings; the arguments that name them."""
    torch.manual_seed(0)
    model = build_model(settings).eval()
    save_config(settings, folder / "model" / "config.yaml")
    save_weights(model, folder / "model" / "best.pt")
    feats = folder / "data" / "speech" / "dev_en" / "feats"
    feats.mkdir(parents=True)
    (folder / "embed").mkdir()
    with ArchiveWriter(feats / "fbank.ark", feats / "fbank.scp") as archive:
        for utt, matrix in features.items():
            archive.write(utt, matrix)
    save_config(FrontEndConfig(), feats / "fbank.yaml")
    with ArchiveWriter(folder / "embed" / "en.ark", folder / "embed" / "en.scp") as archive:
        for utt, matrix in LayerOutputs(model, "en", features, "output").batches():
            archive.write(utt, matrix)
    write_json(folder / "embed" / "embed.json", {"frame_shift_s": {"en": 0.04}, "frame_offset_s": {"en": 0.0125}})
    return ["--model", folder / "model", "--embed", folder / "embed", "--data", folder / "data", "--split", "dev"]


@pytest.mark.parametrize(
    ("quantizers", "layer", "expected"),
    [
        ((), "", ("k-means", "output", 0.04, 6)),
        ((), "stage1", ("k-means", "stage1", 0.02, 6)),
        ((2, 3), "", ("quantiser", "codes3", 0.04, 16)),
        ((2, 3), "codes2", ("quantiser", "codes2", 0.02, 16)),
    ],
)
def test_dump_codes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    features: dict[str, np.ndarray],
    quantizers: tuple[int, ...],
    layer: str,
    expected: tuple[Any, ...],
) -> None:
    arguments = write_inputs(tmp_path, config(quantizers), features)
    options = ["--language", "en", "--num-codes", "6", "--layer", layer, tmp_path / "units"]
    monkeypatch.setattr("sys.argv", ["dump_codes", *map(str, [*arguments, *options])])
    dump_codes.main()
    about = read_json(tmp_path / "units" / "codes.json")
    assert (about["method"], about["layer"], about["frame_shift_s"], about["num_codes"]) == expected
    codes = ArchiveReader(tmp_path / "units" / "codes.scp")
    assert list(codes) == list(features)
    for utt, sequence in codes.items():
        assert sequence.dtype == np.int32
        assert len(sequence) == -(-len(features[utt]) // round(expected[2] / 0.01))
        assert sequence.min() >= 0 and sequence.max() < expected[3]
