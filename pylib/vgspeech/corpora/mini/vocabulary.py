"""What the mini corpus can show and say: 28 nouns and 8 colours, their glyphs, their English and Hindi words.

A glyph is written ``family:name``: ``fa`` Font Awesome 6 (solid), ``md`` Material Design 6, ``ph`` Phosphor (fill),
``rx`` Remix. Remix is kept for the split of unseen shapes; its star and heart look like the others' and are left out.
Hindi adjectives agree with the noun's gender, so every Hindi noun form carries it: ``m`` or ``f``. All text is in
Unicode NFC.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class NounForm:
    """One name of a concept in one language."""

    text: str
    gender: str = ""
    """``m`` or ``f`` in Hindi, empty in English."""
    article: str = ""
    """Word before the noun phrase; empty leaves it to the phrase (English ``a`` or ``an``) or out."""


@dataclass(frozen=True)
class Noun:
    """A kind of object."""

    concept: str
    glyphs: tuple[str, ...]
    unseen_glyph: str | None
    forms: dict[str, tuple[NounForm, ...]]
    """Language -> its usual name and, for some, a synonym."""


@dataclass(frozen=True)
class Colour:
    """A named colour."""

    concept: str
    rgb: tuple[int, int, int]
    english: str
    masculine: str
    feminine: str

    def form(self, language: str, gender: str) -> str:
        """The adjective beside a noun of this gender."""
        if language == "en":
            return self.english
        return self.feminine if gender == "f" else self.masculine

    def forms(self, language: str) -> tuple[str, ...]:
        """All word forms, each once."""
        return tuple(dict.fromkeys(self.form(language, gender) for gender in "mf"))


_NOUNS = """
cat      | fa:cat md:cat ph:cat-fill | -                                          | cat kitten   | बिल्ली/f
dog      | fa:dog md:dog-side ph:dog-fill | -                                     | dog puppy    | कुत्ता/m
fish     | fa:fish md:fish ph:fish-fill | -                                       | fish         | मछली/f
horse    | fa:horse md:horse ph:horse-fill | -                                    | horse        | घोड़ा/m
bird     | fa:crow md:bird ph:bird-fill | -                                       | bird         | चिड़िया/f पक्षी/m
car      | fa:car-side md:car-side ph:car-fill | rx:car-fill                      | car          | कार/f गाड़ी/f
bus      | fa:bus md:bus-side ph:bus-fill | rx:bus-fill                           | bus          | बस/f
bicycle  | fa:bicycle md:bicycle ph:bicycle-fill | rx:bike-fill                   | bicycle bike | साइकिल/f
ship     | fa:ship md:ferry ph:boat-fill | rx:ship-2-fill                         | ship boat    | जहाज़/m
truck    | fa:truck md:truck ph:truck-fill | rx:truck-fill                        | truck lorry  | ट्रक/m
house    | fa:house md:home ph:house-line-fill | rx:home-4-fill                   | house home   | घर/m मकान/m
tree     | fa:tree md:tree ph:tree-fill | -                                       | tree         | पेड़/m
flower   | md:flower-tulip md:flower ph:flower-fill | -                           | flower       | फूल/m
leaf     | fa:leaf md:leaf ph:leaf-fill | rx:leaf-fill                            | leaf         | पत्ता/m
sun      | fa:sun md:white-balance-sunny ph:sun-fill | rx:sun-fill                | sun          | सूरज/m
moon     | fa:moon md:moon-waning-crescent ph:moon-fill | rx:moon-fill            | moon         | चाँद/m
star     | fa:star md:star ph:star-fill | -                                       | star         | तारा/m सितारा/m
cloud    | fa:cloud md:cloud ph:cloud-fill | rx:cloud-fill                        | cloud        | बादल/m
umbrella | fa:umbrella md:umbrella ph:umbrella-fill | rx:umbrella-fill            | umbrella     | छाता/m छतरी/f
key      | fa:key md:key ph:key-fill | rx:key-2-fill                              | key          | चाबी/f
book     | fa:book md:book-open-variant ph:book-fill | rx:book-fill               | book         | किताब/f पुस्तक/f
bell     | fa:bell md:bell ph:bell-fill | rx:bell-fill                            | bell         | घंटी/f
bed      | fa:bed md:bed ph:bed-fill | rx:hotel-bed-fill                          | bed          | पलंग/m
crown    | fa:crown md:crown ph:crown-fill | rx:vip-crown-fill                    | crown        | ताज/m
heart    | fa:heart md:heart ph:heart-fill | -                                    | heart        | दिल/m
flag     | fa:flag md:flag-variant ph:flag-fill | rx:flag-2-fill                  | flag         | झंडा/m
fire     | fa:fire md:fire ph:fire-fill | rx:fire-fill                            | fire         | आग/f
scissors | fa:scissors md:content-cut ph:scissors-fill | rx:scissors-2-fill       | scissors     | कैंची/f
"""

_COLOURS = """
red    | 215  35  35 | red    | लाल     | लाल
blue   |  40  70 215 | blue   | नीला    | नीली
green  |  30 150  50 | green  | हरा     | हरी
yellow | 240 215  40 | yellow | पीला    | पीली
black  |  20  20  20 | black  | काला    | काली
white  | 240 240 240 | white  | सफ़ेद    | सफ़ेद
purple | 135  40 165 | purple | बैंगनी    | बैंगनी
orange | 245 135  25 | orange | नारंगी   | नारंगी
"""

# Every prefix takes singular and plural objects. None holds a pair like "of a" or "in the": the synthesiser speaks such
# pairs as one word and gives the second no time of its own.
_ENGLISH_FRAMES = """
i see ...
i can see ...
you can see ...
we can see ...
here we have ...
this picture shows ...
the image shows ...
the picture has ...
"""

_HINDI_FRAMES = """
यहाँ ... है
देखो यहाँ ... है
सामने ... है
इस तस्वीर में ... है
इस चित्र में ... है
इस फ़ोटो में ... है
मैं ... देख रहा हूँ
"""

CONJUNCTIONS = {"en": "and", "hi": "और"}

_ARTICLES = {"scissors": "some", "आग": ""}
"""Nouns that don't take a count word: scissors are plural, fire is a mass noun in Hindi."""


