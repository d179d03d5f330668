"""What the models of a work directory reached, one row each; with --compare, whether one of two is better.

Reads result files only. R@1, 5 and 10 are means over the directions of retrieval; --json has each direction.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vgspeech.errors import UsageError, run_main

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1


def show_rows(folders: Sequence[Path], split: str | None, form: str) -> None:
    """The table of all models."""
    import json

    from vgspeech.report import results_table as table

    rows = table.result_rows(table.find_models(folders or [Path("exp")]), split)
    if form == "json":
        print(json.dumps(table.plain_rows(rows), ensure_ascii=False, indent=2))
    elif form == "tsv":
        print("\n".join("\t".join(row) for row in [list(table.HEADINGS), *table.tsv_rows(rows)]))
    else:
        print(f"{table.text_table(rows)}\n\n{table.NOTES}")


def show_comparison(models: Sequence[Path], split: str | None, form: str, draws: int, seed: int) -> None:
    """Differences of two models."""
    import json

    from vgspeech.report import comparison

    found = comparison.compare_models(models[0], models[1], split, draws=draws, seed=seed)
    if form == "json":
        print(json.dumps(comparison.plain(found), ensure_ascii=False, indent=2))
    elif form == "tsv":
        print("\n".join("\t".join(row) for row in comparison.tsv_rows(found)))
    else:
        print(comparison.text(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="show_results.sh",
        description=__doc__,
        epilog="example: utils/show_results.sh --compare exp/mini exp/mini_short",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, help="exp/ of a work directory, or exp/<model>... (default: exp)"
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("A", "B"),
        help="two model directories that were tested on the same set",
    )
    parser.add_argument("--split", help="which split's results, or 'all' (default: test, or what there is)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--tsv", action="store_const", const="tsv", dest="form", help="tab-separated, full precision")
    form.add_argument("--json", action="store_const", const="json", dest="form", help="everything, directions as well")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap of --compare (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap of --compare (default %(default)s)")
    args = parser.parse_args()
    if args.compare is None:
        show_rows(args.folders, args.split, args.form or "text")
        return
    if args.folders:
        raise UsageError("--compare takes its two models alone, without a folder beside them")
    if args.draws < 1:
        raise UsageError(f"--draws must be at least 1, not {args.draws}")
    show_comparison(args.compare, args.split, args.form or "text", args.draws, args.seed)


if __name__ == "__main__":
    run_main(main)
