"""The mini corpus as a release: laid out as Places Audio and Places Hindi are, with the truth in files beside.

    PlacesAudio_mini/metadata/<split>.json   wavs/<speaker>/<name>.wav
    PlacesHindi_mini/PlacesHindi_mini_<split>.json   hindi_wavs/<split>/<speaker>_<name>.wav
    images/<letter>/<category>/gsun_<name>.jpg
    truth/   lexicon.tsv objects.tsv masks.jsonl ctm_<language> ctm_phones_<language> README
    mini_corpus.yaml release.json SHA256SUMS

A release is made in a folder beside its place, ``.<name>.<settings key>.part``, and moved there when it is complete.
A run that was stopped leaves that folder, and the next run of the same settings goes on in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgspeech.config import load_config, save_config
from vgspeech.corpora.mini.blocks import AUDIO_FOLDERS, Block, all_blocks, make_block
from vgspeech.corpora.mini.config import (
    GENERATOR_VERSION,
    SPLITS,
    MiniCorpusConfig,
    check_config,
    check_languages,
    settings_key,
)
from vgspeech.corpora.mini.glyphs import font_folder
from vgspeech.corpora.mini.speech import Synthesiser
from vgspeech.corpora.mini.vocabulary import concept_forms
from vgspeech.errors import DriftError
from vgspeech.files import atomic_write, read_json, sha256_file, write_json
from vgspeech.progress import track

_STALE_PREFIX = {"en": "", "hi": "data/"}
"""The Hindi release's wav paths begin with a folder that its archive doesn't have."""

_README = """The truth about this synthetic corpus. Nothing of it may be used in training.

lexicon.tsv      concept, and its word forms in each language, separated by |
objects.tsv      image (path below images/), concept, colour, box x0 y0 x1 y1 in pixels; x1 and y1 are exclusive
masks.jsonl      image, concept, visible pixels as COCO's uncompressed run lengths (column by column, background first)
ctm_<language>   <wav> 1 <start> <duration> <word>, in seconds; wav as in the language's folder. A word begins at the
                 closure of its first stop and ends before a pause. English words: text_alignment in the metadata.
ctm_phones_<language>   the same for phones, in espeak-ng's names without stress
"""


@dataclass(frozen=True)
class ReleaseSummary:
    """What a release holds."""

    scenes: int
    captions: int
    hours: float
    sha256: str
    """Of SHA256SUMS, hence of every file."""


def make_share(config: MiniCorpusConfig, languages: Sequence[str], release: Path, job: int, jobs: int) -> int:
    """Make those blocks of a job's share that don't exist yet.

    Args:
        config: settings.
        languages: ``en`` or ``en``, ``hi``.
        release: where the complete release will be.
        job: 1 to ``jobs``.
        jobs: number of jobs; it has no influence on what is made.

    Returns:
        Number of blocks made.

    Raises:
        ConfigError, UsageError: impossible settings, or extras that are not installed.
        DriftError: ``release`` exists with other settings.
    """
    languages = check_languages(languages)
    check_config(config)
    if finished(config, languages, release):
        return 0
    font_folder()
    part = _part_folder(config, languages, release)
    missing = [block for block in list(all_blocks(config))[job - 1 :: jobs] if not block.record(part).exists()]
    if not missing:
        return 0
    with Synthesiser() as synthesiser:
        for block in track(missing, len(missing), "mini corpus", "blocks"):
            make_block(config, languages, block, part, synthesiser)
    return len(missing)


def finish_release(config: MiniCorpusConfig, languages: Sequence[str], release: Path) -> ReleaseSummary:
    """Make what blocks are still missing, write metadata and truth, and move the release to its place.

    Raises:
        ConfigError, UsageError: impossible settings, or extras that are not installed.
        DriftError: ``release`` exists with other settings.
    """
    languages = check_languages(languages)
    if not finished(config, languages, release):
        make_share(config, languages, release, 1, 1)
        part = _part_folder(config, languages, release)
        _write_metadata(config, languages, part)
        shutil.rmtree(part / "blocks")
        for half_written in part.rglob(".*.tmp"):
            half_written.unlink()
        os.rename(part, release)
        for abandoned in release.parent.glob(f".{release.name}.*.part"):
            shutil.rmtree(abandoned)
    return ReleaseSummary(**read_json(release / "release.json")["summary"], sha256=sha256_file(release / "SHA256SUMS"))


def finished(config: MiniCorpusConfig, languages: Sequence[str], release: Path) -> bool:
    """Whether the release is there, complete.

    Raises:
        DriftError: it is, but was made with other settings, or it is some other folder.
    """
    if not release.exists():
        return False
    hint = "remove it, or use another work directory (--dir)"
    if not (release / "release.json").exists():
        raise DriftError("this folder exists and is no mini corpus", where=str(release), hint=hint)
    made = read_json(release / "release.json")
    if made["settings_key"] != settings_key(config, languages):
        changed = _changed_settings(config, languages, made, release)
        raise DriftError(f"the mini corpus was made with other settings: {changed}", where=str(release), hint=hint)
    return True


def _changed_settings(config: MiniCorpusConfig, languages: Sequence[str], made: dict[str, Any], release: Path) -> str:
    """``key (was a, now b)`` for each difference."""
    old = vars(load_config(MiniCorpusConfig, release / "mini_corpus.yaml"))
    pairs = {"version": (made["version"], GENERATOR_VERSION), "languages": (made["languages"], list(languages))}
    pairs |= {key: (old[key], value) for key, value in vars(config).items()}
    return ", ".join(f"{key} (was {was}, now {now})" for key, (was, now) in pairs.items() if was != now)


def _part_folder(config: MiniCorpusConfig, languages: Sequence[str], release: Path) -> Path:
    return release.with_name(f".{release.name}.{settings_key(config, languages)}.part")


def _write_metadata(config: MiniCorpusConfig, languages: Sequence[str], part: Path) -> None:
    """From the blocks' records to the files of the release."""
    blocks = list(all_blocks(config))
    records = {block: read_json(block.record(part)) for block in blocks}
    scenes = {split: [s for b in blocks if b.split == split for s in records[b]["scenes"]] for split in SPLITS}
    everything = [scene for split in SPLITS for scene in scenes[split]]
    written = []
    for language in languages:
        for split in filter(config.scenes, SPLITS):
            written.append(_metadata_path(language, split))
            write_json(part / written[-1], _metadata(language, scenes[split]))
    for name, lines in _truth(languages, everything).items():
        written.append(f"truth/{name}")
        with atomic_write(part / written[-1]) as stream:
            stream.writelines(line + "\n" for line in lines)
    save_config(config, part / "mini_corpus.yaml")
    durations = [scene["captions"][language]["duration_s"] for scene in everything for language in languages]
    summary = {"scenes": len(everything), "captions": len(durations), "hours": round(sum(durations) / 3600, 3)}
    stamp = {
        "version": GENERATOR_VERSION,
        "languages": list(languages),
        "settings_key": settings_key(config, languages),
    }
    write_json(part / "release.json", stamp | {"summary": summary})
    _write_sums(part, records, [*written, "mini_corpus.yaml", "release.json"])


