"""Join the lexicons of all pairs of languages to groups of three languages and more."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vgspeech.errors import DataError, run_main
from vgspeech.files import read_json
from vgspeech.lexicon.clusters import DROPPED
from vgspeech.lexicon.groups import FEWEST, Edge, Group, Node, Side, join, matches
from vgspeech.lexicon.storage import PEAKS_HEADER
from vgspeech.tables import read_rows, read_tsv, write_tsv

VERSION = 1

Pair = tuple[str, str]


def read_sides(folder: Path, pair: Pair) -> dict[str, Side]:
    """The peaks of both languages of a lexicon."""
    rows = [cells for _, cells in read_tsv(folder / "peaks.tsv", PEAKS_HEADER)]
    columns = dict(zip(PEAKS_HEADER, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(PEAKS_HEADER, ())
    sides = {}
    for letter, language in zip("ab", pair, strict=True):
        labels = [DROPPED if cell == "-" else int(cell) for cell in columns[f"cluster_{letter}"]]
        times = np.array([float(cell) for cell in columns[f"t_{letter}"]])
        sides[language] = Side(columns[f"utt_{letter}"], times, np.array(labels, np.int64))
    return sides


def read_links(folder: Path, pair: Pair) -> tuple[list[Edge], dict[Node, str]]:
    """Significant links of a lexicon, and what its linked clusters stand for, if that is known."""
    edges, words = [], {}
    for row in read_rows(folder / "lexicon.tsv"):
        a, b = (Node(language, pair, int(row[f"cluster_{language}"])) for language in pair)
        words.update({node: row[f"words_{x}"] for node, x in ((a, "a"), (b, "b")) if f"words_{x}" in row})
        if row["significant"] == "yes":
            edges.append(Edge(float(row["dice"]), a, b, float(row["q"])))
    return edges, words


def table(groups: list[Group], languages: list[str], words: dict[Node, str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of ``groups.tsv``; a cell lists a language's clusters as ``a-b:cluster``."""
    header = ["group", "languages", "links", "q", *(f"clusters_{tag}" for tag in languages)]
    header += [f"words_{tag}" for tag in languages] if words else []
    rows = []
    for number, group in enumerate(groups, start=1):
        row = [str(number), ",".join(group.languages), str(group.links), f"{group.q:.3g}"]
        by_language = [[node for node in group.nodes if node.language == tag] for tag in languages]
        row += ["|".join(f"{'-'.join(node.pair)}:{node.cluster}" for node in nodes) or "-" for nodes in by_language]
        if words:
            named = [sorted({words[node] for node in nodes if node in words}) for nodes in by_language]
            row += ["|".join(forms) or "-" for forms in named]
        rows.append(row)
    return header, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lexicons", type=Path, help="folder with a lexicon for each pair of languages; gets groups.tsv")
    args = parser.parse_args()
    found = {tuple(read_json(path)["languages"]): path.parent for path in sorted(args.lexicons.glob("*/scores.json"))}
    folders = {tags: folder for tags, folder in found.items() if len(tags) == 2}  # not those of one language alone
    languages = sorted({language for pair in folders for language in pair})
    if len(languages) < FEWEST:
        hint = "discover the lexicons of all pairs of languages first (stage 9)"
        known = ", ".join(languages) or "none"
        raise DataError(f"groups need {FEWEST} languages, found {known}", where=str(args.lexicons), hint=hint)
    edges, words = [], {}
    for pair, folder in folders.items():
        links, named = read_links(folder, pair)
        edges += links
        words.update(named)
    groups = join(edges + matches({pair: read_sides(folder, pair) for pair, folder in folders.items()}))
    write_tsv(args.lexicons / "groups.tsv", *table(groups, languages, words))
    complete = sum(len(group.languages) == len(languages) for group in groups)
    print(f"group_lexicons: {len(groups)} groups, {complete} of them in all {len(languages)} languages")


if __name__ == "__main__":
    run_main(main)
