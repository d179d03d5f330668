"""A speech set of single words, cut from the captions of another by its word times: queries for search by voice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from vgspeech.datadir import Segment, SpeechSet, Word, write_speech_set
from vgspeech.errors import DataError
from vgspeech.order import shuffled


def cut_words(
    speech: SpeechSet, out: Path, wanted: Callable[[str], bool], per_word: int, context_s: float, seed: int = 0
) -> dict[str, int]:
    """Write the set ``out``: ``segments`` of recordings, ``text`` is the word; speakers and images stay.

    Queries are there to be shown and handed on, so captions whose speakers did not agree to that are passed over.

    Args:
        speech: with ``ctm``.
        out: folder of the new set.
        wanted: which words to take.
        per_word: tokens of each, those with the smallest hashes of their ids.
        context_s: what is kept before and after a word, within its caption.
        seed: takes other tokens.

    Returns:
        Tokens that were taken, by word.

    Raises:
        DataError: there are no word times, or no wanted word in a caption that may be shown.
    """
    tokens: dict[str, dict[str, tuple[str, Word]]] = defaultdict(dict)
    for utt in speech.ids:
        for number, word in enumerate(speech.ctm.get(utt, ()) if speech.may_share(utt) else ()):
            if wanted(word.text):
                tokens[word.text][f"{utt}-w{number:03d}"] = (utt, word)
    if not tokens:
        kept_back = " in a caption that may be shown" if speech.private else ""
        hint = "words are cut by the times in ctm"
        raise DataError(f"no wanted word{kept_back}", where=str(speech.path / "ctm"), hint=hint)
    taken = {key: found[key] for found in tokens.values() for key in shuffled(found, seed)[:per_word]}
    pieces, wav = {}, {}
    for key, (utt, word) in taken.items():
        recording = speech.recording_of(utt)
        begin = speech.segments[utt].start_s if speech.segments else 0.0
        end = begin + speech.utt2dur[utt]
        pieces[key] = Segment(
            recording, max(begin, begin + word.start_s - context_s), min(end, begin + word.end_s + context_s)
        )
        wav[recording] = speech.wav[recording]
    write_speech_set(
        out,
        wav=wav,
        segments=pieces,
        utt2spk={key: speech.utt2spk[utt] for key, (utt, _) in taken.items()},
        utt2lang={key: speech.utt2lang[utt] for key, (utt, _) in taken.items()},
        utt2image={key: speech.utt2image[utt] for key, (utt, _) in taken.items()},
        utt2dur={key: (piece.end_s or 0.0) - piece.start_s for key, piece in pieces.items()},
        text={key: word.text for key, (_, word) in taken.items()},
    )
    return Counter(word.text for _, word in taken.values())