def _nfc_rows(table: str, separator: str = "|") -> list[list[str]]:
    lines = unicodedata.normalize("NFC", table).strip().splitlines()
    return [[cell.strip() for cell in line.split(separator)] for line in lines]


def _noun(concept: str, glyphs: str, unseen: str, english: str, hindi: str) -> Noun:
    english_forms = tuple(NounForm(text, "", _ARTICLES.get(text, "")) for text in english.split())
    hindi_forms = (form.split("/") for form in hindi.split())
    return Noun(
        concept,
        tuple(glyphs.split()),
        None if unseen == "-" else unseen,
        {"en": english_forms, "hi": tuple(NounForm(t, g, _ARTICLES.get(t, "एक")) for t, g in hindi_forms)},
    )


def _colour(concept: str, rgb: str, english: str, masculine: str, feminine: str) -> Colour:
    red, green, blue = (int(value) for value in rgb.split())
    return Colour(concept, (red, green, blue), english, masculine, feminine)


NOUNS: tuple[Noun, ...] = tuple(_noun(*row) for row in _nfc_rows(_NOUNS))
COLOURS: tuple[Colour, ...] = tuple(_colour(*row) for row in _nfc_rows(_COLOURS))
FRAMES: dict[str, list[tuple[str, str]]] = {
    "en": [(before, after) for before, after in _nfc_rows(_ENGLISH_FRAMES, "...")],
    "hi": [(before, after) for before, after in _nfc_rows(_HINDI_FRAMES, "...")],
}
"""Language -> what stands before and after the list of objects."""


def concept_forms(languages: tuple[str, ...]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The true lexicon: concept -> language -> its word forms, nouns first."""
    lexicon = {
        noun.concept: {language: tuple(form.text for form in noun.forms[language]) for language in languages}
        for noun in NOUNS
    }
    lexicon.update({c.concept: {language: c.forms(language) for language in languages} for c in COLOURS})
    return lexicon
