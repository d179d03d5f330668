"""Encoders against the released implementations, and padding that has no influence."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from released_layout import META, golden, released_state
from vgspeech.config import (
    AudioEncoderConfig,
    ExperimentConfig,
    FrontEndConfig,
    ImageEncoderConfig,
    LossConfig,
    load_config,
    save_config,
)
from vgspeech.errors import ConfigError, DataError
from vgspeech.models import (
    FrameMask,
    GroundingModel,
    MaskedBatchNorm,
    build_model,
    load_model,
    load_released_state,
    save_weights,
)
from vgspeech.models.davenet import Davenet
from vgspeech.models.image import build_image_encoder
from vgspeech.models.masked import gather_frames, pack
from vgspeech.models.resdavenet import ResDavenet

GOLDEN_RESDAVENET = AudioEncoderConfig(stem_width=8, widths=(16, 16, 32, 64), codebook_size=16)
MINI = ExperimentConfig(
    languages=("en", "hi"),
    embedding_dim=24,
    audio=AudioEncoderConfig(
        stem_width=16, stem_kernel=5, stem_stride=2, widths=(12, 20), blocks=(1, 1), kernel=5, projection=True
    ),
    image=ImageEncoderConfig(type="small", image_size=32, stem_width=8, widths=(8, 16)),
    loss=LossConfig(type="infonce"),
)
VQ = replace(MINI, audio=replace(MINI.audio, quantizers=(2, 3), codebook_size=8))
DAVENET = replace(MINI, audio=AudioEncoderConfig(type="davenet"))


def _close(actual: torch.Tensor, expected: object, rtol: float = 1e-4) -> None:
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol * float(expected.abs().max()))


def _mel(stored: dict) -> tuple[torch.Tensor, torch.Tensor]:
    feats = torch.from_numpy(stored["mel"]).transpose(1, 2)
    return feats, torch.full((len(feats),), feats.shape[1])


# --- the released implementations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("compat", [False, True])
def test_davenet_is_the_released_one(compat: bool) -> None:
    stored = golden("davenet")
    net = Davenet(AudioEncoderConfig(type="davenet"), 40, 32, compat).eval()
    assert load_released_state(net, released_state(META["davenet_keys"]), "davenet") == []
    with torch.no_grad():
        frames = net(*_mel(stored))
    _close(frames.values.transpose(1, 2), stored["out"])
    assert frames.lengths.tolist() == [6 if compat else 7] * 3


@pytest.mark.parametrize("compat", [False, True])
def test_resdavenet_is_the_released_one(compat: bool) -> None:
    stored = golden("resdavenet")
    net = ResDavenet(GOLDEN_RESDAVENET, 40, 64, compat).eval()
    state = {f"module.{key}": value for key, value in released_state(META["resdavenet_keys"]).items()}
    skipped = load_released_state(net, state, "resdavenet")
    assert sorted({key.split(".")[0] for key in skipped}) == ["batchnorm1"]
    with torch.no_grad():
        layers = net.layers(*_mel(stored))
    _close(layers["output"].values.transpose(1, 2)[:, :, None], stored["out"])
    for number in range(5):
        _close(layers[f"stage{number}" if number else "stem"].values, stored[f"stage{number}"])


@pytest.mark.parametrize("compat", [False, True])
def test_resdavenet_vq_is_the_released_one(compat: bool) -> None:
    stored = golden("resdavenet_vq_all")
    net = ResDavenet(replace(GOLDEN_RESDAVENET, quantizers=(1, 2, 3, 4, 5)), 40, 64, compat).eval()
    load_released_state(net, released_state(META["resdavenet_vq_keys"]), "resdavenet")
    seen: dict[int, torch.Tensor] = {}
    losses: dict[int, torch.Tensor] = {}
    for position, quantizer in net.quantizers.items():

        def keep(_module: nn.Module, inputs: tuple, output: tuple, position: int = position) -> None:
            seen[position], losses[position] = gather_frames(inputs[0], inputs[1].rows), output[2]

        quantizer.register_forward_hook(keep)
    with torch.no_grad():
        layers = net.layers(*_mel(stored))
    for position in range(1, 6):
        _close(seen[position], stored[f"pre_quant{position}"])
        assert torch.equal(layers[f"codes{position}"].values, torch.from_numpy(stored[f"codes{position}"]))
        _close(losses[position], torch.from_numpy(stored[f"quant_loss{position}"]).mean())
    _close(layers["output"].values.transpose(1, 2)[:, :, None], stored["out"])


@pytest.mark.parametrize(("name", "kind"), [("resnet50", "resnet"), ("vgg16", "vgg16")])
def test_image_nets_are_the_released_ones(name: str, kind: str) -> None:
    stored = golden(f"image_{name}")
    net = build_image_encoder(ImageEncoderConfig(type=name), 16).eval()  # type: ignore[arg-type]
    assert load_released_state(net, released_state(META[f"image_{name}_keys"]), kind) == []  # type: ignore[arg-type]
    with torch.no_grad():
        grids = net(torch.from_numpy(stored["image"]))
    _close(grids.permute(0, 3, 1, 2), stored["out"])


def test_released_weights_of_another_shape_are_refused() -> None:
    state = released_state(META["resdavenet_keys"])
    with pytest.raises(DataError, match="released tensor"):
        load_released_state(ResDavenet(replace(GOLDEN_RESDAVENET, stem_width=4), 40, 64), state, "resdavenet")
    del state["layer2.0.conv1.weight"]
    with pytest.raises(DataError, match=r"lack layer2\.0\.conv1\.weight"):
        load_released_state(ResDavenet(GOLDEN_RESDAVENET, 40, 64), state, "resdavenet")


def test_full_size_networks_have_the_published_size() -> None:
    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert size(Davenet(AudioEncoderConfig(type="davenet"), 40, 1024)) == 15_965_570
    assert round(size(ResDavenet(AudioEncoderConfig(), 40, 1024)) / 1e6, 2) == 46.49
    assert round(size(ResDavenet(AudioEncoderConfig(widths=(128, 256, 512, 1024)), 40, 1024)) / 1e6, 2) == 44.67


# --- padding --------------------------------------------------------------------------------------------------------


def _trained(config: ExperimentConfig, seed: int = 0) -> GroundingModel:
    """A model with running statistics that are not the initial ones."""
    torch.manual_seed(seed)
    model = build_model(config).train()
    for _ in range(3):
        model.encode_audio("en", 1 + 2 * torch.randn(4, 50, 40), torch.tensor([50, 31, 17, 40]))
    return model.eval()


@pytest.mark.parametrize("config", [MINI, VQ, DAVENET], ids=["resdavenet", "vq", "davenet"])
def test_padding_and_neighbours_never_change_an_embedding(config: ExperimentConfig) -> None:
    model = _trained(config)
    stride = model.audio_encoder("en").stride
    captions = [torch.randn(length, 40) for length in (1, 7, 8, 9, 33, 64, 90)]
    with torch.no_grad():
        alone = [model.encode_audio("en", c[None], torch.tensor([len(c)])) for c in captions]
        for width, chosen in ((90, range(7)), (131, range(7)), (64, (5, 0, 3))):
            batch = torch.full((len(chosen), width, 40), 1e3)
            for row, number in enumerate(chosen):
                batch[row, : len(captions[number])] = captions[number]
            together = model.encode_audio("en", batch, torch.tensor([len(captions[n]) for n in chosen]))
            for row, number in enumerate(chosen):
                count = -(-len(captions[number]) // stride)
                assert int(together.lengths[row]) == int(alone[number].lengths[0]) == count
                _close(together.values[row, :count], alone[number].values[0, :count], rtol=1e-5)
                assert not together.values[row, count:].any()


@pytest.mark.parametrize("config", [MINI, VQ, DAVENET], ids=["resdavenet", "vq", "davenet"])
def test_padding_and_packing_never_change_a_training_step(
    config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics, gradients and codebook sums too; exact in float64. The last pass has a row for each caption."""
    config = replace(config, audio=replace(config.audio, jitter=0.0))
    torch.manual_seed(3)
    model = build_model(config).double().train()
    feats, lengths = torch.randn(5, 150, 40).double(), torch.tensor([150, 9, 5, 37, 20])
    assert pack(lengths, 8, 16, torch.device("cpu")).height < 5
    results = []
    for width, filler in ((150, 0.0), (203, 50.0), (150, 1.0)):
        if filler == 1.0:
            monkeypatch.setattr(
                "vgspeech.models.encoder.pack", lambda lengths, *_: FrameMask(lengths, 150, lengths.device)
            )
        copied = copy.deepcopy(model)
        batch = torch.full((5, width, 40), filler).double()
        for row, length in enumerate(lengths):
            batch[row, :length] = feats[row, :length]
        frames = copied.encode_audio("en", batch, lengths)
        total = (frames.values * torch.linspace(-1, 2, frames.values.shape[-1])).sum().square()
        commitment = copied.take_commitment_loss()
        (total if commitment is None else total + commitment).backward()
        copied.update_codebooks()
        results.append((copied.audio["en"].state_dict(), [p.grad for p in copied.audio["en"].parameters()]))
    for state, gradients in results[1:]:
        for key, value in results[0][0].items():
            torch.testing.assert_close(state[key], value, rtol=1e-9, atol=1e-9)
        for first, other in zip(results[0][1], gradients, strict=True):
            torch.testing.assert_close(other, first, rtol=1e-7, atol=1e-7)


