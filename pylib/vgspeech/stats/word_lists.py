"""Lists that say how the words of transcripts are to be scored: stop words, and lemmas."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgspeech.datadir import Lexicon, Word, plain_form
from vgspeech.tables import bad_line, read_lines, read_tsv

LEMMAS_HEADER = ("language", "form", "lemma")


def read_stop_words(path: Path) -> frozenset[str]:
    """Words of a stop list, in their plain form: one a line, ``#`` starts a comment line."""
    lines = (line.strip() for line in read_lines(path))
    return frozenset(plain_form(line) for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class Lemmas:
    """Which inflected forms of a language count as which word; a form that is not listed counts as itself.

    Attributes:
        lemma_of: (language, plain form) -> lemma in Unicode NFC.
    """

    lemma_of: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of(self, language: str, word: str) -> str:
        """The lemma of a word form, in any case of letters."""
        return self.lemma_of.get((language, plain_form(word)), word)

    def words(self, language: str, words: Mapping[str, Sequence[Word]]) -> dict[str, list[Word]]:
        """Word times of one language with lemmas in place of forms."""
        return {utt: [replace(word, text=self.of(language, word.text)) for word in said] for utt, said in words.items()}

    def lexicon(self, lexicon: Lexicon) -> Lexicon:
        """A lexicon with lemmas in place of forms."""
        concepts = {
            concept: {tag: tuple(dict.fromkeys(self.of(tag, form) for form in forms)) for tag, forms in cells.items()}
            for concept, cells in lexicon.concepts.items()
        }
        return Lexicon(lexicon.languages, concepts)


def read_lemmas(path: Path) -> Lemmas:
    """Read a table of lemmas: a header ``language<TAB>form<TAB>lemma``, one form a line.

    Raises:
        DataError: a cell is empty, or a form stands there with two lemmas; names file and line.
    """
    found: dict[tuple[str, str], str] = {}
    for number, (language, form, lemma) in read_tsv(path, LEMMAS_HEADER):
        if not (language and form and lemma):
            raise bad_line(path, number, "has an empty cell")
        lemma = unicodedata.normalize("NFC", lemma)
        if found.setdefault((language, plain_form(form)), lemma) != lemma:
            raise bad_line(path, number, f"'{form}' also has the lemma '{found[language, plain_form(form)]}'")
    return Lemmas(found)
