"""A block of scenes: pictures, recordings and all that is known of them. Blocks are the unit of work and of resuming.

Their size is fixed, so that the corpus doesn't depend on how they are divided among jobs. A block's record,
``blocks/<split>.<first>.json``, is written after all files of the block: a block with a record is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vgspeech.corpora.mini.captions import describe
from vgspeech.corpora.mini.config import SPLITS, MiniCorpusConfig, random_stream
from vgspeech.corpora.mini.scenes import draw_scene, encode_jpeg, image_path, plan_scene, run_lengths
from vgspeech.corpora.mini.speech import SAMPLE_RATE, Interval, Synthesiser, say, wav_bytes
from vgspeech.files import atomic_write, write_json

BLOCK_SCENES = 25
AUDIO_FOLDERS = {"en": "PlacesAudio_mini", "hi": "PlacesHindi_mini"}


class Block(NamedTuple):
    """Scenes ``first`` to ``last - 1`` of a split."""

    split: str
    first: int
    last: int

    def record(self, release: Path) -> Path:
        """Where the block's record is kept while the release is made."""
        return release / "blocks" / f"{self.split}.{self.first}.json"


def all_blocks(config: MiniCorpusConfig) -> Iterator[Block]:
    """All blocks of a corpus, in order."""
    for split in SPLITS:
        count = config.scenes(split)
        for first in range(0, count, BLOCK_SCENES):
            yield Block(split, first, min(first + BLOCK_SCENES, count))


def make_block(
    config: MiniCorpusConfig, languages: Sequence[str], block: Block, release: Path, synthesiser: Synthesiser
) -> None:
    """Write a block's files below ``release``, then its record: a list of scenes and the files' SHA-256."""
    hashes: dict[str, str] = {}

    def write(path: str, data: bytes) -> None:
        with atomic_write(release / path, "wb") as stream:
            stream.write(data)
        hashes[path] = hashlib.sha256(data).hexdigest()

    scenes = []
    for index in range(block.first, block.last):
        items = plan_scene(config, block.split, index)
        picture, objects = draw_scene(config, block.split, index, items)
        image = image_path(config, block.split, index, items)
        write(f"images/{image}", encode_jpeg(picture, config.jpeg_quality))
        captions = {}
        for language in languages:
            rng = random_stream(config, block.split, index, f"caption {language}")
            speakers = config.speakers(block.split)
            speaker = speakers[rng.integers(len(speakers))]
            text = describe(config, rng, items, language)
            utterance = say(synthesiser, config, rng, language, speaker, text)
            wav = _wav_path(language, block.split, speaker, image)
            write(f"{AUDIO_FOLDERS[language]}/{wav}", wav_bytes(utterance.samples))
            captions[language] = {
                "speaker": speaker,
                "wav": wav,
                "duration_s": len(utterance.samples) / SAMPLE_RATE,
                "words": _milliseconds(utterance.words),
                "phones": _milliseconds(utterance.phones),
                "without_text": language == "hi" and bool(rng.random() < config.missing_text),
            }
        scenes.append({"image": image, "objects": [_object_record(o) for o in objects], "captions": captions})
    write_json(block.record(release), {"scenes": scenes, "sha256": hashes})


def _wav_path(language: str, split: str, speaker: str, image: str) -> str:
    """Path below the language's folder; English by speaker, Hindi by split."""
    name = Path(image).stem.removeprefix("gsun_")
    return f"wavs/{speaker}/{name}.wav" if language == "en" else f"hindi_wavs/{split}/{speaker}_{name}.wav"


def _milliseconds(intervals: Sequence[Interval]) -> list[tuple[float, float, str]]:
    """Rounded to a millisecond, far below the times' own accuracy."""
    return [(round(start, 3), round(end, 3), text) for start, end, text in intervals]


def _object_record(drawn: Any) -> dict[str, Any]:
    return {
        "concept": drawn.concept,
        "colour": drawn.colour,
        "box": list(drawn.box),
        "size": list(drawn.mask.shape),
        "counts": run_lengths(drawn.mask),
    }
