"""The page of an inspection: tables, histograms, copies, and the worst recordings to listen to. One file, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import Any

import soundfile

from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.stats.inspection import KINDS, LOUDNESS_STEP_DB
from vgspeech.stats.page_parts import STYLE, cards, figure, table, whole
from vgspeech.stats.sounds import Sound
from vgspeech.waves import read_wave

PLAYED_S = 8.0
"""Longer recordings are cut in the page."""
SHOWN_GROUPS = 12
_RATE = 16000
_PLAYER = """
p.note { margin-top: 12px; }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); gap: 12px; }
.worst .panel { padding: 10px 14px; } .worst p { margin: 0 0 6px; font-size: 13px; overflow-wrap: anywhere; }
.worst audio { width: 100%; height: 34px; } .worst small { color: var(--soft); display: block; }
ul.copies { margin: 0; padding: 10px 30px; font-size: 13px; overflow-wrap: anywhere; } ul.copies b { font-weight: 600; }
"""

_LIMITS = (
    "Length, loudness and silence: the median, and from where to where nine in ten lie. The other columns count recordings: "
    + ", ".join(said for _, _, _, said in KINDS.values() if said)
    + "."
)

Inspected = Mapping[str, tuple[SpeechSet, Mapping[str, Sound], Mapping[str, Any]]]


def inspection_page(name: str, sets: Inspected, audio: bool) -> str:
    """The page as HTML text.

    Args:
        name: what is inspected.
        sets: set name -> what ``inspection.inspect`` returned.
        audio: whether recordings are in it; those whose speakers did not agree are neither heard nor named.
    """
    numbers = {key: one for key, (_, _, one) in sets.items()}
    body = "".join(f"<h2>{title}</h2>{part}" for title, part in _parts(sets, numbers, audio) if part)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inspection: {escape(name)}</title><style>{STYLE}{_PLAYER}</style></head><body><main>
<h1>Inspection: {escape(name)}</h1>
{_cards(numbers)}
{body}
</main></body></html>
"""


def _parts(sets: Inspected, numbers: Mapping[str, Any], audio: bool) -> list[tuple[str, str]]:
    return [
        ("Sets", _set_table(numbers)),
        ("Sound", _sound_table(numbers)),
        ("Distributions", f'<div class="two">{"".join(_figures(numbers))}</div>'),
        ("Worst recordings", "".join(_worst(sets, audio))),
        ("The same sound", _groups(sets, "same_sound")),
        ("Nearly the same words, of different images", _groups(sets, "nearly_the_same_words")),
        ("Not readable", _unreadable(numbers)),
    ]


def _cards(numbers: Mapping[str, Any]) -> str:
    every = numbers.values()
    items = [(whole(sum(one["utterances"] for one in every)), "captions")]
    items += [(f"{sum(one['hours'] for one in every):,.1f}", "hours")]
    items += [(whole(sum(one["bad"]["clipped"] for one in every)), "clipped")]
    items += [(whole(sum(one["bad"]["quiet"] for one in every)), "very quiet")]
    items += [(whole(sum(len(group) - 1 for one in every for group in one["same_sound"])), "copies")]
    items += [(whole(sum(one["not_readable"] for one in every)), "not readable")]
    unnamed = sum(one["unnamed"] for one in every)
    items += [(whole(unnamed), "may not be shown")] if unnamed else []
    return cards(items)


def _set_table(numbers: Mapping[str, Any]) -> str:
    header = ["set", "language", "captions", "speakers", "images", "hours", "most of one speaker", "copies", "not readable"]
    rows = []
    for name, one in numbers.items():
        copies = sum(len(group) - 1 for group in one["same_sound"])
        cells = [escape(name), escape(one["language"]), *(whole(one[key]) for key in ("utterances", "speakers", "images"))]
        counts = (one["most_captions_of_a_speaker"], copies, one["not_readable"])
        rows.append([*cells, f"{one['hours']:.2f}", *map(whole, counts)])
    return table(header, rows)


