"""Bits a second of discrete codes, as the ZeroSpeech challenge counts them and after collapsing repeated codes.

The bitrate is the number of symbols a second times the entropy of a symbol (Dunbar et al. 2019). What a symbol is makes
the difference (Harwath, Hsu & Glass, ICLR 2020): each frame's code; each run as a pair of code and length; the two coded
separately ("factored"); or the code of a run alone, which loses the lengths ("segment").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vgspeech.units.runs import Runs

Array = np.ndarray[Any, np.dtype[Any]]


def entropy_bits(symbols: Array) -> float:
    """Entropy in bits of the distribution of symbols (N,) or of rows (N, D); 0 when there are none."""
    if not len(symbols):
        return 0.0
    _, counts = np.unique(symbols, axis=0, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def bitrates(runs: Iterable[Runs], shift_s: float) -> dict[str, float]:
    """All four, in bits a second.

    Args:
        runs: of all utterances.
        shift_s: seconds a frame.

    Returns:
        {"frame", "rle", "rle_factored", "segment"}; 0 when there is no frame.
    """
    held = list(runs)
    names = ("frame", "rle", "rle_factored", "segment")
    codes = np.concatenate([found.codes for found in held]) if held else np.zeros(0, np.int32)
    lengths = np.concatenate([found.lengths for found in held]) if held else np.zeros(0, np.int32)
    frames = int(lengths.sum())
    if not frames:
        return dict.fromkeys(names, 0.0)
    runs_a_second = len(codes) / (frames * shift_s)
    of_code, of_length = entropy_bits(codes), entropy_bits(lengths)
    of_pair = entropy_bits(np.stack([codes, lengths], axis=1))
    by_frame = entropy_bits(np.repeat(codes, lengths)) / shift_s
    values = (by_frame, runs_a_second * of_pair, runs_a_second * (of_code + of_length), runs_a_second * of_code)
    return dict(zip(names, values, strict=True))
