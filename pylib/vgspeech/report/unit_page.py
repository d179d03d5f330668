"""The page of units: layers or models side by side, their detectors to listen to, and captions over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.report.assets import Assets
from vgspeech.report.document import SILENT, document, heading
from vgspeech.report.html import NOTHING, Section, facts, language_name, missing, percent, spoken, table, text
from vgspeech.report.inputs import ReportInput
from vgspeech.report.timelines import timeline
from vgspeech.report.unit_source import UnitFolder

DETECTORS, CLIPS, WORDS, CAPTIONS = 25, 3, 60, 3
CLIP_MARGIN_S = 0.12


def make_unit_page(source: ReportInput, split: str, language: str, folders: Sequence[UnitFolder], out: Path) -> Path:
    """Write ``index.html`` (and ``assets/`` when it would be larger than 30 MB).

    Args:
        source: the model, its corpus, and whether recordings may be in the page.
        split, language: of the speech set that the codes are of.
        folders: the units, in the order of the page.
        out: the page's folder.

    Raises:
        DataError: there is no such speech set, or a folder holds no codes.
    """
    speech = source.speech(split, language)
    if speech is None:
        raise DataError("no such speech set", where=str(source.data / "speech" / f"{split}_{language}"))
    assets = Assets()
    sections = [
        Section("overview", "Side by side", _overview(folders)),
        Section("time", "Over time", _captions(source, split, language, speech, folders, assets)),
        Section("words", "Words by their best detector", _words(folders, language)),
        *(_detectors(source, split, language, speech, folder, i, assets) for i, folder in enumerate(folders)),
    ]
    title = f"{source.corpus}, {split}, {language_name(language)}"
    return assets.write_page(_document(title, sections, source.audio), out / "index.html")[-1]


def _overview(folders: Sequence[UnitFolder]) -> str:
    head = ["units", "layer", "ms a frame", "codes", "dead", "words with F1 ≥ 50", "mean F1 of the best"]
    head += ["phone boundary F1", "chance", "phone NMI", "word NMI"]
    rows = []
    for folder in folders:
        about, scores = folder.about, folder.scores
        phones, words = (folder.segmentation.get(kind) for kind in ("phones", "words"))
        boundary = [_boundary(phones[of]["segmentation"][0]) if phones else NOTHING for of in ("codes", "chance")]
        agreement = [percent(kind["codes"]["agreement"]["nmi_mean"]) if kind else NOTHING for kind in (phones, words)]
        rows.append([
            text(folder.name), text(f"{about['layer']} ({about['method']})"), text(f"{1000 * folder.clock.shift_s:g}"),
            text(about["num_codes"]), text(int((folder.frames_of_codes() == 0).sum())),
            text(scores["words_with_f1_at_least_0.5"]) if scores else NOTHING,
            percent(scores["mean_f1_of_top_words"]) if scores else NOTHING, *boundary, *agreement,
        ])  # fmt: skip
    tolerances = {row["tolerance_s"] for f in folders if "phones" in f.segmentation for row in
                  f.segmentation["phones"]["codes"]["segmentation"][:1]}  # fmt: skip
    named = (
        f" Boundaries count within {', '.join(f'{1000 * t:g}' for t in sorted(tolerances))} ms." if tolerances else ""
    )
    note = f"A dead code never occurs in this split. NMI is over the mean of both entropies, in percent.{named}"
    return f'<p class="note">{text(note)}</p>{table(head, rows)}'


def _boundary(row: dict[str, dict[str, float]]) -> str:
    return percent(row["boundary"]["f1"])


def _words(folders: Sequence[UnitFolder], language: str) -> str:
    """F1 of the best detector of every word, in every folder: which words one model has and another lacks."""
    found = [folder.words() for folder in folders]
    every = {word for words in found for word in words}
    if not every:
        return missing("No word detectors: they need word times (ctm), see steps/score_word_detectors.sh.")
    order = sorted(every, key=lambda word: (-max(words.get(word, (0.0, ""))[0] for words in found), word))[:WORDS]
    rows = [
        [spoken(word, language), *(f"{words[word][0]:.1f}" if word in words else NOTHING for words in found)]
        for word in order
    ]
    return (
        f'<p class="note">F1 in percent of the best code of each word; the first {len(order)} of {len(every)} words.</p>'
        + table(["word", *(text(folder.name) for folder in folders)], rows)
    )


def _captions(
    source: ReportInput, split: str, language: str, speech: SpeechSet, folders: Sequence[UnitFolder], assets: Assets
) -> str:
    """Some captions, chosen by their place in the list."""
    shown = [utt for utt in sorted(speech.utt2spk) if source.may_show(split, language, utt)]
    chosen = [shown[i] for i in np.linspace(0, len(shown) - 1, min(CAPTIONS, len(shown))).astype(int)]
    meanings = {
        folder.name: {int(row["code"]): row["word"] for row in folder.detectors if float(row["F1"]) >= 50}
        for folder in folders
    }
    parts = []
    for utt in chosen:
        wave = source.sound(split, language, utt)
        lanes = {folder.name: folder.stretches(utt) for folder in folders}
        picture = timeline(wave, float(speech.utt2dur[utt]), speech.ctm.get(utt, []), lanes, meanings)
        button = "" if wave is None else _clip(assets, wave, utt)
        parts.append(f'<div class="caption-units"><p class="id">{button} {text(utt)}</p>{picture}</div>')
    note = "One colour is one code within a lane. Point at a code for the word that it detects, where F1 is 50 or more."
    return f'<p class="note">{note}</p>{"".join(parts)}' if parts else missing("No caption may be shown.")


def _detectors(
    source: ReportInput,
    split: str,
    language: str,
    speech: SpeechSet,
    folder: UnitFolder,
    number: int,
    assets: Assets,
) -> Section:
    """The best detectors of one folder with stretches to listen to, and how often codes occur."""
    rows = folder.detectors[:DETECTORS]
    may_hear = {utt: who for utt, who in speech.utt2spk.items() if source.may_show(split, language, utt)}
    examples = folder.examples([int(row["code"]) for row in rows], may_hear, CLIPS if source.audio else 0)
    cells = []
    for row in rows:
        clips = []
        for one in examples[int(row["code"])]:
            wave = source.sound(split, language, one.utt, one.start_s - CLIP_MARGIN_S, one.end_s + CLIP_MARGIN_S)
            if wave is not None and len(wave):
                clips.append(_clip(assets, wave, f"{one.utt}, {one.start_s:.2f} to {one.end_s:.2f} s"))
        second = NOTHING if row["second_word"] == "-" else spoken(row["second_word"], language)
        numbers = (text(row[key]) for key in ("code", "F1", "P", "R", "occ"))
        cells.append([
            spoken(row["word"], language), *numbers, second, text(row["second_F1"]),
            f'<span class="clips">{"".join(clips)}</span>',
        ])  # fmt: skip
    body = _activity(folder)
    if cells:
        body += table(["word", "code", "F1", "P", "R", "tokens", "second word", "F1", "listen"], cells)
    else:
        body += missing("No word detectors: they need word times (ctm), see steps/score_word_detectors.sh.")
    return Section(f"units-{number}", folder.name, body)


def _activity(folder: UnitFolder) -> str:
    """How evenly codes are used: a bar for each, the most frequent first."""
    counts = np.sort(folder.frames_of_codes())[::-1]
    total, used = max(int(counts.sum()), 1), int((counts > 0).sum())
    shares = counts[counts > 0] / total
    effective = float(np.exp(-(shares * np.log(shares)).sum()))
    width = 1000 / len(counts)
    bars = "".join(
        f'<rect x="{i * width:.2f}" y="{60 - 58 * c / counts[0]:.1f}" width="{width * 0.9:.2f}" '
        f'height="{58 * c / counts[0]:.1f}"/>'
        for i, c in enumerate(counts.tolist())
        if c
    )
    items = [("codes that occur", f"{used} of {len(counts)}"), ("dead codes", text(len(counts) - used))]
    items.append(("codes in effective use (perplexity)", f"{effective:.1f}"))
    chart = f'<svg class="activity" viewBox="0 0 1000 62" preserveAspectRatio="none" role="img">{bars}</svg>'
    return f"{facts(items)}{chart}<p class='fine'>Frames of every code, the most frequent first.</p>"


def _clip(assets: Assets, wave: np.ndarray, tip: str) -> str:
    file = assets.add_sound(wave)
    return f'<button class="play clip" data-src="{file}" title="{text(tip)}" aria-label="play {text(tip)}"></button>'


def _document(title: str, sections: Sequence[Section], audio: bool) -> str:
    footer = "<p>Words and phones served evaluation only; training never saw them.</p>"
    header = heading("vgspeech units", "Discrete units", text(title))
    return document(f"Units · {title}", header, sections, f"{'' if audio else SILENT}{footer}")
