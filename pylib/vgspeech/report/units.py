"""The section on units: discrete codes of each language, and which of them detect words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vgspeech.files import read_json
from vgspeech.report.html import Section, facts, language_name, missing, spoken, table, text
from vgspeech.tables import read_rows

TITLE = "Units that detect words"
SHOWN = 12
NOTE = (
    "The frames of each language are grouped into discrete codes, without text. A code detects a word when it is "
    "active during that word (R, recall) and hardly elsewhere (P, precision); F1 weighs both. Below, the best codes."
)


def units_section(folders: Mapping[str, Path]) -> Section:
    """Word detectors of every language.

    Args:
        folders: split to its ``units/`` folder; splits without one are left out.
    """
    parts = []
    for split, folder in folders.items():
        languages = sorted(path for path in folder.glob("*") if (path / "codes.json").exists())
        if languages:
            blocks = "".join(f"<div>{_language(path)}</div>" for path in languages)
            parts.append(f'<h3>{text(split)}</h3><div class="pair">{blocks}</div>')
    if not parts:
        return Section("units", TITLE, missing("No units: run stage 8."))
    return Section("units", TITLE, f'<p class="note">{NOTE}</p>{"".join(parts)}')


def _language(folder: Path) -> str:
    """One language's codes and its best detectors."""
    about = read_json(folder / "codes.json")
    items = [("language", text(language_name(folder.name)))]
    items.append(("codes", text(f"{about['num_codes']} ({about['method']} of layer {about['layer']})")))
    if not (folder / "word_detectors.tsv").exists():
        return facts(items) + missing("No word detectors: they need word times (ctm).")
    scores = read_json(folder / "scores.json")
    items.append(("words with F1 of 50 or more", text(scores["words_with_f1_at_least_0.5"])))
    items.append((f"mean F1, best {scores['top_words']} words", text(f"{100 * scores['mean_f1_of_top_words']:.1f}")))
    rows = [
        [spoken(row["word"], folder.name), *(text(row[key]) for key in ("code", "F1", "P", "R", "occ"))]
        for row in read_rows(folder / "word_detectors.tsv")[:SHOWN]
    ]
    return facts(items) + table(["word", "code", "F1", "P", "R", "tokens"], rows)
