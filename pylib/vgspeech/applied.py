"""A new set as a trained model needs it: its tables, and what of features and packed images there is for this model.

A set that a model is applied to may be somebody else's, made for another model, or on a disk that cannot be written. So a
copy of its tables is laid out beside the results, and what is missing there is made there; the set itself is only read.
Features that were made otherwise than those the model was trained on are not used.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from vgspeech.config import ExperimentConfig, FrontEndConfig, load_config
from vgspeech.errors import DataError
from vgspeech.files import atomic_write
from vgspeech.imagesets import read_pictures
from vgspeech.tables import read_table, write_table

SPEECH_TABLES = ("wav.scp", "segments", "utt2spk", "spk2utt", "utt2lang", "utt2dur", "utt2share", "utt2image")
HEARD = ("wav.scp", "segments", "utt2spk")
"""Tables that features depend on."""
IMAGE_TABLES = ("images.scp", "image2size", "image2frames")
PACKED = ("images.scp", "image2frames")
"""Tables that packed images depend on."""


@dataclass(frozen=True)
class Plan:
    """What has to be made for one split, and what can be scored.

    Attributes:
        languages: those of the model that the split has captions in.
        features: speech sets that lack the model's features, with the reason.
        pack: whether the images have to be packed.
        unpaired: the languages of which no caption has its image here, so that there is nothing to score.
    """

    split: str
    languages: list[str]
    features: dict[str, str]
    pack: bool
    unpaired: list[str]


def find_splits(data: Path, config: ExperimentConfig) -> list[str]:
    """Splits with images and with captions in a language of the model.

    Raises:
        DataError: none.
    """
    images = sorted(path.name for path in (data / "images").glob("*") if (path / "images.scp").is_file())
    found = [split for split in images if _languages(data, split, config)]
    if not found:
        there = ", ".join(sorted(path.name for path in (data / "speech").glob("*"))) or "none"
        raise DataError(
            f"no split with images and with captions in {' or '.join(config.languages)}, the model's languages",
            where=str(data),
            hint=f"needed are images/<split> and speech/<split>_<language>; speech sets here: {there}",
        )
    return found


def sets_left_out(data: Path, splits: list[str], config: ExperimentConfig) -> list[str]:
    """Speech sets that belong to none of the splits or are in no language of the model."""
    taken = {f"{split}_{language}" for split in splits for language in config.languages}
    return sorted(path.name for path in (data / "speech").glob("*") if path.is_dir() and path.name not in taken)


def lay_out(data: Path, split: str, config: ExperimentConfig, front_end: FrontEndConfig, out: Path) -> Plan:
    """Copy a split's tables to ``out``, with features and packed images where they serve, and say what is missing.

    Args:
        front_end: the model's.

    Raises:
        DataError: a table is missing.
    """
    languages, features, unpaired = _languages(data, split, config), {}, []
    pictured = {picture.decode() for picture in read_pictures(data / "images" / split)}
    for language in languages:
        name = f"{split}_{language}"
        reason = _lay_out_speech(data / "speech" / name, out / "speech" / name, front_end)
        if reason is not None:
            features[name] = reason
        named = data / "speech" / name / "utt2image"
        if not named.is_file() or pictured.isdisjoint(read_table(named).values()):
            unpaired.append(language)
    return Plan(split, languages, features, _lay_out_images(data / "images" / split, out / "images" / split), unpaired)


def _languages(data: Path, split: str, config: ExperimentConfig) -> list[str]:
    return [lang for lang in config.languages if (data / "speech" / f"{split}_{lang}" / "wav.scp").is_file()]


def _lay_out_speech(source: Path, target: Path, wanted: FrontEndConfig) -> str | None:
    """None where the copy has the features, else why not."""
    unchanged = all(_same(source / name, target / name) for name in HEARD)
    _copy_tables(source, target, SPEECH_TABLES)
    if not (source / "utt2image").is_file():
        write_table(target / "utt2image", {})  # every speech set has one
    reason = _why_not(source / "feats", wanted)
    if reason is None:
        for suffix in ("scp", "yaml", "utt2num_frames"):
            _copy(source / "feats" / f"{wanted.name}.{suffix}", target / "feats" / f"{wanted.name}.{suffix}")
        return None
    if unchanged and _why_not(target / "feats", wanted) is None:
        return None  # made by an earlier call
    shutil.rmtree(target / "feats", ignore_errors=True)
    return reason


def _why_not(feats: Path, wanted: FrontEndConfig) -> str | None:
    """Why features cannot serve; None where they can."""
    scp, settings = feats / f"{wanted.name}.scp", feats / f"{wanted.name}.yaml"
    if not (scp.is_file() and settings.is_file() and (feats / f"{wanted.name}.utt2num_frames").is_file()):
        return f"it has no {wanted.name} features"
    found = load_config(FrontEndConfig, settings)
    pairs = ((key, getattr(found, key), getattr(wanted, key)) for key in FrontEndConfig.__dataclass_fields__)
    changes = [f"{key} {a}, the model's {b}" for key, a, b in pairs if a != b]
    return f"its {wanted.name} features were made otherwise ({'; '.join(changes)})" if changes else None


def _lay_out_images(source: Path, target: Path) -> bool:
    """Whether the images have to be packed."""
    unchanged = all(_same(source / name, target / name) for name in PACKED)
    _copy_tables(source, target, IMAGE_TABLES)
    if (source / "packed.scp").is_file():
        _copy(source / "packed.scp", target / "packed.scp")
        return False
    if unchanged and (target / "packed.scp").is_file():
        return False
    (target / "packed.scp").unlink(missing_ok=True)
    return True


def _copy_tables(source: Path, target: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (source / name).is_file():
            _copy(source / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)


def _same(a: Path, b: Path) -> bool:
    """Whether two tables hold the same, or both are missing: then an earlier call copied one to the other."""
    if not a.is_file() or not b.is_file():
        return a.is_file() == b.is_file()
    return a.read_bytes() == b.read_bytes()


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as stream, atomic_write(target, "wb") as copy:
        shutil.copyfileobj(stream, copy)
