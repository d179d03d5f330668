"""The picture dictionary: words of two languages that the model linked, with pictures, recordings and evidence.

For every link the best peaks are shown (``exemplars.tsv``): the part of the image that both captions light up, and the
stretch of both recordings, of several speakers. Where word times exist the words are shown too; they were not used.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vgspeech.files import read_json
from vgspeech.plots import encode_image
from vgspeech.report.assets import Assets
from vgspeech.report.exemplars import Exemplars
from vgspeech.report.html import Section, language_name, missing, spoken, text
from vgspeech.report.inputs import ReportInput
from vgspeech.tables import Row, read_rows

TITLE = "Picture dictionary"
LINKS_SHOWN = 200
PICTURES, CLIPS = 4, 4


def dictionary_sections(source: ReportInput, assets: Assets) -> list[Section]:
    """One section for every pair of languages; one that says what is missing when there is none."""
    folders = sorted(path.parent for path in (source.results / "lexicon" / source.corpus).glob("*/lexicon.tsv"))
    if not folders:
        need = "run stage 9" if len(source.config.languages) > 1 else "it needs a model of two languages"
        return [Section("dictionary", TITLE, missing(f"No picture dictionary: {need}."))]
    if len(folders) == 1:
        return [Section("dictionary", TITLE, _dictionary(folders[0], source, assets))]
    return [
        Section(f"dictionary-{folder.name}", f"{TITLE} {folder.name}", _dictionary(folder, source, assets))
        for folder in folders
    ]


def _dictionary(folder: Path, source: ReportInput, assets: Assets) -> str:
    scores = read_json(folder / "scores.json")
    languages = [str(lang) for lang in scores["languages"]]
    warnings = "".join(missing(warning) for warning in scores.get("warnings", []))
    links, by_rank = read_rows(folder / "lexicon.tsv"), _by_rank(read_rows(folder / "exemplars.tsv"))
    if not by_rank:
        return warnings + missing("No links were found between the two languages.")
    exemplars = Exemplars.open(source, languages, next(iter(by_rank.values()))[0])
    entries = [
        _entry(link, [row for row in by_rank.get(link["rank"], []) if exemplars.may_show(row)], exemplars, assets)
        for link in links[:LINKS_SHOWN]
    ]
    more = f" The first {LINKS_SHOWN} of {len(links)} links are shown." if len(links) > LINKS_SHOWN else ""
    return (
        f'<div class="dictionary"><p class="note">{_summary(scores, languages)}{more}</p>{warnings}'
        f'{_tools(links[0])}<div class="entries">{"".join(entries)}</div></div>'
    )


def _by_rank(rows: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["rank"], []).append(row)
    return grouped


def _entry(link: Row, rows: Sequence[Row], exemplars: Exemplars, assets: Assets) -> str:
    """One link as a row of the dictionary."""
    of_image: dict[str, Row] = {}
    for row in rows:
        of_image.setdefault(row["image"], row)
    crops = []
    for image, row in list(of_image.items())[:PICTURES]:
        file = assets.add(encode_image(exemplars.crop(row), "jpeg"), ".jpg")
        crops.append(f'<img loading="lazy" alt="" title="{text(image)}" src="{file}">')
    words = unicodedata.normalize("NFC", " ".join(link.get(key, "") for key in ("words_a", "words_b", "concept")))
    sides = "".join(_side(side, link, rows, exemplars, assets) for side in "ab")
    return f"""
<article class="entry" data-words="{text(words.lower())}" data-rank="{text(link["rank"])}" data-q="{text(link["q"])}"
 data-count="-{text(link["n_ab"])}" data-sure="{"1" if link["significant"] == "yes" else "0"}">
<span class="rank">{text(link["rank"])}</span><div class="crops">{"".join(crops)}</div>
{sides}{_evidence(link)}</article>"""


def _side(side: str, link: Row, rows: Sequence[Row], exemplars: Exemplars, assets: Assets) -> str:
    """One language of a link: its word if known, and clips, those of different captions."""
    lang = exemplars.languages["ab".index(side)]
    cluster = f"cluster {text(link[f'cluster_{lang}'])}"
    name, also = f'<span class="none">{cluster}</span>', f"{text(link[f'n_{side}'])} peaks"
    if f"words_{side}" in link:
        name = spoken(link[f"words_{side}"], lang)
        also = f"{100 * float(link[f'purity_{side}']):.0f} % of {also}, {cluster}"
    clips: dict[str, str] = {}
    for row in rows:
        utt = row[f"utt_{side}"]
        if len(clips) == CLIPS or utt in clips:
            continue
        wave = exemplars.clip(side, row)
        if wave is not None and len(wave):
            stretch = f"{float(row[f'start_{side}']):.2f} to {float(row[f'end_{side}']):.2f} s"
            tip = text(f"{utt}, {stretch}, speaker {row[f'speaker_{side}']}")
            file = assets.add_sound(wave)
            clips[utt] = f'<button class="play clip" data-src="{file}" title="{tip}" aria-label="play {tip}"></button>'
    return (
        f'<div class="side side-{side}"><h4>{text(language_name(lang))}</h4><div class="name">{name}</div>'
        f'<p class="also">{also}</p><div class="clips">{"".join(clips.values())}</div></div>'
    )


def _evidence(link: Row) -> str:
    """Scores and significance of a link and, where a dictionary is known, whether it is right."""
    items = [
        ("peaks together", text(link["n_ab"])),
        ("Dice", text(link["dice"])),
        ("cosine", text(link["cosine"])),
        ("p", text(link["p"])),
        ("q", text(link["q"])),
    ]
    if link["significant"] != "yes":
        items.append(("not significant", ""))
    if link.get("right") == "yes":
        items.append(("dictionary", f'<span class="right">right: {text(link["concept"])}</span>'))
    elif "right" in link:
        items.append(("dictionary", '<span class="wrong">wrong</span>'))
    lines = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in items)
    return f'<dl class="evidence">{lines}</dl>'


def _tools(link: Row) -> str:
    """Filter and order of the entries; words only where they are known."""
    known = "words_a" in link
    search = '<label>Find <input type="search" aria-label="find a word"></label>' if known else ""
    by_word = '<option value="words">word</option>' if known else ""
    return (
        f'<div class="tools">{search}<label>Order by <select><option value="rank">score</option>'
        f'<option value="q">evidence (q)</option><option value="count">peaks together</option>'
        f"{by_word}</select></label>"
        '<label><input type="checkbox"> significant only</label><output></output></div>'
    )


def _summary(scores: Mapping[str, Any], languages: Sequence[str]) -> str:
    """What was found and, where the truth is known, how much of it is right."""
    a, b = (text(language_name(lang)) for lang in languages)
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
    right, concepts, same = truth["links_right"]["all"], truth["concepts"], truth["same_concept"]
    return (
        f"{found} By the dictionary {right['right']} of {right['of']} links are right and {concepts['found']} of "
        f"{concepts['of']} concepts are found; {100 * same['rate']:.1f} % of the peaks join words for the same thing "
        f"(chance {100 * same['chance']:.1f} %)."
    )
