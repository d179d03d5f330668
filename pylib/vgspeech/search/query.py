"""What is asked: a recording or an image file of the user's, checked and embedded."""

from __future__ import annotations

from pathlib import Path

from vgspeech.errors import DataError, UsageError
from vgspeech.loaded import Caption, LoadedModel
from vgspeech.waves import open_sound

LONGEST_QUERY_S = 60.0
LONGEST_WORD_S = 1.5
"""A recording up to this long is taken for a word."""


def spoken_query(model: LoadedModel, path: Path, language: str | None) -> Caption:
    """An embedded recording: any rate and number of channels, any format that libsndfile reads.

    Args:
        model: that embeds it.
        path: the file.
        language: it is spoken in; may be left out for a model of one language.

    Raises:
        UsageError: the model does not know the language, or it has several and none is given.
        DataError: the recording cannot be read, is silent, or longer than a query can be.
    """
    if language is None and len(model.languages) > 1:
        known = ", ".join(model.languages)
        raise UsageError(f"which language is the recording in? give --spoken (the model knows {known})")
    if language is not None and language not in model.languages:
        raise UsageError(f"--spoken: the model does not know '{language}' (it knows {', '.join(model.languages)})")
    with open_sound(str(path)) as sound:
        length_s = sound.frames / sound.samplerate
    if length_s > LONGEST_QUERY_S:
        hint = "cut out the word or sentence that is to be found"
        raise DataError(
            f"is {length_s:.0f} s long; a query may have {LONGEST_QUERY_S:.0f} s", where=str(path), hint=hint
        )
    caption = model.embed_speech(path, language)
    if caption.spoken is not None and not caption.spoken.any():
        raise DataError("is silent", where=str(path))
    return caption


def is_word(caption: Caption) -> bool:
    """Whether a recording is short enough to be a word, rather than a sentence."""
    return caption.duration_s <= LONGEST_WORD_S
