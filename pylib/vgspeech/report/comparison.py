"""Two models on the same test set: what each scored, how far they differ, and whether chance could do that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.report.results_table import align, tested_sets
from vgspeech.stats.comparison import Difference, compare_ranks
from vgspeech.stats.rank_files import RanksByDirection, read_ranks

_NAMES = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "mrr": "MRR"}


@dataclass(frozen=True)
class Comparison:
    """Two models on one test set.

    Attributes:
        a, b: their folders.
        tested_on: ``<corpus>/<split>``.
        images: how many have a query.
        left_out: directions that only one of them has.
        draws, seed: of the bootstrap.
        differences: every score, the means over directions first.
    """

    a: Path
    b: Path
    tested_on: str
    images: int
    left_out: list[str]
    draws: int
    seed: int
    differences: list[Difference]


def compare_models(a: Path, b: Path, split: str | None = None, *, draws: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two model directories.

    Args:
        a, b: model directories with ``eval/<corpus>/<split>/retrieval/ranks.tsv``.
        split: on which split; by default the first test split that both were tested on.
        draws, seed: of the bootstrap.

    Raises:
        DataError: no results, no test set in common, or one of the same name that holds other queries or other targets.
    """
    sets_a, sets_b = (tested_sets(model) for model in (a, b))
    common = [at for at in sets_a if at in sets_b and split in (None, at[1])]
    if not common:
        tested = "; ".join(
            f"{model} on {', '.join(map('/'.join, sets)) or 'nothing'}" for model, sets in ((a, sets_a), (b, sets_b))
        )
        wanted = f" of a split '{split}'" if split else ""
        hint = "a model is tested on another corpus by run.sh --model exp/<model> and that corpus's options"
        raise DataError(f"the models have no test set{wanted} in common: {tested}", hint=hint)
    corpus, name = common[0]
    folders = [model / "eval" / corpus / name / "retrieval" for model in (a, b)]
    ranks_a, ranks_b = (_ranks(folder) for folder in folders)
    where = f"{folders[0]} and {folders[1]}"
    try:
        differences = compare_ranks(ranks_a, ranks_b, draws=draws, seed=seed)
    except DataError as error:
        raise DataError(error.what, where=where, hint="only results on the same test set can be compared") from error
    _refuse_other_targets(folders, [d for d in ranks_a if d in ranks_b], where)
    images = {query.image for d, queries in ranks_a.items() if d in ranks_b for query in queries.values()}
    left_out = sorted(set(ranks_a) ^ set(ranks_b))
    return Comparison(a, b, f"{corpus}/{name}", len(images), left_out, draws, seed, differences)


def _ranks(folder: Path) -> RanksByDirection:
    path = folder / "ranks.tsv"
    if not path.is_file():
        hint = "score retrieval again with this version: run.sh --stage retrieval --stop-stage retrieval"
        raise DataError("the ranks of the queries were not kept", where=str(path), hint=hint)
    return read_ranks(path)


def _refuse_other_targets(folders: list[Path], directions: list[str], where: str) -> None:
    counts = [read_json(folder / "results.json")["directions"] for folder in folders]
    for direction in directions:
        found = [side[direction]["n_targets"] for side in counts]
        if found[0] != found[1]:
            what = (
                f"the queries of {direction} were searched among {found[0]} targets by one and {found[1]} by the other"
            )
            raise DataError(what, where=where, hint="only results on the same test set can be compared")


# ---- as text ----

_COLUMNS = ("direction", "score", "a", "b", "difference", "low", "high", "p")


def plain(found: Comparison) -> dict[str, Any]:
    """For JSON."""
    rows = [{**asdict(one), "difference": one.difference} for one in found.differences]
    return {**asdict(found), "a": str(found.a), "b": str(found.b), "differences": rows}


def tsv_rows(found: Comparison) -> list[list[str]]:
    """Header and rows with full precision."""
    cells = (
        [one.direction, one.score, *map(str, (one.a, one.b, one.difference, *one.interval, one.p))]
        for one in found.differences
    )
    return [list(_COLUMNS), *cells]


def text(found: Comparison) -> str:
    """As a person reads it: percent (MRR: 0 to 100 too), and what the p-values are."""
    head = ["direction", "score", "A", "B", "A - B", "95 % interval", "p"]
    rows = []
    for one in found.differences:
        low, high = (f"{100 * value:+.1f}" for value in one.interval)
        values = [f"{100 * one.a:.1f}", f"{100 * one.b:.1f}", f"{100 * one.difference:+.1f}", f"{low} to {high}"]
        rows.append([one.direction.replace(">", " > "), _NAMES[one.score], *values, f"{one.p:.3g}"])
    lines = [f"A: {found.a}", f"B: {found.b}", f"tested on {found.tested_on}, {found.images} images", ""]
    lines += [align(head, rows, (0, 1)), ""]
    if found.left_out:
        lines.append(f"Left out, because only one of them has it: {', '.join(found.left_out)}.")
    lines.append(
        f"All in percent. p: two-sided, by a paired bootstrap over images ({found.draws:,} draws, seed {found.seed}): how often "
        "chance alone makes\nthe models differ that much on such a test set. With many rows some p are small by chance: "
        "look at the means first. Models\nof other training seeds differ by chance as well, which no p here knows of."
    )
    return "\n".join(lines)
