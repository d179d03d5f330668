"""Which captions to picture, and what there is to show of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgspeech.datadir import SpeechSet
from vgspeech.localize.boxes import View
from vgspeech.localize.inputs import EmbedDir
from vgspeech.localize.matchmaps import (
    FrameTimes,
    active_spans,
    choose_unrelated,
    span_map,
    subtracted_matchmap,
)

MAX_SPANS = 6
"""Active stretches shown of a caption without word times."""


@dataclass(frozen=True)
class Span:
    """A stretch of a caption and what it lights up: a word, or, without word times, an active stretch (no text)."""

    start_s: float
    end_s: float
    text: str | None
    grid: np.ndarray
    """Mean subtracted scores of its frames (H, W)."""


@dataclass(frozen=True)
class PicturedCaption:
    """All that a picture of one caption shows; ``matchmap`` is the subtracted one, (T, H, W)."""

    utt: str
    lang: str
    image: str
    speaker: str
    duration_s: float
    text: str | None
    timed: bool
    times: FrameTimes
    matchmap: np.ndarray
    spans: Sequence[Span]
    view: View

    @property
    def scale(self) -> float:
        """The score that is shown fully lit: the largest of any span (of any frame without spans)."""
        grids = [span.grid.max() for span in self.spans] or [self.matchmap.max()]
        return float(max(grids))


def choose_captions(embed: EmbedDir, speech: Mapping[str, SpeechSet], count: int) -> dict[str, list[str]]:
    """Captions to show, chosen by their place in the list and not by their scores.

    Images that have a caption in every language come first, so that the languages can be compared. Recordings whose
    speakers did not agree to be shown are passed over.

    Args:
        embed: embeddings of the split.
        speech: language to its speech set.
        count: captions of each language.

    Returns:
        For each language up to ``count`` utterances, of the same images in the same order where possible.
    """
    of_image: dict[str, dict[str, str]] = {}
    for lang, data in speech.items():
        embedded = set(embed.frames(lang))
        for utt in data.ids:
            image = data.utt2image.get(utt)
            if image in embed.grids and utt in embedded and data.may_share(utt):
                of_image.setdefault(str(image), {}).setdefault(lang, utt)
    complete = sorted(image for image, captions in of_image.items() if len(captions) == len(speech))
    partial = sorted(set(of_image) - set(complete))
    chosen: dict[str, list[str]] = {}
    for lang in speech:
        images = [i for i in _evenly(complete, count) + _evenly(partial, count) if lang in of_image[i]]
        chosen[lang] = [of_image[image][lang] for image in images[:count]]
    return chosen


def _evenly(items: Sequence[str], count: int) -> list[str]:
    """``count`` of the items, evenly spread; all when there are fewer."""
    count = min(count, len(items))
    return [items[int((i + 0.5) * len(items) / count)] for i in range(count)]


def pictured_caption(embed: EmbedDir, speech: SpeechSet, lang: str, utt: str, view: View) -> PicturedCaption:
    """Compute the subtracted matchmap of one caption and what its words light up.

    Args:
        embed: embeddings of the split.
        speech: the language's speech set; its word times are used when there are any.
        lang: the language.
        utt: the caption.
        view: the part of its image that the model sees.
    """
    image, times = speech.utt2image[utt], embed.times[lang]
    frames = embed.frames(lang)[utt]
    unrelated = [embed.grids[i] for i in choose_unrelated(image, sorted(embed.grids))]
    matchmap = subtracted_matchmap(frames, embed.grids[image], unrelated)
    words = speech.ctm.get(utt, [])
    duration_s = speech.utt2dur[utt]
    stretches: list[tuple[float, float, str | None]] = [(word.start_s, word.end_s, word.text) for word in words]
    if not words:
        stretches = [(a, b, None) for a, b in active_spans(matchmap, times, duration_s, MAX_SPANS)]
    shape = embed.shapes[image]
    spans = [
        Span(start, end, text, span_map(matchmap, times.inside(start, end, len(frames))).reshape(shape))
        for start, end, text in stretches
    ]
    return PicturedCaption(
        utt=utt,
        lang=lang,
        image=image,
        speaker=speech.utt2spk[utt],
        duration_s=duration_s,
        text=speech.text.get(utt),
        timed=bool(words),
        times=times,
        matchmap=matchmap.reshape(-1, *shape),
        spans=spans,
        view=view,
    )


def caption_entry(caption: PicturedCaption) -> dict[str, object]:
    """A caption's entry in ``captions.json``: times in seconds, cells as row and column, scores after subtraction."""
    matchmap = caption.matchmap
    frame, row, column = (int(i) for i in np.unravel_index(matchmap.argmax(), matchmap.shape))
    return {
        "utt": caption.utt,
        "lang": caption.lang,
        "image": caption.image,
        "speaker": caption.speaker,
        "duration_s": caption.duration_s,
        "text": caption.text,
        "timed": caption.timed,
        "frame_shift_s": caption.times.shift_s,
        "frame_offset_s": caption.times.offset_s,
        "grid": list(matchmap.shape[1:]),
        "scale": caption.scale,
        "top": {"time_s": float(caption.times.centres(frame + 1)[-1]), "cell": [row, column]},
        "spans": [span_entry(span) for span in caption.spans],
    }


def span_entry(span: Span) -> dict[str, object]:
    """A stretch's entry: times in seconds, its best cell as row and column, and the score there."""
    row, column = (int(i) for i in np.unravel_index(span.grid.argmax(), span.grid.shape))
    return {
        "start_s": span.start_s,
        "end_s": span.end_s,
        "text": span.text,
        "score": float(span.grid.max()),
        "cell": [row, column],
    }
