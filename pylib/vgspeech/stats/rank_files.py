"""``ranks.tsv``: the rank of every query of a retrieval evaluation, from which two models can be compared.

One line a query under the header ``direction query image rank``, tab-separated: the direction (``en>image``), the query's
id (an utterance, or an image), the image that it belongs to, and its rank (see `vgspeech.retrieval`). Queries without a
right answer are left out. Directions come in the order of ``results.json``, queries in the order of their set.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vgspeech.tables import bad_line, read_tsv, write_tsv

HEADER = ("direction", "query", "image", "rank")


class RankedQuery(NamedTuple):
    """The image that a query belongs to, and the rank of its best right answer, from 1."""

    image: str
    rank: int


RanksByDirection = dict[str, dict[str, RankedQuery]]
"""Direction -> query -> its image and rank."""


def write_ranks(path: Path, ranks: RanksByDirection) -> None:
    """Write ``ranks.tsv``."""
    rows = ((name, query, *ranked) for name, queries in ranks.items() for query, ranked in queries.items())
    write_tsv(path, HEADER, rows)


def read_ranks(path: Path) -> RanksByDirection:
    """Read ``ranks.tsv``.

    Raises:
        DataError: no such file, or a line is not of that form; names file and line.
    """
    ranks: RanksByDirection = {}
    for number, (direction, query, image, rank) in read_tsv(path, HEADER):
        if not rank.isdecimal() or int(rank) < 1:
            raise bad_line(path, number, f"the rank '{rank}' is not a whole number from 1 on")
        queries = ranks.setdefault(direction, {})
        if query in queries:
            raise bad_line(path, number, f"query '{query}' of {direction} has two lines")
        queries[query] = RankedQuery(image, int(rank))
    return ranks