def test_the_released_code_let_padding_leak_and_lost_the_last_frame() -> None:
    encoder = _trained(replace(MINI, compat=True)).audio_encoder("en")
    caption = torch.randn(1, 30, 40)
    with torch.no_grad():
        alone = encoder(caption, torch.tensor([30]))
        padded = encoder(F.pad(caption, (0, 0, 0, 34), value=3.0), torch.tensor([30]))
    assert alone.lengths.tolist() == padded.lengths.tolist() == [3]
    assert (alone.values[0, :3] - padded.values[0, :3]).abs().max() > 1e-3
    assert encoder(torch.zeros(1, 4, 40), torch.tensor([4])).lengths.tolist() == [1]


def test_empty_and_overlong_captions_are_refused() -> None:
    model = build_model(MINI)
    with pytest.raises(DataError, match="without frames"):
        model.encode_audio("en", torch.zeros(2, 10, 40), torch.tensor([10, 0]))
    with pytest.raises(DataError, match="exceeds"):
        model.encode_audio("en", torch.zeros(2, 10, 40), torch.tensor([10, 11]))
    with pytest.raises(DataError, match="no language 'ja'"):
        model.encode_audio("ja", torch.zeros(2, 10, 40), torch.tensor([10, 1]))


def test_packing_keeps_captions_apart_and_saves_padding() -> None:
    lengths = torch.tensor([300, 41, 120, 7, 255, 99, 180, 64, 33, 290])
    mask = pack(lengths, 8, 16, torch.device("cpu"))
    assert mask.height * mask.width < 0.6 * len(lengths) * 300
    spans = sorted(
        (row, column, column + length) for (row, column), length in zip(mask.places.tolist(), lengths, strict=True)
    )
    assert all(column % 8 == 0 and end <= mask.width for _, column, end in spans)
    for (row, _, end), (next_row, column, _) in itertools.pairwise(spans):
        assert row != next_row or column - end >= 16
    x = torch.randn(10, 300, 2) * (torch.arange(300) < lengths[:, None])[..., None]
    padded = FrameMask(lengths, 300, torch.device("cpu"))
    plane = padded.move(x, mask)
    assert torch.equal(mask.move(plane, padded), x)
    torch.testing.assert_close(plane.sum(), x.sum())


