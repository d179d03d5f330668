"""The colours-only oracle: told which colours every caption names and every image shows, and nothing else.

A model that beats it has learnt more than colours, the easiest thing to see and to hear in the mini corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

Bag = Counter[str]
"""How often each colour is named, or shown."""


def named_colours(words: Iterable[str], concepts_of: Callable[[str], set[str]], colours: set[str]) -> Bag:
    """The multiset of colours that a caption's words name.

    Args:
        words: the caption, word by word.
        concepts_of: from a word to the concepts it may name.
        colours: which concepts are colours.
    """
    return Counter(colour for word in words for colour in sorted(concepts_of(word) & colours))


def colour_scores(queries: Sequence[Bag], targets: Sequence[Bag]) -> np.ndarray:
    """Overlap of colour multisets: size of the intersection over size of the union (Jaccard), 0 when both are empty.

    Args:
        queries: colours of each query.
        targets: colours of each target.

    Returns:
        (queries, targets) float32 in [0, 1].
    """
    names = sorted({name for bag in (*queries, *targets) for name in bag})
    q, t = (np.array([[bag[name] for name in names] for bag in bags], np.float32) for bags in (queries, targets))
    shape = (len(queries), len(targets))
    if not names:
        return np.zeros(shape, np.float32)
    common, union = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for column in range(len(names)):
        common += np.minimum.outer(q[:, column], t[:, column])
        union += np.maximum.outer(q[:, column], t[:, column])
    return common / np.maximum(union, 1)
