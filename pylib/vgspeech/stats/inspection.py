"""Inspect speech sets: every recording is decoded once and measured, copies are looked for, the worst cases are named.

Recordings whose speakers did not agree to be shown are measured and counted like all others, and never named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.corpora.headers import map_files
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.progress import track
from vgspeech.stats.copies import same_sound, similar_text
from vgspeech.stats.sounds import Sound, listen

WORST = 4
"""Examples of every kind of bad recording."""
UNNAMED = "(may not be shown)"
"""Stands for a recording that may not be named."""
LOUDNESS_STEP_DB = 3
KINDS: dict[str, tuple[str, Callable[[Sound], float], float, str]] = {
    "clipped": ("Most clipped", lambda sound: sound.clipped, 1e-4, "clipped: one sample in 10,000 or more"),
    "silent": ("Most silence", lambda sound: sound.silent, 0.5, ""),
    "quiet": ("Quietest", lambda sound: -sound.loudness_db, 35.0, "quiet: -35 dBFS or less"),
    "loud": ("Loudest", lambda sound: sound.loudness_db, -9.0, "loud: -9 dBFS or more"),
    "long": ("Longest", lambda sound: sound.duration_s, 20.0, "long: 20 s or more"),
    "short": ("Shortest", lambda sound: -sound.duration_s, -0.5, "short: half a second or less"),
}
"""kind -> (its name, how bad a recording is, from where on it counts as bad, the same in words where a column counts them)"""


def find_sets(data: Path) -> list[Path]:
    """Speech sets: the folder itself, or those of a corpus.

    Raises:
        DataError: there are none.
    """
    if (data / "wav.scp").exists():
        return [data]
    found = sorted(path.parent for path in (data / "speech").glob("*/wav.scp"))
    if not found:
        raise DataError("neither a speech set nor a corpus with speech/*", where=str(data), hint="prepare the data first")
    return found


def inspect(path: Path, jobs: int) -> tuple[SpeechSet, dict[str, Sound], dict[str, Any]]:
    """Inspect a speech set.

    Args:
        path: its folder.
        jobs: worker processes.

    Returns:
        The set, what each utterance sounds like, and the numbers that the page shows.
    """
    speech = SpeechSet.load(path)
    if any(location.endswith("|") for location in speech.wav.values()):
        raise DataError("wav.scp has commands, which are not run here", where=str(path / "wav.scp"))
    places = [speech.audio_location(utterance) for utterance in speech.ids]
    heard = track(map_files(listen, places, jobs), len(places), path.name, "recordings")
    sounds = dict(zip(speech.ids, heard, strict=True))
    good = {utterance: sound for utterance, sound in sounds.items() if not sound.problem}
    return speech, sounds, _numbers(speech, sounds, good)


def _numbers(speech: SpeechSet, sounds: dict[str, Sound], good: dict[str, Sound]) -> dict[str, Any]:
    shown = {utterance: sound for utterance, sound in good.items() if speech.may_share(utterance)}
    unreadable = {utterance: sound.problem for utterance, sound in sounds.items() if sound.problem}
    speakers = Counter(speech.utt2spk.values())
    named = {speaker for utterance, speaker in speech.utt2spk.items() if speech.may_share(utterance)}
    copies = same_sound({utterance: sound.digest for utterance, sound in good.items()})
    # Several captions of one image are often alike; what is worth a look is one sentence said of different images.
    alike = [group for group in similar_text(speech.text) if len({speech.utt2image[u] for u in group}) > 1]
    return {
        "language": next(iter(speech.utt2lang.values()), ""),
        "utterances": len(speech),
        "unnamed": sum(not speech.may_share(utterance) for utterance in speech.ids),
        "speakers": len(speakers),
        "images": len(set(speech.utt2image.values())),
        "hours": sum(sound.duration_s for sound in good.values()) / 3600,
        "not_readable": len(unreadable),
        "unreadable": {utt: problem for utt, problem in unreadable.items() if speech.may_share(utt)},
        "rates": dict(sorted(Counter(str(sound.rate) for sound in good.values()).items())),
        "channels": dict(sorted(Counter(str(sound.channels) for sound in good.values()).items())),
        "duration_s": _summary([sound.duration_s for sound in good.values()]),
        "loudness_db": _summary([sound.loudness_db for sound in good.values()]),
        "silent": _summary([sound.silent for sound in good.values()]),
        "bad": {kind: sum(bad(sound) >= limit for sound in good.values()) for kind, (_, bad, limit, _) in KINDS.items()},
        "worst": {kind: _worst(shown, bad, limit) for kind, (_, bad, limit, _) in KINDS.items()},
        "same_sound": _named(copies, speech),
        "nearly_the_same_words": _named(alike, speech),
        "most_captions_of_a_speaker": max(speakers.values(), default=0),
        "captions_a_speaker": {speaker: count for speaker, count in speakers.most_common() if speaker in named},
        "histograms": {
            "duration_s": _histogram([sound.duration_s for sound in good.values()], 1.0, 0, 30),
            "loudness_db": _histogram([sound.loudness_db for sound in good.values()], LOUDNESS_STEP_DB, -25, 0),
            "silent": _histogram([sound.silent for sound in good.values()], 0.05, 0, 19),
        },
    }


def _named(groups: Sequence[Sequence[str]], speech: SpeechSet) -> list[list[str]]:
    """Groups with those recordings named, first, that may be."""
    every = (([utt for utt in group if speech.may_share(utt)], len(group)) for group in groups)
    return [[*names, *[UNNAMED] * (size - len(names))] for names, size in every]


def _worst(good: dict[str, Sound], bad: Callable[[Sound], float], limit: float) -> list[str]:
    found = [(bad(sound), utterance) for utterance, sound in good.items() if bad(sound) >= limit]
    return [utterance for _, utterance in sorted(found, key=lambda one: (-one[0], one[1]))[:WORST]]


def _summary(values: Sequence[float]) -> dict[str, float] | None:
    """Extremes, median and percentiles; None without a finite value."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not len(finite):
        return None
    p5, median, p95 = np.percentile(finite, [5, 50, 95])
    named = {"min": finite.min(), "p5": p5, "median": median, "p95": p95, "max": finite.max()}
    return {name: round(float(value), 4) for name, value in named.items()}


def _histogram(values: Sequence[float], step: float, lowest: int, highest: int) -> dict[str, int]:
    """bin -> how many; what lies outside is in the first or last one."""
    bins = (lowest if value == -math.inf else math.floor(value / step + 1e-9) for value in values)
    return {str(key): n for key, n in sorted(Counter(min(max(key, lowest), highest) for key in bins).items())}
