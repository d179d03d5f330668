"""Random orders that depend on ids and a seed only: not on the machine, the number of jobs, or what else is in a set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """Ids in the order of hashes of seed and id; the first ones of a set stay the first ones when others are added."""
    return sorted(ids, key=lambda key: (hashlib.blake2b(f"{seed} {key}".encode(), digest_size=8).digest(), key))
