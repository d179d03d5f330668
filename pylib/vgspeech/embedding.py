"""Embeddings of captions and images by a trained model, one batch at a time, and as retrieval reads them.

Batches are fixed blocks of the sorted list of ids, and a job gets whole blocks: results are the same bytes for any number
of jobs. Frames are the encoder's output as it is, unnormalised, in float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgspeech.archive import ArchiveReader
from vgspeech.audio import normalise
from vgspeech.config import ExperimentConfig, FrontEndConfig, load_config
from vgspeech.datadir import feature_scp, present_languages
from vgspeech.errors import DataError, DriftError
from vgspeech.files import need_space, read_json
from vgspeech.images import PackedImages, evaluation_view, to_tensor
from vgspeech.imagesets import groups_of_pictures
from vgspeech.models import GroundingModel, MaskedBatchNorm, build_model
from vgspeech.retrieval import Embedded
from vgspeech.similarity import pool_frames, pool_grid
from vgspeech.tables import read_table

BLOCK = 16
CALIBRATION_ITEMS = 512
"""Captions of each language, and images, over which an untrained model's batch statistics are set."""

Array = npt.NDArray[np.float32]


def blocks_of_job(ids: Iterable[str], job: int, num_jobs: int, block: int = BLOCK) -> list[list[str]]:
    """The blocks of sorted ids that one of ``num_jobs`` jobs embeds; ``job`` counts from 1."""
    ordered = sorted(ids)
    blocks = [ordered[start : start + block] for start in range(0, len(ordered), block)]
    return [list(part) for part in blocks[len(blocks) * (job - 1) // num_jobs : len(blocks) * job // num_jobs]]


def with_room_for_all(
    embedded: Iterator[tuple[str, Tensor]], target: Path, ids: Sequence[str], job: int, num_jobs: int, what: str
) -> Iterator[tuple[str, Tensor]]:
    """Pass embeddings on after a look at the first block's size: is there room for those of this job and the later ones?

    Args:
        embedded: what `embed_speech` or `embed_images` yields for this job.
        target: where it will be written.
        ids: what all jobs embed together.
        what: what that is, for the message.

    Raises:
        DataError: there is less room than that.
    """
    first = list(itertools.islice(embedded, BLOCK))
    if first:
        ahead = sum(len(block) for later in range(job, num_jobs + 1) for block in blocks_of_job(ids, later, num_jobs))
        need_space(target, ahead * sum(item.nbytes for _, item in first) / len(first), what)
    yield from first
    yield from embedded


def full_float32() -> None:
    """No TF32: on a GPU, scores in float32 then agree with those of a CPU."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@torch.inference_mode()
def embed_speech(
    model: GroundingModel, language: str, features: Mapping[str, Array], blocks: Iterable[Sequence[str]]
) -> Iterator[tuple[str, Tensor]]:
    """Frames (T', D) float32 on the CPU of every caption of the blocks.

    Args:
        model: in evaluation mode; its device does the work.
        features: utterance -> (T, F), as stage 1 wrote them; they are normalised here as the model's config says.
    """
    for block in blocks:
        values, lengths = padded_features([features[utterance] for utterance in block], model.config.normalisation)
        frames, frame_counts = model.encode_audio(language, values.to(device_of(model)), lengths)
        for utterance, item, count in zip(block, frames.float().cpu(), frame_counts.tolist(), strict=True):
            yield utterance, item[:count]


@torch.inference_mode()
def embed_images(
    model: GroundingModel, images: PackedImages, blocks: Iterable[Sequence[str]]
) -> Iterator[tuple[str, Tensor]]:
    """Grids (H, W, D) float32 on the CPU of every picture of the blocks.

    A block of clips goes through the model in parts, so that 64 video frames of each take no more memory than stills.
    """
    for block in blocks:
        counts = images.image_counts(images.lines_of(np.array([picture.encode() for picture in block])))
        for group in groups_of_pictures(counts.tolist(), BLOCK):
            pixels, numbers = image_batch(images, block[group], model.config)
            grids = model.encode_images(pixels.to(device_of(model)), numbers)
            yield from zip(block[group], grids.float().cpu(), strict=True)


def padded_features(captions: Sequence[Array], how: Any) -> tuple[Tensor, Tensor]:
    """Normalised features (N, T, F), padded with zeros, and lengths (N,)."""
    lengths = torch.tensor([len(caption) for caption in captions])
    values = torch.zeros(len(captions), int(lengths.max()), captions[0].shape[1])
    for row, caption in zip(values, captions, strict=True):
        row[: len(caption)] = torch.from_numpy(normalise(caption, how))
    return values, lengths


def image_batch(images: PackedImages, ids: Sequence[str], config: ExperimentConfig) -> tuple[Tensor, list[int]]:
    """All images of some pictures as the image encoder takes them, and how many each picture has.

    Returns:
        (F, 3, S, S) float32: resized, cropped at the centre, normalised; and N counts that sum to F.
    """
    settings = config.image
    pictures = [images[picture] for picture in ids]
    views = [evaluation_view(image, settings.resize, settings.image_size) for picture in pictures for image in picture]
    return to_tensor(torch.from_numpy(np.stack(views))), [len(picture) for picture in pictures]


def device_of(model: torch.nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def check_front_end(features: Path, config: ExperimentConfig) -> None:
    """Refuse features that were not computed as those the model was trained on.

    Args:
        features: ``feats/<front-end>.yaml`` beside the features.

    Raises:
        DataError: no such features.
        DriftError: a setting differs; the message lists which.
    """
    if not features.is_file():
        hint = f"run stage 1 (features) with a front end of the name '{config.front_end}'"
        raise DataError(
            f"the model reads '{config.front_end}' features, and there are none", where=str(features), hint=hint
        )
    found, wanted = load_config(FrontEndConfig, features), config.front_end_settings
    if wanted is not None and found != wanted:
        pairs = ((key, getattr(wanted, key), getattr(found, key)) for key in FrontEndConfig.__dataclass_fields__)
        changes = "; ".join(f"{key}: model {a}, features {b}" for key, a, b in pairs if a != b)
        raise DriftError(f"features differ from those the model was trained on: {changes}", where=str(features))


def untrained_model(config: ExperimentConfig, data: Path, split: str) -> GroundingModel:
    """A baseline: the random weights that training starts from, batch statistics set by one pass over some data.

    Without that pass every activation would be on another scale than in training. No parameter is changed.

    Args:
        data, split: the first captions and images of it are used, the same ones whatever is embedded.
    """
    torch.manual_seed(config.seed)
    model = build_model(config).train()
    norms = [module for module in model.modules() if isinstance(module, MaskedBatchNorm)]
    images = PackedImages(data / "images" / split / "packed.scp")
    with torch.inference_mode():
        for number, block in enumerate(_calibration_blocks(images.ids), start=1):
            _set_momentum(norms, 1 / number)
            model.encode_images(*image_batch(images, block, config))
        for language in present_languages(config, data, split):
            features = ArchiveReader(feature_scp(data, split, language, config))
            for number, block in enumerate(_calibration_blocks(features), start=1):
                _set_momentum(norms, 1 / number)
                model.encode_audio(
                    language, *padded_features([features[utterance] for utterance in block], config.normalisation)
                )
    return model.eval()


def _calibration_blocks(ids: Iterable[str]) -> list[list[str]]:
    return blocks_of_job(sorted(ids)[:CALIBRATION_ITEMS], 1, 1)


def _set_momentum(norms: Iterable[MaskedBatchNorm], momentum: float) -> None:
    for norm in norms:
        norm.momentum = momentum  # 1 / n at the n-th batch: running statistics become plain means


def embed_split(
    model: GroundingModel, data: Path, split: str, languages: Sequence[str]
) -> tuple[Embedded, dict[str, Embedded]]:
    """Embed a split in memory, as validation during training needs it: images, and the captions of each language.

    Images without captions, and captions without an image, take no part.
    """
    config = model.config
    pooled_only = config.similarity.type == "SISA"
    images = PackedImages(data / "images" / split / "packed.scp")
    pictured, captions = set(images.ids), {}
    for language in languages:
        features = ArchiveReader(feature_scp(data, split, language, config))
        utt2image = read_table(data / "speech" / f"{split}_{language}" / "utt2image")
        ids = [utterance for utterance in features if utt2image[utterance] in pictured]
        frames = [item for _, item in embed_speech(model, language, features, blocks_of_job(ids, 1, 1))]
        pooled = torch.stack([_pool_caption(item) for item in frames])
        parts = None if pooled_only else _ListedFrames(frames, device_of(model))
        captions[language] = Embedded([utt2image[utterance] for utterance in ids], pooled, parts)
    described = {image for side in captions.values() for image in side.image_ids}
    ids = [image for image in images.ids if image in described]
    grids = [item for _, item in embed_images(model, images, blocks_of_job(ids, 1, 1))]
    pooled = torch.stack([_pool_image(item) for item in grids])
    return Embedded(ids, pooled, None if pooled_only else _ListedGrids(grids, device_of(model))), captions


def load_embedded(
    embed_dir: Path, data: Path, split: str, pooled_only: bool
) -> tuple[Embedded, dict[str, Embedded], dict[str, int]]:
    """Read embeddings that ``bin/embed`` wrote, for retrieval; unpooled ones stay on disk.

    Args:
        embed_dir: holds ``embed.json``, ``<language>.scp`` and ``images.scp``.
        data, split: where ``utt2image`` comes from.
        pooled_only: True for SISA; MISA and SIMA also need the frames and cells.

    Returns:
        Images with at least one caption, captions of each language, and how many captions of each language had no
        embedded image and were left out.

    Raises:
        DataError: a file is missing, or no caption of a language has its image.
    """
    grids = ArchiveReader(embed_dir / "images.scp")
    captions, left_out = {}, {}
    for language in embedded_languages(embed_dir):
        frames = ArchiveReader(embed_dir / f"{language}.scp")
        utt2image = read_table(data / "speech" / f"{split}_{language}" / "utt2image")
        ids = [utterance for utterance in frames if utt2image.get(utterance) in grids]
        if not ids:
            raise DataError(f"no {language} caption has an embedded image", where=str(embed_dir / f"{language}.scp"))
        left_out[language] = len(frames) - len(ids)
        captions[language] = stored_captions(frames, ids, [utt2image[utterance] for utterance in ids], pooled_only)
    described = {image for side in captions.values() for image in side.image_ids}
    images = stored_images(embed_dir, grids, [image for image in grids if image in described], pooled_only)
    return images, captions, left_out


def embedded_languages(embed_dir: Path) -> list[str]:
    """The languages that ``bin/embed`` embedded there."""
    return list(read_json(embed_dir / "embed.json")["frame_shift_s"])


def stored_captions(frames: ArchiveReader, ids: list[str], image_ids: Sequence[str], pooled_only: bool) -> Embedded:
    """Some captions of ``<language>.scp``, of the given images; without frames when only pooled vectors are needed."""
    pooled = torch.stack([_pool_caption(torch.from_numpy(frames[utterance])) for utterance in ids])
    return Embedded(image_ids, pooled, None if pooled_only else _ListedFrames(_Stored(frames, ids)), ids)


def stored_images(embed_dir: Path, grids: ArchiveReader, ids: list[str], pooled_only: bool) -> Embedded:
    """Some images of ``images.scp``; without cells when only pooled vectors are needed."""
    shapes = {image: tuple(map(int, value.split())) for image, value in read_table(embed_dir / "grid_shape").items()}
    stored = _Stored(grids, ids, shapes)
    pooled = torch.stack([_pool_image(stored[i]) for i in range(len(ids))])
    return Embedded(ids, pooled, None if pooled_only else _ListedGrids(stored))


def _pool_caption(frames: Tensor) -> Tensor:
    return pool_frames(frames[None], torch.tensor([len(frames)]))[0]


def _pool_image(grid: Tensor) -> Tensor:
    return pool_grid(grid[None])[0]


class _Stored(Sequence[Tensor]):
    """Items of an archive by number."""

    def __init__(
        self, reader: ArchiveReader, ids: list[str], shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        self._reader, self._ids, self._shapes = reader, ids, shapes

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: Any) -> Any:
        key = self._ids[number]
        item = torch.from_numpy(self._reader[key])
        return item if self._shapes is None else item.view(*self._shapes[key], -1)


class _ListedFrames:
    """Chosen captions as one padded batch: (n, T, D), (n,)."""

    def __init__(self, items: Sequence[Tensor], device: torch.device | str = "cpu") -> None:
        self._items, self._device = items, device

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        chosen = [self._items[row] for row in rows.tolist()]
        lengths = torch.tensor([len(item) for item in chosen])
        return torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True).to(self._device), lengths


class _ListedGrids:
    """Chosen images as one batch: (n, H, W, D)."""

    def __init__(self, items: Sequence[Tensor], device: torch.device | str = "cpu") -> None:
        self._items, self._device = items, device

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.stack([self._items[row] for row in rows.tolist()]).to(self._device)
