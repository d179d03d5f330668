"""The sentences above a picture dictionary: what was found and, where the truth is known, how much of it is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgspeech.report.html import language_name, text


def summary(scores: Mapping[str, Any]) -> str:
    """HTML text for ``scores.json`` of a lexicon of two languages or of one."""
    languages = [text(language_name(tag)) for tag in scores["languages"]]
    return _two_languages(scores, *languages) if len(languages) > 1 else _one_language(scores, *languages)


def _two_languages(scores: Mapping[str, Any], a: str, b: str) -> str:
    links, images = scores["links"], scores["evidence"]["images"]
    found = (
        f"Where two captions of one image, one in {a} and one in {b}, are similar, they should say the same thing. "
        f"{scores['peaks']:,} such peaks in {scores['pairs']:,} pairs of captions were clustered in each language, and "
        f"clusters linked when each is the other's best: {links['all']} links. {links['significant']} of them are "
        f"significant: by a test over {images:,} images that does not use the similarity, both words occur together "
        "more often than chance allows (q is the false discovery rate)."
    )
    truth = scores.get("truth", {})
    if "links_right" not in truth:
        return found
    right, concepts = truth["links_right"]["all"], truth["concepts"]
    return (
        f"{found} By the dictionary {right['right']} of {right['of']} links are right and {concepts['found']} of "
        f"{concepts['of']} concepts are found; {_same_concept(truth)}"
    )


def _one_language(scores: Mapping[str, Any], language: str) -> str:
    words, images = scores["words"], scores["evidence"]["images"]
    alike = scores["settings"].get("captions_of") == "nearest"
    of = "of two images that look alike" if alike else "of one image, by two speakers,"
    tested = "pairs of images that look alike" if alike else "images, the speakers of each divided in two"
    found = (
        f"Where two captions {of} are similar, they should say the same thing. {scores['peaks']:,} such peaks in "
        f"{scores['pairs']:,} pairs of captions in {language} were clustered: {words['all']} word clusters. "
        f"{words['significant']} of them are significant: by a test over {images:,} {tested}, both sides say it more "
        "often than chance allows (q is the false discovery rate). That a cluster is said of like images does not make it "
        "the name of a thing: words that go with a kind of picture are found as well."
    )
    truth = scores.get("truth", {})
    if "words_right" not in truth:
        return found
    right, concepts = truth["words_right"], truth["concepts"]
    return (
        f"{found} By the dictionary {right['all']['right']} of {right['all']['of']} clusters stand for one of its words, of "
        f"the significant ones {right['significant']['right']} of {right['significant']['of']}; {concepts['found']} of "
        f"{concepts['of']} concepts are found; {_same_concept(truth)}"
    )


def _same_concept(truth: Mapping[str, Any]) -> str:
    same = truth["same_concept"]
    return (
        f"{100 * same['rate']:.1f} % of the peaks join words for the same thing (chance {100 * same['chance']:.1f} %)."
    )