def _metadata_path(language: str, split: str) -> str:
    folder = AUDIO_FOLDERS[language]
    return f"{folder}/metadata/{split}.json" if language == "en" else f"{folder}/{folder}_{split}.json"


def _metadata(language: str, scenes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A metadata file as released: English with uttid and word times, Hindi without either."""
    items = [_metadata_item(language, scene["image"], scene["captions"][language]) for scene in scenes]
    return {"image_base_path": "images", "audio_base_path": AUDIO_FOLDERS[language], "data": items}


def _metadata_item(language: str, image: str, caption: dict[str, Any]) -> dict[str, str]:
    text = " ".join(word for _, _, word in caption["words"])
    item = {"uttid": f"{caption['speaker']}-{Path(image).stem.upper()}"} if language == "en" else {}
    item["speaker"] = caption["speaker"]
    if not caption["without_text"]:
        item["asr_text"] = text
    item["wav"] = _STALE_PREFIX[language] + caption["wav"]
    item["image"] = image
    if language == "en":
        item["text_alignment"] = " ".join(f"{start}__{word.upper()}__{end}" for start, end, word in caption["words"])
    return item


def _truth(languages: Sequence[str], scenes: Sequence[dict[str, Any]]) -> dict[str, Iterator[str]]:
    """File name -> lines."""
    files = {
        "README": iter(_README.splitlines()),
        "lexicon.tsv": _lexicon_lines(tuple(languages)),
        "objects.tsv": _object_lines(scenes),
        "masks.jsonl": _mask_lines(scenes),
    }
    for language in languages:
        files[f"ctm_phones_{language}"] = _ctm_lines(language, "phones", scenes)
        if language != "en":
            files[f"ctm_{language}"] = _ctm_lines(language, "words", scenes)
    return files


def _lexicon_lines(languages: tuple[str, ...]) -> Iterator[str]:
    yield "\t".join(["concept", *languages])
    for concept, forms in concept_forms(languages).items():
        yield "\t".join([concept, *("|".join(forms[language]) for language in languages)])


def _object_lines(scenes: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "\t".join(["image", "concept", "colour", "x0", "y0", "x1", "y1"])
    for scene in sorted(scenes, key=lambda scene: scene["image"]):
        for item in scene["objects"]:
            yield "\t".join([scene["image"], item["concept"], item["colour"], *map(str, item["box"])])


def _mask_lines(scenes: Sequence[dict[str, Any]]) -> Iterator[str]:
    for scene in sorted(scenes, key=lambda scene: scene["image"]):
        for item in scene["objects"]:
            mask = {"size": item["size"], "counts": item["counts"]}
            yield json.dumps({"image": scene["image"], "concept": item["concept"], **mask})


def _ctm_lines(language: str, what: str, scenes: Sequence[dict[str, Any]]) -> Iterator[str]:
    captions = (scene["captions"][language] for scene in scenes)
    for caption in sorted(captions, key=lambda caption: caption["wav"]):
        for start, end, text in caption[what]:
            yield f"{caption['wav']} 1 {start:.3f} {end - start:.3f} {text}"


def _write_sums(part: Path, records: dict[Block, dict[str, Any]], written: Sequence[str]) -> None:
    """SHA256SUMS over all files, in the format of ``sha256sum -c``."""
    sums = {path: digest for record in records.values() for path, digest in record["sha256"].items()}
    sums |= {path: hashlib.sha256((part / path).read_bytes()).hexdigest() for path in written}
    with atomic_write(part / "SHA256SUMS") as stream:
        stream.writelines(f"{sums[path]}  {path}\n" for path in sorted(sums))
