"""The report of one model: which parts there are, and the page around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.report.assets import Assets
from vgspeech.report.document import SILENT, SYNTHETIC, document, heading
from vgspeech.report.html import Section, language_name, text
from vgspeech.report.inputs import ReportInput, read_metrics
from vgspeech.report.localisation import localisation_section
from vgspeech.report.matchmaps import matchmap_section
from vgspeech.report.picture_dictionary import dictionary_sections
from vgspeech.report.retrieval import retrieval_section
from vgspeech.report.training import training_section
from vgspeech.report.units import units_section

OFFLINE = (
    "Nothing on this page needs a network. Text and word times, where they are shown, served evaluation only; training "
    "never saw them."
)


def make_report(source: ReportInput, out: Path) -> tuple[list[Path], list[str]]:
    """Write ``index.html`` (and ``assets/`` when it would be larger than 30 MB).

    Args:
        source: what to report on.
        out: the report's folder.

    Returns:
        The files written, the page last, and the titles of the sections.

    Raises:
        DataError: the model directory does not exist, or a file in it is damaged.
    """
    if not (source.model / "config.yaml").exists():
        raise DataError("not a model directory: config.yaml is missing", where=str(source.model), hint="train first")
    assets = Assets()
    results = source.each_split("retrieval/results.json")
    localisation = source.each_split("matchmaps/localisation.json")
    sections = [
        training_section(source.config, source.model, source.data, read_metrics(source.model / "metrics.jsonl")),
        retrieval_section(results, source.each_split("retrieval/baselines.json")),
        matchmap_section(source, assets),
        localisation_section(localisation),
        units_section({split: source.eval_folder(split) / "units" for split in source.eval_splits()}),
        *dictionary_sections(source, assets),
    ]
    page = _page(source, sections, _glance(results, localisation, source))
    return assets.write_page(page, out / "index.html"), [section.title for section in sections]


def _glance(results: Mapping[str, Any], localisation: Mapping[str, Any], source: ReportInput) -> str:
    """The few numbers at the top, of the first split; those that do not exist are left out."""
    items = []
    for split, result in list(results.items())[:1]:
        mean, count = result["mean"], len(result["directions"])
        items.append((f"{100 * mean['r10']:.1f} %", f"recall at 10 ({split}, mean of {count} directions)"))
        items.append((f"{100 * mean['r1']:.1f} %", "recall at 1"))
    for scores in list(localisation.values())[:1]:
        found = (score.get("noun_in_box", {}).get("accuracy") for score in scores["languages"].values())
        rates = [rate for rate in found if rate is not None]
        if rates:
            items.append((f"{100 * sum(rates) / len(rates):.1f} %", "of nouns look at their object"))
    for path in sorted((source.results / "lexicon" / source.corpus).glob("*/scores.json")):
        scores = read_json(path)
        tags = " – ".join(scores["languages"])
        if "links" in scores:
            items.append((str(scores["links"]["significant"]), f"words linked, {tags}"))
        else:
            items.append((str(scores["words"]["significant"]), f"word clusters with evidence, {tags}"))
    return "".join(f"<li><b>{text(value)}</b><span>{text(label)}</span></li>" for value, label in items)


def _page(source: ReportInput, sections: list[Section], glance: str) -> str:
    """The whole document, with marks where files go."""
    name = source.model.resolve().name
    languages = " and ".join(language_name(lang) for lang in source.config.languages)
    about = f"Words learnt from pictures and speech in {languages}, without transcripts ·\ncorpus {source.corpus}"
    header = [heading("vgspeech report", name, text(about)), SYNTHETIC if source.synthetic else ""]
    header.append(f'<ul class="glance">{glance}</ul>')
    return document(name, "\n".join(header), sections, f"{'' if source.audio else SILENT}<p>{OFFLINE}</p>")
