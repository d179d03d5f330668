"""The picture dictionary: words of two languages that the model linked, with pictures, recordings and evidence; of a single
language, its word clusters.

For every link or cluster the best peaks are shown (``exemplars.tsv``): the part of the image that the peak looks at, and the
stretch of the recordings, of several speakers. Where word times exist the words are shown too; they were not used.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from vgspeech.files import read_json
from vgspeech.plots import encode_image
from vgspeech.report.assets import Assets
from vgspeech.report.dictionary_summary import summary
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
        return [Section("dictionary", TITLE, missing("No picture dictionary: run stage 9."))]
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
        none = "links were found between the two languages" if len(languages) > 1 else "word clusters were found"
        return warnings + missing(f"No {none}.")
    exemplars = Exemplars.open(source, languages, next(iter(by_rank.values()))[0])
    entries = [
        _entry(link, [row for row in by_rank.get(link["rank"], []) if exemplars.may_show(row)], exemplars, assets)
        for link in links[:LINKS_SHOWN]
    ]
    kind = "links" if len(languages) > 1 else "word clusters"
    more = f" The first {LINKS_SHOWN} of {len(links)} {kind} are shown." if len(links) > LINKS_SHOWN else ""
    return (
        f'<div class="dictionary"><p class="note">{summary(scores)}{more}</p>{warnings}'
        f'{_tools(links[0])}<div class="entries">{"".join(entries)}</div></div>'
    )


def _by_rank(rows: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["rank"], []).append(row)
    return grouped


def _entry(link: Row, rows: Sequence[Row], exemplars: Exemplars, assets: Assets) -> str:
    """One link or cluster as a row of the dictionary."""
    of_image: dict[str, Row] = {}
    for row in rows:
        of_image.setdefault(row["image"], row)
    crops = []
    for image, row in list(of_image.items())[:PICTURES]:
        file = assets.add(encode_image(exemplars.crop(row), "jpeg"), ".jpg")
        crops.append(f'<img loading="lazy" alt="" title="{text(image)}" src="{file}">')
    words = unicodedata.normalize("NFC", " ".join(link.get(key, "") for key in ("words_a", "words_b", "concept")))
    languages = exemplars.languages
    sides = "".join(_side(side, link, rows, exemplars, assets) for side in "ab"[: len(languages)])
    kind = "entry" if len(languages) > 1 else "entry single"
    return f"""
<article class="{kind}" data-words="{text(words.lower())}" data-rank="{text(link["rank"])}" data-q="{text(link["q"])}"
 data-count="-{text(_together(link))}" data-sure="{"1" if link["significant"] == "yes" else "0"}">
<span class="rank">{text(link["rank"])}</span><div class="crops">{"".join(crops)}</div>
{sides}{_evidence(link)}</article>"""


def _together(link: Row) -> str:
    """How often both sides say it: peaks of a link, pairs of images of a cluster."""
    return link["n_ab"] if "n_ab" in link else link["both"]


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
    """Scores and significance of a link or cluster and, where a dictionary is known, whether it is right."""
    columns = {"peaks together": "n_ab", "Dice": "dice", "cosine": "cosine"}
    columns |= {"pairs of images with it": "both", "expected by chance": "expected", "speakers": "speakers"}
    items = [(label, text(link[name])) for label, name in columns.items() if name in link]
    items += [("p", text(link["p"])), ("q", text(link["q"]))]
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
    count = "peaks together" if "n_ab" in link else "pairs of images"
    return (
        f'<div class="tools">{search}<label>Order by <select><option value="rank">score</option>'
        f'<option value="q">evidence (q)</option><option value="count">{count}</option>'
        f"{by_word}</select></label>"
        '<label><input type="checkbox"> significant only</label><output></output></div>'
    )
