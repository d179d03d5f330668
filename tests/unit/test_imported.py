"""Released checkpoint pairs, of the released layout, as model directories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from micro_corpus import BINS, make_corpus
from released_layout import META, golden, released_state
from vgspeech.archive import ArchiveReader
from vgspeech.config import save_config
from vgspeech.errors import DataError, UsageError
from vgspeech.models import load_model
from vgspeech.models.imported import FRONT_END, Choices, import_released, read_state, released_config

ROOT = Path(__file__).resolve().parents[2]
AS_IT_IS = Choices()
Keys = dict[str, list[int]]


def resized(keys: Keys, **first: int) -> Keys:
    """The layout with another first dimension of some tensors."""
    return {
        key: [first.get(key.replace(".", "_"), shape[0]), *shape[1:]] if shape else shape for key, shape in keys.items()
    }


RESNET50 = resized(META["image_resnet50_keys"], embedder_weight=64, embedder_bias=64)
RESNET18 = {
    key: list(value.shape) for key, value in torchvision.models.resnet18().state_dict().items() if key[:2] != "fc"
}
RESNET18 |= {"embedder.weight": [64, 512, 1, 1], "embedder.bias": [64]}
VGG = resized(META["image_vgg16_keys"], image_model_30_weight=32, image_model_30_bias=32)


def write(path: Path, keys: Keys, prefix: str = "") -> Path:
    torch.save({prefix + key: value for key, value in released_state(keys).items()}, path)
    return path


@pytest.mark.parametrize(("prefix", "backbone"), [("", "resnet18"), ("module.", "resnet50")])
def test_a_resdavenet_vq_pair_computes_the_golden_numbers(prefix: str, backbone: str, tmp_path: Path) -> None:
    audio = write(tmp_path / "audio.pth", META["resdavenet_vq_keys"], prefix)
    image = write(tmp_path / "image.pth", RESNET50 if backbone == "resnet50" else RESNET18, prefix)
    _, skipped = import_released(audio, image, tmp_path / "exp/x", Choices(compat=False))
    assert {key.split(".")[0] for key in skipped} == {"batchnorm1"}
    model = load_model(tmp_path / "exp/x")
    config = model.config
    assert (config.audio.widths, config.audio.blocks, config.audio.stem_width) == ((16, 16, 32, 64), (2, 2, 2, 2), 8)
    assert (config.audio.quantizers, config.audio.codebook_size) == ((1, 2, 3, 4, 5), 16)
    assert (config.image.type, config.similarity.type, config.front_end) == (backbone, "SISA", "logmel")
    stored = golden("resdavenet_vq_all")
    feats = torch.from_numpy(stored["mel"]).transpose(1, 2)
    with torch.no_grad():
        layers = model.audio_layers("en", feats, torch.full((3,), 100))
    torch.testing.assert_close(
        layers["output"].values.transpose(1, 2), torch.from_numpy(stored["out"])[:, :, 0], rtol=1e-4, atol=1e-4
    )
    assert torch.equal(layers["codes3"].values, torch.from_numpy(stored["codes3"]))


def test_a_davenet_pair_and_what_its_tensors_do_not_say(tmp_path: Path) -> None:
    audio, image = write(tmp_path / "a.pth", META["davenet_keys"], "module."), write(tmp_path / "i.pth", VGG)
    model, skipped = import_released(audio, image, tmp_path / "x", Choices(language="hi", compat=False))
    assert skipped == []
    assert (model.config.similarity.type, model.config.embedding_dim) == ("MISA", 32)
    stored = golden("davenet")
    feats = torch.from_numpy(stored["mel"]).transpose(1, 2)
    with torch.no_grad():
        out = model.encode_audio("hi", feats, torch.full((3,), 100)).values
    torch.testing.assert_close(out.transpose(1, 2), torch.from_numpy(stored["out"]), rtol=1e-4, atol=1e-5)
    choices = Choices(similarity="SIMA", last_pool=False)
    config = released_config(read_state(audio), read_state(image), choices, audio, image)
    assert (config.similarity.type, config.audio.last_pool, config.compat) == ("SIMA", False, True)


def test_compat_sees_every_caption_padded_to_2048_frames(tmp_path: Path) -> None:
    """So the released numbers come out whatever else is in the batch, and unlike those without padding."""
    audio, image = write(tmp_path / "a.pth", META["resdavenet_keys"]), write(tmp_path / "i.pth", RESNET18)
    model, _ = import_released(audio, image, tmp_path / "x", Choices())
    assert model.config.compat
    caption = torch.randn(1, 70, 40) * 20 - 40
    released = torch.zeros(1, 2048, 40)
    released[:, :70] = caption
    with torch.no_grad():
        alone = model.encode_audio("en", caption, torch.tensor([70]))
        other = torch.full((2, 90, 40), -7.0)
        other[0, :70] = caption[0]
        together = model.encode_audio("en", other, torch.tensor([70, 90]))
        plain = model.audio_encoder("en")(released, torch.tensor([70]))
        short = model.audio_encoder("en")(caption, torch.tensor([70]))
    assert alone.lengths.tolist() == [4] and together.lengths.tolist() == [4, 5]
    torch.testing.assert_close(alone.values, plain.values)
    size = float(plain.values.abs().max())
    torch.testing.assert_close(together.values[0, :4], plain.values[0, :4], rtol=1e-5, atol=1e-5 * size)
    assert (short.values[0, :4] - plain.values[0, :4]).abs().max() > 1e-3 * size
    with torch.no_grad():
        long = model.encode_audio("en", torch.randn(1, 2100, 40), torch.tensor([2100]))
    assert long.lengths.tolist() == [128]


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    audio, image = write(tmp_path / "audio.pth", META["resdavenet_keys"]), write(tmp_path / "image.pth", RESNET18)
    out = tmp_path / "x"

    def refused(first: Path, second: Path, what: str, choices: Choices = AS_IT_IS) -> None:
        with pytest.raises(DataError, match=what) as caught:
            import_released(first, second, out, choices)
        assert caught.value.where
        assert not out.exists()

    refused(image, audio, "not the audio net")
    refused(audio, audio, "no image net")
    refused(audio, tmp_path / "none.pth", "no such file")
    refused(audio, image, "lacks a quantiser", Choices(quantizers=(2, 3)))
    refused(write(tmp_path / "davenet.pth", META["davenet_keys"]), image, "64 dimensions, .* into 32")
    (tmp_path / "text.pth").write_text("no weights\n")
    refused(tmp_path / "text.pth", image, "cannot be read")
    (tmp_path / "half.pth").write_bytes(audio.read_bytes()[:1000])
    refused(tmp_path / "half.pth", image, "cannot be read")
    torch.save({"model": released_state(META["davenet_keys"])}, tmp_path / "nested.pth")
    refused(tmp_path / "nested.pth", image, "no tensors by name")
    torch.save([Path("/")], tmp_path / "code.pth")  # an object, which weights_only does not make
    refused(tmp_path / "code.pth", image, "cannot be read")
    lacking = {key: shape for key, shape in META["resdavenet_keys"].items() if not key.startswith("layer3.1.bn2")}
    with pytest.raises(DataError, match=r"lack layer3\.1\.bn2"):
        import_released(write(tmp_path / "lacking.pth", lacking), image, out, Choices())
    out.mkdir()
    with pytest.raises(UsageError, match="exists already"):
        import_released(audio, image, out, Choices())


def shell(*words: object, status: int = 0) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "pylib"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{environment['PATH']}"
    done = subprocess.run([*map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")
def test_an_imported_model_is_embedded_scored_and_analysed(tmp_path: Path) -> None:
    keys = {
        key: [8, 1, BINS, 1] if key == "conv1.weight" else shape for key, shape in META["resdavenet_vq_keys"].items()
    }
    audio, image = write(tmp_path / "audio.pth", keys, "module."), write(tmp_path / "image.pth", RESNET18, "module.")
    data, model = make_corpus(tmp_path / "data/micro", {"test": 3}), tmp_path / "exp/released"
    feats = data / "speech/test_en/feats"
    (feats / "fbank.scp").rename(feats / "logmel.scp")
    save_config(replace(FRONT_END, num_mel_bins=BINS), feats / "logmel.yaml")
    printed = shell(ROOT / "local/import_released.sh", "--quantizers", "2,3", audio, image, model)
    assert "not used: quant1._embedding.weight" in printed
    assert "quantisers 2,3" in printed
    embed, out = model / "eval/micro/test/embed", model / "eval/micro/test/retrieval"
    shell(ROOT / "steps/embed.sh", "--nj", "1", model, data, "test", embed)
    shell(ROOT / "steps/score_retrieval.sh", model, embed, data, "test", out)
    assert set(json.loads((out / "results.json").read_text())["directions"]) == {"en>image", "image>en"}
    units = model / "eval/micro/test/units/en"
    shell(ROOT / "steps/dump_codes.sh", model, data, "test", "en", units)
    codes = ArchiveReader(units / "codes.scp")
    assert len(codes) == 3
    assert all(np.asarray(code).min() >= 0 and np.asarray(code).max() < 16 for code in codes.values())
    assert "exists already" in shell(ROOT / "local/import_released.sh", audio, image, model, status=2)