def _sound_table(numbers: Mapping[str, Any]) -> str:
    header = ["set", "rates (Hz)", "channels", "length", "loudness (dBFS)", "silence", "long", "short", "loud", "quiet"]
    rows = []
    for name, one in numbers.items():
        rates, channels = (", ".join(f"{key} ({whole(n)})" for key, n in one[what].items()) for what in ("rates", "channels"))
        seconds, loudness = _range(one["duration_s"], 1, " s"), _range(one["loudness_db"], 0, "")
        silence = _range(one["silent"], 0, " %", 100)
        bad = [whole(one["bad"][kind]) for kind in ("long", "short", "loud", "quiet")]
        rows.append([escape(name), rates, channels, seconds, loudness, silence, *bad, whole(one["bad"]["clipped"])])
    return table([*header, "clipped"], rows) + f'<p class="note">{_LIMITS}</p>'


def _range(summary: Mapping[str, float] | None, digits: int, unit: str, factor: float = 1) -> str:
    """Median, and where 90 % lie."""
    if summary is None:
        return "–"
    low, middle, high = (f"{factor * summary[key]:.{digits}f}" for key in ("p5", "median", "p95"))
    return f"{middle}{unit} ({low} to {high})"


def _figures(numbers: Mapping[str, Any]) -> list[str]:
    wanted = [
        ("duration_s", "Length in seconds (the last bar: 30 s and more)", 1.0),
        ("loudness_db", "Loudness of what is not silent, dB below full scale", LOUDNESS_STEP_DB),
        ("silent", "Fraction of silence", 0.05),
    ]
    drawn = []
    for key, caption, unit in wanted:
        series: dict[str, dict[int, int]] = {}
        for one in numbers.values():
            bins = series.setdefault(one["language"], {})
            for at, count in one["histograms"][key].items():
                bins[int(at)] = bins.get(int(at), 0) + count
        if any(series.values()):
            drawn.append(figure({name: bins for name, bins in series.items() if bins}, caption, 0.5, unit))
    return drawn


def _worst(sets: Inspected, audio: bool) -> list[str]:
    drawn = []
    for kind, (title, _, _, _) in KINDS.items():
        panels = [
            _panel(name, speech, utterance, sounds[utterance], audio)
            for name, (speech, sounds, one) in sets.items()
            for utterance in one["worst"][kind]
        ]
        if panels:
            drawn.append(f'<p class="note">{title}</p><div class="worst">{"".join(panels)}</div>')
    return drawn


def _panel(name: str, speech: SpeechSet, utterance: str, sound: Sound, audio: bool) -> str:
    facts = f"{sound.duration_s:.1f} s, {sound.loudness_db:.0f} dBFS"
    facts += f", {100 * sound.clipped:.2f} % clipped, {100 * sound.silent:.0f} % silent"
    text = f"<p>{escape(speech.text[utterance])}</p>" if speech.text.get(utterance) else ""
    return (
        f'<div class="panel"><p><b>{escape(utterance)}</b><small>{escape(name)}: {facts}</small></p>{text}'
        f"{_player(speech, utterance, audio)}</div>"
    )


def _player(speech: SpeechSet, utterance: str, audio: bool) -> str:
    if not audio:
        return "<small>the recording is not in this page</small>"
    location, start_s, end_s = speech.audio_location(utterance)
    try:
        wave = read_wave(location, _RATE, start_s, end_s)[: round(PLAYED_S * _RATE)]
    except DataError as error:
        return f"<small>{escape(error.what)}</small>"
    stream = io.BytesIO()
    soundfile.write(stream, wave, _RATE, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'


def _groups(sets: Inspected, key: str) -> str:
    lines = []
    for name, (speech, _, one) in sets.items():
        for group in one[key]:
            said = speech.text.get(group[0], "")
            shown = ", ".join(map(escape, group[:4])) + (f" and {len(group) - 4} more" if len(group) > 4 else "")
            lines.append(f"<li><b>{escape(name)}</b>: {shown}{f' – {escape(said[:120])}' if said else ''}</li>")
    if not lines:
        return ""
    more = f"<li>and {len(lines) - SHOWN_GROUPS} more groups (inspect.json)</li>" if len(lines) > SHOWN_GROUPS else ""
    return f'<div class="panel"><ul class="copies">{"".join(lines[:SHOWN_GROUPS])}{more}</ul></div>'


def _unreadable(numbers: Mapping[str, Any]) -> str:
    lines = [
        f"<li><b>{escape(name)}</b>: {escape(utterance)}: {escape(problem)}</li>"
        for name, one in numbers.items()
        for utterance, problem in one["unreadable"].items()
    ]
    return f'<div class="panel"><ul class="copies">{"".join(lines[:50])}</ul></div>' if lines else ""
