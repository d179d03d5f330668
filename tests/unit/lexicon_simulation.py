"""Captions with planted words: frame embeddings as a trained model would give them, and the truth.

Every concept has a direction in a space that both languages share; each language adds an offset of its own to it. A
caption says the words of its image in random order, each for a few frames, between silences and function words of its
language.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgspeech.datadir import Lexicon, Word
from vgspeech.lexicon.captions import FrameClock
from vgspeech.lexicon.discover import LanguageInput

CLOCK = FrameClock(0.08, 0.0125)
DIMENSION = 48


@dataclass
class Simulation:
    a: LanguageInput
    b: LanguageInput
    ctm_a: dict[str, list[Word]]
    ctm_b: dict[str, list[Word]]
    lexicon: Lexicon


def simulate(
    images: int = 800, concepts: int = 40, noise: float = 0.6, offset: float = 0.4, seed: int = 0
) -> Simulation:
    """Zipf-distributed concepts, three an image, each mentioned with probability .8; two captions an image."""
    inputs, ctms, lexicon = simulate_languages(("en", "hi"), images, concepts, noise, offset, seed)
    return Simulation(inputs[0], inputs[1], ctms[0], ctms[1], lexicon)


def simulate_languages(
    languages: tuple[str, ...], images: int, concepts: int, noise: float = 0.6, offset: float = 0.4, seed: int = 0
) -> tuple[list[LanguageInput], list[dict[str, list[Word]]], Lexicon]:
    """As ``simulate``, in any number of languages: captions, word times, lexicon."""
    random = np.random.default_rng(seed)
    shared = random.standard_normal((concepts, DIMENSION))
    silence = random.standard_normal((1, DIMENSION))
    weights = 1 / np.arange(3, concepts + 3)
    weights /= weights.sum()
    scenes = [random.choice(concepts, 3, replace=False, p=weights) for _ in range(images)]
    inputs, ctms = [], []
    for language in languages:
        own = shared + offset * random.standard_normal((concepts, DIMENSION))
        fillers = np.concatenate([silence, random.standard_normal((7, DIMENSION))])
        frames, ctm = {}, {}
        for i, scene in enumerate(scenes):
            utt = f"{language}-{i:05d}"
            said = [c for c in random.permutation(scene) if random.random() < 0.8]
            frames[utt], ctm[utt] = _caption(said, own, fillers, language, noise, random)
        utt2image = {utt: f"img{utt[-5:]}" for utt in frames}
        utt2spk = {utt: f"{language}-spk{int(utt[-5:]) % 7}" for utt in frames}
        inputs.append(LanguageInput(language, frames, utt2image, utt2spk, CLOCK))
        ctms.append(ctm)
    rows = {f"c{c:02d}": {tag: (f"{tag}{c:02d}",) for tag in languages} for c in range(concepts)}
    return inputs, ctms, Lexicon(languages, rows)


def _caption(said, own, fillers, language, noise, random):  # type: ignore[no-untyped-def]
    rows, words = [], []

    def fill() -> None:
        kind = fillers[random.integers(len(fillers))]
        rows.extend([kind] * random.integers(2, 5))

    fill()
    for concept in said:
        start = len(rows)
        rows.extend([own[concept]] * random.integers(3, 6))
        edges = [(t - 0.5) * CLOCK.shift_s + CLOCK.offset_s for t in (start, len(rows))]
        words.append(Word(max(edges[0], 0.0), edges[1], f"{language}{concept:02d}"))
        fill()
    frames = np.array(rows) + noise * random.standard_normal((len(rows), DIMENSION))
    return frames.astype(np.float32), words


def only_noise(images: int, seed: int = 0) -> Simulation:
    """Captions whose frames have nothing to do with each other."""
    simulation = simulate(images, seed=seed)
    random = np.random.default_rng(seed + 1)
    for side in (simulation.a, simulation.b):
        for utt, frames in side.frames.items():
            side.frames[utt] = random.standard_normal(frames.shape, dtype=np.float32)  # type: ignore[index]
    return simulation
