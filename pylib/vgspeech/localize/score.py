"""The localisation scores of one split, from embeddings and data directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vgspeech.config import ExperimentConfig
from vgspeech.datadir import ImageSet, Lexicon, read_lexicon
from vgspeech.localize.boxes import Truth, score_language
from vgspeech.localize.inputs import EmbedDir, image_set, speech_set, visible_parts
from vgspeech.localize.matchmaps import UNRELATED_IMAGES


def score_split(
    embed: EmbedDir, untrained: EmbedDir | None, data: Path, split: str, config: ExperimentConfig
) -> dict[str, Any]:
    """Both scores of every language that has word times, for ``localisation.json``.

    Args:
        embed: the model's embeddings.
        untrained: those of the untrained model, for comparison.
        data: data/<corpus>; without ``lexicon.tsv`` or ``objects.tsv`` nothing can be scored, and ``missing`` says so.
        split: which split.
        config: the model's.
    """
    images = image_set(data, split)
    missing = _missing(data, images)
    if missing:
        return {"split": split, "missing": missing, "languages": {}}
    lexicon = read_lexicon(data / "lexicon.tsv")
    languages = {lang: _score(embed, untrained, data, split, lang, lexicon, images, config) for lang in embed.languages}
    return {"split": split, "unrelated_images": UNRELATED_IMAGES, "languages": languages}


def _missing(data: Path, images: ImageSet) -> str | None:
    if not (data / "lexicon.tsv").exists():
        return f"no {data / 'lexicon.tsv'}, which says what the words name"
    if not (images.path / "objects.tsv").exists():
        return f"no {images.path / 'objects.tsv'}, which says where the objects are"
    return None


def _score(
    embed: EmbedDir,
    untrained: EmbedDir | None,
    data: Path,
    split: str,
    lang: str,
    lexicon: Lexicon,
    images: ImageSet,
    config: ExperimentConfig,
) -> dict[str, Any]:
    speech = speech_set(data, split, lang)
    if not speech.ctm:
        return {"missing": f"no {speech.path / 'ctm'}, which says when the words are"}
    truth = Truth(
        speech.utt2image,
        speech.ctm,
        images.objects_shown(),
        visible_parts(images, config),
        lambda word: lexicon.concepts_of(lang, word),
    )
    scores = score_language(embed.embedded(lang), embed.times[lang], truth)
    if untrained is not None:
        blind = score_language(untrained.embedded(lang), untrained.times[lang], truth, top_frames=False)
        scores["noun_in_box"]["untrained"] = blind["noun_in_box"]["accuracy"]
    return scores
