"""Small pieces of HTML. Every text from data goes through ``text``; only tags written here are tags."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LANGUAGE_NAMES = {
    "ar": "Arabic",
    "bam": "Bambara",
    "bn": "Bengali",
    "cy": "Welsh",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "gu": "Gujarati",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "mr": "Marathi",
    "nl": "Dutch",
    "pt": "Portuguese",
    "ru": "Russian",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "tr": "Turkish",
    "ur": "Urdu",
    "yo": "Yoruba",
    "zh": "Chinese",
}
NOTHING = '<span class="none">–</span>'


def text(value: object) -> str:
    """A value as HTML text, also safe inside double-quoted attributes; control characters become blanks."""
    clean = "".join(c if c >= " " else " " for c in str(value))
    return html.escape(clean, quote=True)


def language_name(tag: str) -> str:
    """A language's English name, or its tag."""
    return LANGUAGE_NAMES.get(tag, tag)


def spoken(value: object, lang: str) -> str:
    """A word or sentence of a language, marked as such for fonts, hyphenation and screen readers."""
    return f'<span class="said" lang="{text(lang)}">{text(value)}</span>'


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage without the sign, or a dash."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}"


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def count(value: float | int) -> str:
    """A whole number with thin spaces between groups of three digits."""
    return f"{int(value):,}".replace(",", "&#8239;")


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3.5 min, 4.3 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table from HTML cells; the first column is text, the others are numbers."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        "<tr>" + f'<th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(items: Iterable[tuple[str, str]]) -> str:
    """A list of facts: label and HTML value."""
    return "<dl>" + "".join(f"<div><dt>{text(label)}</dt><dd>{value}</dd></div>" for label, value in items) + "</dl>"


def missing(sentence: str) -> str:
    """One line that says what is not there, and how to get it."""
    return f'<p class="missing">{text(sentence)}</p>'


@dataclass(frozen=True)
class Section:
    """A part of the page: anchor, heading, and its HTML."""

    anchor: str
    title: str
    body: str

    def html(self) -> str:
        """The section's element."""
        return f'<section id="{text(self.anchor)}"><h2>{text(self.title)}</h2>{self.body}</section>'
