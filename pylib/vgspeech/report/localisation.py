"""The section on localisation: do words look at what they name?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgspeech.report.html import Section, count, language_name, missing, percent, table, text

TITLE = "Do words look at what they name?"
NOTE = (
    "In percent. <i>Best cell in object</i>: the frames of a noun are averaged; is the image cell that they match best "
    "inside the object's box? Random weights do better than chance, because random features already tell objects from "
    "background, so compare with the untrained model. <i>Top frame</i>: the strongest frame of a caption, found "
    "without word times; is it inside a noun or colour, and is its best cell inside what that word names?"
)
HEAD = (
    *("language", "nouns", "best cell in object", "untrained", "chance"),
    *("top frame in such a word", "chance", "its cell in object", "chance"),
)


def localisation_section(results: Mapping[str, Mapping[str, Any]]) -> Section:
    """One table a split.

    Args:
        results: split to ``localisation.json``.
    """
    tables, reasons = [], set()
    for split, result in results.items():
        reasons.add(str(result.get("missing", "")))
        rows = []
        for lang, scores in result["languages"].items():
            if "noun_in_box" in scores:
                rows.append(_row(lang, scores))
            reasons.add(str(scores.get("missing", "")))
        if rows:
            tables.append(f"<h3>{text(split)}</h3>{table(HEAD, rows)}")
    if not tables:
        why = "; ".join(sorted(reasons - {""})) or "run stage 7; it needs object boxes and word times"
        return Section("localisation", TITLE, missing(f"Not scored: {why}."))
    return Section("localisation", TITLE, f'<p class="note">{NOTE}</p>{"".join(tables)}')


def _row(lang: str, scores: Mapping[str, Any]) -> list[str]:
    nouns, top = scores["noun_in_box"], scores.get("top_frame", {})
    return [
        text(language_name(lang)),
        count(nouns["nouns"]),
        f"<b>{percent(nouns['accuracy'])}</b>",
        percent(nouns.get("untrained")),
        percent(nouns["chance"]),
        f"<b>{percent(top.get('in_content_word'))}</b>",
        percent(top.get("content_word_share")),
        f"<b>{percent(top.get('in_box'))}</b>",
        percent(top.get("in_box_chance")),
    ]
