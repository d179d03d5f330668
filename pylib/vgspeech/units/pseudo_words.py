"""Pseudo-words: sequences of codes that recur, learnt by byte-pair encoding of run-length-collapsed codes.

Each code becomes a character, each utterance a sentence without blanks; sentencepiece (Kudo & Richardson 2018) merges
the most frequent neighbours until the vocabulary is full.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from vgspeech.errors import DataError, UsageError
from vgspeech.units.runs import Runs

Array = np.ndarray[Any, np.dtype[Any]]

_FIRST_CHARACTER = 0x4E00
"""Code 0's character; from here on come 20,000 that no normalisation changes and no rule splits."""
_MOST_CODES = 20_000


def as_text(codes: Array) -> str:
    """Codes as characters, one each."""
    return "".join(map(chr, (np.asarray(codes) + _FIRST_CHARACTER).tolist()))


def learn_pieces(runs: Iterable[Runs], num_codes: int, vocabulary: int, longest: int = 16) -> bytes:
    """A sentencepiece model of the utterances' collapsed codes.

    Args:
        runs: of the utterances to learn from.
        num_codes: size of the codebook.
        vocabulary: pieces to learn, single codes included; fewer when nothing recurs any more.
        longest: most codes in a piece.

    Raises:
        UsageError: the vocabulary has no room for the single codes, or the codebook is larger than 20,000.
        DataError: there is no code at all.
    """
    import sentencepiece

    if num_codes > _MOST_CODES:
        raise UsageError(f"pseudo-words of at most {_MOST_CODES} codes, not {num_codes}")
    sentences = [as_text(found.codes) for found in runs if len(found.codes)]
    if not sentences:
        raise DataError("no codes to learn pseudo-words from", hint="write codes first (steps/dump_codes.sh)")
    needed = len(set().union(*sentences)) + 1
    if vocabulary <= needed:
        hint = f"{needed - 1} codes occur: ask for more than {needed} pieces"
        raise UsageError(f"{vocabulary} pieces are no more than the single codes", hint=hint)
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=stream, model_type="bpe", vocab_size=vocabulary,
        hard_vocab_limit=False, character_coverage=1.0, normalization_rule_name="identity", add_dummy_prefix=False,
        split_by_unicode_script=False, split_by_number=False, max_sentencepiece_length=longest,
        max_sentence_length=10_000_000, bos_id=-1, eos_id=-1, pad_id=-1, unk_id=0, num_threads=1, minloglevel=2,
    )  # fmt: skip
    return stream.getvalue()


class Pieces:
    """A model from `learn_pieces`."""

    def __init__(self, model: bytes) -> None:
        import sentencepiece

        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def codes(self, piece: int) -> list[int]:
        """The codes that a piece stands for; none for the unknown piece."""
        if self._processor.is_unknown(piece):
            return []
        return [ord(character) - _FIRST_CHARACTER for character in self._processor.id_to_piece(piece)]

    def encode(self, utterances: Iterable[tuple[str, Runs]]) -> Iterator[tuple[str, Runs]]:
        """Every utterance as runs of pieces; their lengths are frames, as before."""
        for utt, runs in utterances:
            # A code that the model never saw becomes the unknown piece; several of them in a row become one.
            pieces = self._processor.encode(as_text(runs.codes), out_type=str)
            spans = np.array([len(piece) for piece in pieces], np.int64)
            first = np.cumsum(spans) - spans
            lengths = np.add.reduceat(runs.lengths, first) if len(first) else np.zeros(0, np.int32)
            ids = np.array([self._processor.piece_to_id(piece) for piece in pieces], np.int32)
            yield utt, Runs(ids, lengths.astype(np.int32))