@pytest.mark.parametrize("config", [MINI, VQ, DAVENET], ids=["resdavenet", "vq", "davenet"])
@pytest.mark.parametrize("training", [False, True])
def test_a_batch_without_captions_in_a_language_is_empty(config: ExperimentConfig, training: bool) -> None:
    model = build_model(config).train(training)
    frames = model.encode_audio("hi", torch.zeros(0, 33, 40), torch.zeros(0, dtype=torch.long))
    assert frames.values.shape[0] == len(frames.lengths) == 0
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    commitment = model.take_commitment_loss()
    assert commitment is None or float(commitment.detach()) == 0.0


# --- masked batch normalisation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [False, True])
def test_masked_batch_norm_equals_batch_norm_of_the_valid_frames(relu: bool) -> None:
    torch.manual_seed(1)
    ours, reference = MaskedBatchNorm(5).double(), nn.BatchNorm1d(5).double()
    with torch.no_grad():
        for parameter, other in zip(ours.parameters(), reference.parameters(), strict=True):
            other.copy_(parameter.uniform_(0.5, 1.5))
    mask = FrameMask(torch.tensor([6, 2, 4]), 6, torch.device("cpu"))
    x = (3 + 2 * torch.randn(3, 5, 1, 6)).double().requires_grad_()
    weights = torch.randn(3, 5, 1, 6).double()  # padded frames get a gradient too, which must not arrive
    y = ours(x, mask, relu=relu)
    valid = mask.grid
    expected = reference(x[:, :, 0].transpose(1, 2)[valid])
    expected = F.relu(expected) if relu else expected
    torch.testing.assert_close(y[:, :, 0].transpose(1, 2)[valid], expected)
    assert not y[:, :, 0].transpose(1, 2)[~valid].any()
    grads = torch.autograd.grad((y * weights).sum(), (x, *ours.parameters()))
    loss = (expected * weights[:, :, 0].transpose(1, 2)[valid]).sum()
    for actual, wanted in zip(grads, torch.autograd.grad(loss, (x, *reference.parameters())), strict=True):
        torch.testing.assert_close(actual, wanted)
    torch.testing.assert_close(ours.running_mean, reference.running_mean)
    torch.testing.assert_close(ours.running_var, reference.running_var)
    assert torch.autograd.gradcheck(lambda v: ours(v, mask, relu=relu), (x.detach().requires_grad_(),))


