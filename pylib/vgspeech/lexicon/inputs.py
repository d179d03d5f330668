"""What the commands read: one language of an embedded split."""

from __future__ import annotations

from pathlib import Path

from vgspeech.archive import ArchiveReader
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.lexicon.captions import FrameClock
from vgspeech.lexicon.discover import LanguageInput
from vgspeech.lexicon.silence import SpeechActivity


def language_of(speech: SpeechSet) -> str:
    """The language of a speech set.

    Raises:
        DataError: none, or several.
    """
    found = sorted(set(speech.utt2lang.values()))
    if len(found) != 1:
        raise DataError(f"expected one language, found {', '.join(found) or 'none'}", where=f"{speech.path}/utt2lang")
    return found[0]


def load_language(embed: Path, speech: SpeechSet) -> LanguageInput:
    """Frames of an embedding directory with the speech set that they were computed from.

    Raises:
        DataError: the language was not embedded, or embedded captions are not in the speech set.
    """
    language = language_of(speech)
    settings = read_json(embed / "embed.json")
    scp = embed / f"{language}.scp"
    if not scp.exists() or language not in settings.get("frame_shift_s", {}):
        raise DataError(f"no embeddings of '{language}'", where=str(scp), hint="embed this split first (stage 5)")
    frames = ArchiveReader(scp)
    unknown = next((utt for utt in frames if utt not in speech.utt2image), None)
    if unknown is not None:
        hint = "embedding and speech set belong to different splits or versions"
        raise DataError(f"caption '{unknown}' of {scp} is not in utt2image", where=str(speech.path), hint=hint)
    clock = FrameClock(float(settings["frame_shift_s"][language]), float(settings["frame_offset_s"][language]))
    activity = SpeechActivity(speech.path, frames, clock) if (speech.path / "feats.scp").exists() else None
    return LanguageInput(language, frames, speech.utt2image, speech.utt2spk, clock, activity)


def load_cells(embed: Path, pairs: str) -> ArchiveReader | None:
    """The images' cells, if captions of images that look alike are to be paired (``pairs`` is ``nearest``)."""
    return ArchiveReader(embed / "images.scp") if pairs == "nearest" else None


def missing_captions(side: LanguageInput) -> int:
    """Captions of the speech set that were not embedded."""
    return len(side.utt2image) - len(side.frames)
