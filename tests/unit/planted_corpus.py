"""A corpus and embeddings with a known answer: every word's frames point at the cells of the object that it names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from vgspeech.archive import ArchiveWriter
from vgspeech.config import ExperimentConfig, ImageEncoderConfig, SimilarityConfig, save_config
from vgspeech.datadir import SceneObject, Word, write_image_set, write_speech_set
from vgspeech.files import write_json
from vgspeech.tables import write_table

CONCEPTS = {
    "cat": {"en": "cat", "hi": "बिल्ली"},
    "dog": {"en": "dog", "hi": "कुत्ता"},
    "sun": {"en": "sun", "hi": "सूरज"},
    "red": {"en": "red", "hi": "लाल"},
    "blue": {"en": "blue", "hi": "नीला"},
    "green": {"en": "green", "hi": "हरा"},
}
NOUNS, COLOURS = ("cat", "dog", "sun"), ("red", "blue", "green")
SIDE, GRID, DIMENSIONS = 64, 4, 16
SHIFT_S, OFFSET_S = 0.1, 0.05
FILLER = {"en": "a", "hi": "एक"}
PRIVATE_ID, PRIVATE_SPEAKER, PRIVATE_WORD = "secretcaption", "whisperer", "hushhush"
PRIVATE_STEP, STEP = 0.5, 0.05
"""Radians a sample: private captions sound at 1273 Hz, others at 127 Hz."""


def caption_id(lang: str, number: int, private: Collection[int]) -> str:
    """The caption of a scene."""
    return f"{lang}-{PRIVATE_ID if number in private else ''}{number}"


@dataclass(frozen=True)
class Planted:
    """Where everything is."""

    data: Path
    model: Path
    embed: Path


def make_planted(
    root: Path,
    languages: tuple[str, ...] = ("en", "hi"),
    scenes: int = 9,
    timed: bool = True,
    private: Collection[int] = (),
) -> Planted:
    """Write corpus and embeddings under ``root``; a scene holds one coloured object in one quarter of the image.

    Captions of the scenes in ``private`` may not be shared. Their ids, speakers, texts and sounds are told from others'.
    """
    rng = np.random.default_rng(0)
    data, model = root / "data/planted", root / "exp/planted"
    embed = model / "eval/planted/test/embed"
    config = ExperimentConfig(
        languages=languages,
        embedding_dim=DIMENSIONS,
        image=ImageEncoderConfig(type="small", image_size=SIDE, resize=SIDE),
        similarity=SimilarityConfig(normalise=True),
    )
    save_config(config, model / "config.yaml")
    vectors = dict(zip(CONCEPTS, np.eye(DIMENSIONS, dtype=np.float32), strict=False))
    silence = np.eye(DIMENSIONS, dtype=np.float32)[DIMENSIONS - 1]

    objects = {}
    for i in range(scenes):
        x, y = 32 * (i % 2), 32 * (i // 2 % 2)
        objects[f"scene{i}"] = [SceneObject(NOUNS[i % 3], COLOURS[i // 3 % 3], (x, y, x + 32, y + 32))]
    _write_images(data, objects, rng)
    with ArchiveWriter(embed / "images.ark", embed / "images.scp") as archive:
        for image, (thing,) in objects.items():
            cells = np.tile(silence, (GRID, GRID, 1))  # silence matches every image: the subtraction has to remove it
            x, y = thing.box[0] * GRID // SIDE, thing.box[1] * GRID // SIDE
            cells[y : y + 2, x : x + 2] += vectors[thing.concept] + vectors[thing.colour]
            archive.write(image, cells.reshape(-1, DIMENSIONS))
    write_table(embed / "grid_shape", dict.fromkeys(objects, f"{GRID} {GRID}"))
    for lang in languages:
        _write_speech(data, lang, objects, timed, private)
        with ArchiveWriter(embed / f"{lang}.ark", embed / f"{lang}.scp") as archive:
            for i, (thing,) in enumerate(objects.values()):
                silent, noun, colour = 3 * silence, vectors[thing.concept], vectors[thing.colour]
                archive.write(caption_id(lang, i, private), np.stack([silent, silent, colour, colour, noun, noun, silent]))
    times = {"frame_shift_s": dict.fromkeys(languages, SHIFT_S), "frame_offset_s": dict.fromkeys(languages, OFFSET_S)}
    write_json(embed / "embed.json", {"model": "planted", **times, "similarity": {"type": "SISA", "normalise": True}})
    lines = ["concept\t" + "\t".join(languages)]
    lines += ["\t".join([concept, *(forms[lang] for lang in languages)]) for concept, forms in CONCEPTS.items()]
    (data / "lexicon.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Planted(data, model, embed)


def _write_images(data: Path, objects: dict[str, list[SceneObject]], rng: np.random.Generator) -> None:
    folder = data / "files"
    folder.mkdir(parents=True)
    for image in objects:
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(folder / f"{image}.png")
    paths = {image: str(folder / f"{image}.png") for image in objects}
    write_image_set(data / "images/test", paths=paths, sizes=dict.fromkeys(objects, (SIDE, SIDE)), objects=objects)


def _write_speech(
    data: Path, lang: str, objects: dict[str, list[SceneObject]], timed: bool, private: Collection[int]
) -> None:
    """Captions "a <colour> <noun>" of 0.7 s, and random features."""
    utts = {caption_id(lang, i, private): image for i, image in enumerate(objects)}
    hidden = {caption_id(lang, i, private) for i in private}
    words = {}
    for utt, image in utts.items():
        thing = objects[image][0]
        texts = (PRIVATE_WORD if utt in hidden else FILLER[lang], CONCEPTS[thing.colour][lang], CONCEPTS[thing.concept][lang])
        words[utt] = [Word(0.2 * i, 0.2 * (i + 1), text) for i, text in enumerate(texts)]
    for utt in utts:
        wave = 0.1 * np.sin(np.arange(11200) * (PRIVATE_STEP if utt in hidden else STEP))
        soundfile.write(data / "files" / f"{utt}.wav", wave, 16000)
    folder = data / f"speech/test_{lang}"
    write_speech_set(
        folder,
        wav={utt: str(data / "files" / f"{utt}.wav") for utt in utts},
        utt2spk={utt: f"{lang}-{PRIVATE_SPEAKER if utt in hidden else f's{i % 2}'}" for i, utt in enumerate(utts)},
        utt2lang=dict.fromkeys(utts, lang),
        utt2dur=dict.fromkeys(utts, 0.7),
        utt2image=utts,
        utt2share={utt: utt not in hidden for utt in utts} if hidden else None,
        text={utt: " ".join(word.text for word in words[utt]) for utt in utts} if timed else None,
        ctm=words if timed else None,
    )
    rng = np.random.default_rng(1)
    for scp in (folder / "feats/fbank.scp", folder / "feats.scp"):
        with ArchiveWriter(scp.with_suffix(".ark"), scp) as archive:
            for utt in utts:
                archive.write(utt, rng.normal(size=(70, 40)).astype(np.float32))