def test_batch_norm_in_bfloat16_keeps_float32_statistics() -> None:
    torch.manual_seed(1)
    norm = MaskedBatchNorm(4)
    x = (20 + torch.randn(8, 4, 1, 400)).bfloat16()
    mask = FrameMask(torch.arange(50, 401, 50), 400, torch.device("cpu"))
    y = norm(x, mask)
    assert y.dtype == torch.bfloat16
    valid = x.float()[:, :, 0].transpose(1, 2)[mask.grid]
    torch.testing.assert_close(norm.running_mean, 0.1 * valid.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * valid.var(0), rtol=1e-4, atol=1e-4)


def test_one_frame_leaves_running_statistics_finite() -> None:
    norm = MaskedBatchNorm(3)
    norm(torch.randn(1, 3, 1, 4), FrameMask(torch.tensor([1]), 4, torch.device("cpu")))
    assert torch.isfinite(norm.running_var).all()


# --- model ----------------------------------------------------------------------------------------------------------


def test_frame_times_come_from_the_front_end() -> None:
    def info(**front_end: object) -> tuple[float, float]:
        settings = FrontEndConfig(**front_end)  # type: ignore[arg-type]
        return build_model(replace(MINI, front_end_settings=settings)).audio_info("en")

    assert info() == pytest.approx((0.08, 0.005))
    assert info(snip_edges=True) == pytest.approx((0.08, 0.0125))
    assert info(type="davenet") == pytest.approx((0.08, 0.0))
    assert info(frame_shift_ms=20.0) == pytest.approx((0.16, 0.01))


