"""Numbers that describe a prepared corpus: how much speech, how many images, what the features look like."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.errors import DataError
from vgspeech.features import LogMels
from vgspeech.progress import track
from vgspeech.tables import read_table

QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
LARGEST_BIN_S = 60
"""Longer utterances are counted in the last bin of the histogram."""


def describe_corpus(data: Path, max_utterances: int) -> dict[str, Any]:
    """Statistics of all sets of a corpus.

    Args:
        data: ``data/<corpus>``.
        max_utterances: features of at most so many utterances a set are read for means and variances, chosen by a hash
            of the utterance id; 0 reads all.

    Returns:
        ``{"corpus", "speech": {set: ...}, "images": {split: ...}}``, ready for JSON. Durations are in seconds, sizes in
        pixels; ``features`` is null where no features were made yet.

    Raises:
        DataError: no sets, or a set is not valid.
    """
    speech = [SpeechSet.load(path) for path in sorted((data / "speech").glob("*/"))]
    images = [ImageSet.load(path) for path in sorted((data / "images").glob("*/"))]
    if not speech or not images:
        raise DataError("no speech or image sets", where=str(data), hint="prepare the data first (stage 0)")
    return {
        "corpus": data.resolve().name,
        "speech": {
            one.name: describe_speech(one, max_utterances) for one in track(speech, len(speech), "sets", "sets")
        },
        "images": {one.path.name: describe_images(one) for one in images},
    }


def describe_speech(speech: SpeechSet, max_utterances: int) -> dict[str, Any]:
    """Statistics of one speech set; see ``describe_corpus``."""
    seconds = np.array([speech.utt2dur[utterance] for utterance in speech.ids])
    per_image = Counter(Counter(speech.utt2image.values()).values())
    captions = sum(count * images for count, images in per_image.items())
    return {
        "language": "+".join(sorted(set(speech.utt2lang.values()))),
        "split": speech.name.rpartition("_")[0] or speech.name,
        "utterances": len(speech),
        "speakers": len(set(speech.utt2spk.values())),
        "images": sum(per_image.values()),
        "hours": round(float(seconds.sum()) / 3600, 6),
        "duration_s": quantiles(seconds),
        "duration_histogram": _second_bins(seconds),
        "captions_per_image": {
            "mean": round(captions / sum(per_image.values()), 6),
            "histogram": {str(count): per_image[count] for count in sorted(per_image)},
        },
        "transcripts": sum(1 for text in speech.text.values() if text),
        "words": sum(len(text.split()) for text in speech.text.values()),
        "utterances_with_word_times": len(speech.ctm),
        "rejected": _count_rejected(speech.path, "rejected", "feats/*.rejected"),
        "features": _describe_features(speech, max_utterances),
    }


def describe_images(images: ImageSet) -> dict[str, Any]:
    """Statistics of one image set; see ``describe_corpus``."""
    sizes = np.array([images.sizes[image] for image in images.ids if image in images.sizes]).reshape(-1, 2)
    common = Counter(map(tuple, sizes.tolist())).most_common(5)
    objects = images.objects()
    return {
        "images": len(images),
        **({"clips": len(images.clips)} if images.clips else {}),
        "width": quantiles(sizes[:, 0]),
        "height": quantiles(sizes[:, 1]),
        "common_sizes": {f"{width}x{height}": count for (width, height), count in common},
        "images_with_objects": len(objects),
        "objects": sum(map(len, objects.values())),
        "rejected": _count_rejected(images.path, "rejected", "packed.rejected"),
    }


def quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Minimum, 5 %, 25 %, 50 %, 75 % and 95 % quantiles, maximum and mean; empty for no values."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return {}
    found = {name: round(float(value), 6) for name, value in zip(QUANTILES, _at(array), strict=True)}
    return {**found, "mean": round(float(array.mean()), 6)}


def _at(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, list(QUANTILES.values()))


def _second_bins(seconds: np.ndarray) -> list[int]:
    """Number of utterances of 0 to 1 s, 1 to 2 s, ..."""
    return np.bincount(np.minimum(seconds.astype(int), LARGEST_BIN_S - 1)).tolist()


def _count_rejected(folder: Path, *patterns: str) -> int:
    """Inputs that any stage so far could not use."""
    return len({name for pattern in patterns for path in folder.glob(pattern) for name in read_table(path)})


def _describe_features(speech: SpeechSet, max_utterances: int) -> dict[str, Any] | None:
    """Frames of the set's default features, and mean and variance of every mel bin over a sample of utterances."""
    if not (speech.path / "feats.scp").exists():
        return None
    features = LogMels(speech.path / "feats.scp")
    frames = {key: int(value) for key, value in read_table(speech.path / "utt2num_frames").items()}
    chosen = sorted(features, key=_hash)[: max_utterances or None]
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for utterance in sorted(chosen):  # in archive order: a disk is read forwards
        matrix = features[utterance].astype(np.float64)
        count += len(matrix)
        total = total + matrix.sum(axis=0)
        squares = squares + (matrix**2).sum(axis=0)
    mean = total / max(count, 1)
    return {
        "utterances": len(features),
        "frames": sum(frames.values()),
        "bins": len(mean),
        "sampled_utterances": len(chosen),
        "sampled_frames": count,
        "mean": [round(float(value), 5) for value in mean],
        "variance": [round(float(value), 5) for value in squares / max(count, 1) - mean**2],
    }


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
