"""What is said of a scene: every object is named, in an order and in words that each language chooses by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from vgspeech.corpora.mini.config import MiniCorpusConfig
from vgspeech.corpora.mini.scenes import SceneItem
from vgspeech.corpora.mini.vocabulary import CONJUNCTIONS, FRAMES

_WORD = re.compile(r"[^\s,]+")


def describe(config: MiniCorpusConfig, rng: np.random.Generator, items: Sequence[SceneItem], language: str) -> str:
    """A caption as it is given to the synthesiser: lower case, commas where a speaker pauses."""
    before, after = FRAMES[language][rng.integers(len(FRAMES[language]))]
    phrases = [_noun_phrase(config, rng, items[i], language) for i in rng.permutation(len(items))]
    *first, last = phrases
    listed = f"{', '.join(first)} {CONJUNCTIONS[language]} {last}" if first else last
    return f"{before} {listed} {after}".strip()


def _noun_phrase(config: MiniCorpusConfig, rng: np.random.Generator, item: SceneItem, language: str) -> str:
    """Article, colour (or not), noun. Draws the same random numbers whatever it chooses."""
    with_colour = rng.random() < config.colour_probability
    with_synonym = rng.random() < config.synonym_probability
    forms = item.noun.forms[language]
    noun = forms[-1] if with_synonym else forms[0]
    words = [item.colour.form(language, noun.gender), noun.text] if with_colour else [noun.text]
    article = noun.article
    if language == "en" and not article:
        article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words] if article else words)


def words_of(caption: str) -> list[tuple[int, str]]:
    """The words and where each begins, in characters from 0; commas are no part of them."""
    return [(match.start(), match.group()) for match in _WORD.finditer(caption)]