def test_output_frames_stand_where_audio_info_says() -> None:
    """A click in feature frame n moves output frame n / stride most, and its two neighbours alike."""
    torch.manual_seed(0)
    encoder = ResDavenet(replace(MINI.audio, projection=False, widths=(24, 24)), 40, 24).eval()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            kernel = module.weight.shape[-1]
            window = 1.0 - (torch.arange(kernel) - kernel // 2).abs() / kernel
            module.weight.data = (module.weight.data[..., :1].abs() * window).contiguous()
    click = torch.zeros(1, 161, 40)
    click[0, 80] = 1.0
    with torch.no_grad():
        response = encoder(click, torch.tensor([161])).values.abs().sum(-1)[0]
    assert int(response.argmax()) == 80 // encoder.stride
    torch.testing.assert_close(response, response.flip(0))


def test_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    model = _trained(VQ)
    save_config(VQ, tmp_path / "config.yaml")
    save_weights(model, tmp_path / "best.pt")
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert loaded.config == VQ
    feats, lengths = torch.randn(2, 30, 40), torch.tensor([30, 12])
    with torch.no_grad():
        assert torch.equal(
            model.encode_audio("en", feats, lengths).values, loaded.encode_audio("en", feats, lengths).values
        )
    whole = (tmp_path / "best.pt").read_bytes()
    (tmp_path / "best.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be loaded"):
        load_model(tmp_path)
    (tmp_path / "best.pt").unlink()
    with pytest.raises(DataError, match="no trained model"):
        load_model(tmp_path)


def test_backbone_weights_come_from_a_local_file(tmp_path: Path) -> None:
    source = build_image_encoder(ImageEncoderConfig(type="resnet18"), 8)
    path = tmp_path / "resnet18.pth"
    torch.save({**source.backbone.state_dict(), "fc.weight": torch.zeros(2, 2)}, path)
    filled = build_image_encoder(ImageEncoderConfig(type="resnet18", weights=str(path)), 8)
    assert torch.equal(filled.backbone.layer4[1].conv2.weight, source.backbone.layer4[1].conv2.weight)  # type: ignore
    with pytest.raises(ConfigError, match=r"no such file(.|\n)*torchvision publishes"):
        build_image_encoder(ImageEncoderConfig(type="resnet18", weights=str(tmp_path / "none.pth")), 8)
    with pytest.raises(ConfigError, match="lacks"):
        build_image_encoder(ImageEncoderConfig(type="resnet34", weights=str(path)), 8)


@pytest.mark.parametrize("kind", ["resnet18", "small"])
def test_grids_and_all_gradients(kind: str) -> None:
    net = build_image_encoder(replace(MINI.image, type=kind), 24).train()  # type: ignore[arg-type]
    grids = net(torch.randn(2, 3, 64, 32))
    assert grids.shape == ((2, 2, 1, 24) if kind == "resnet18" else (2, 8, 4, 24))
    grids.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


IMPOSSIBLE = [
    ("embedding_dim=0", "embedding_dim"),
    ("languages=[]", "languages"),
    ("languages=[en, en]", "languages"),
    ("languages=[image]", "languages"),
    ("audio.kernel=4", "audio.kernel"),
    ("audio.widths=[256, 256]", "audio.widths"),
    ("audio.widths=[256, 256, 512, 512]", "embedding_dim"),
    ("audio.quantizers=[6]", "audio.quantizers"),
    ("audio.quantizers=[3, 2]", "audio.quantizers"),
    ("audio.jitter=0.7", "audio.jitter"),
    ("audio={type: davenet, quantizers: [2]}", "audio.quantizers"),
    ("image.weights=absent.pth", "image.weights"),
    ("image.weights=README.md", "image.weights"),
    ("image.resize=128", "image.resize"),
    ("loss.scale=0", "loss.scale"),
]


@pytest.mark.parametrize(("setting", "named"), IMPOSSIBLE)
def test_impossible_settings_are_refused_with_key_and_remedy(setting: str, named: str) -> None:
    config = load_config(ExperimentConfig, None, [setting])
    with pytest.raises(ConfigError) as caught:
        build_model(config)
    assert named in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["small", "resnet18", "vgg16"])
def test_activations_computed_again_change_no_number(kind: str) -> None:
    torch.manual_seed(5)
    audio = replace(VQ.audio, jitter=0.1, blocks=(2, 1))
    config = replace(VQ, audio=audio, image=ImageEncoderConfig(type=kind, stem_width=8, widths=(8, 16)))  # type: ignore[arg-type]
    model, results = build_model(config).train(), []
    images, feats, lengths = torch.randn(2, 3, 32, 32), torch.randn(3, 50, 40), torch.tensor([50, 31, 8])
    for again in (False, True):
        copied = build_model(replace(config, training=replace(config.training, recompute=again))).train()
        copied.load_state_dict(model.state_dict())
        torch.manual_seed(6)
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: (kept.append(t.numel()), t)[1], lambda t: t):
            loss = copied.encode_images(images).square().mean() + copied.encode_audio("en", feats, lengths).values.sum()
            loss = loss + copied.take_commitment_loss()
        loss.backward()
        copied.update_codebooks()
        results.append(([p.grad for p in copied.parameters()], copied.state_dict(), sum(kept)))
    (first, before, much), (second, after, little) = results
    for a, b in zip(first, second, strict=True):
        assert a is b is None or torch.equal(a, b)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert little < 0.7 * much
