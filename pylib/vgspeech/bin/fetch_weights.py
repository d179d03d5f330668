"""Fetch weights that others have trained, once: what they are and under which licence, size and SHA-256 checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from vgspeech.errors import UsageError, run_main
from vgspeech.pretrained import (
    TABLE,
    UNKNOWN,
    Weights,
    checked_copy,
    fetch_weights,
    named_weights,
    read_weights_table,
    weights_folder,
)

VERSION = 1


def listing(table: Iterable[Weights], folder: Path) -> str:
    """What there is, and what of it is here."""
    lines = []
    for item in table:
        here = checked_copy(item.name, folder) is not None
        state = "here" if here else "fetched on request" if item.direct else "by hand"
        lines.append(f"{item.name:<22}{item.size:>16}  {state:<20}{item.about}")
        lines.append(f"{'':<40}{'':<20}licence: {item.licence}")
    return "\n".join(lines)


def next_step(weights: Weights, copy: Path) -> str:
    """What to do with a copy."""
    if weights.kind == "backbone":
        return f"In a configuration: image.weights: {weights.name}"
    return f"Unpack {copy}, then: local/import_released.sh AUDIO.pth IMAGE.pth exp/{weights.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE, help="another table, of a mirror or of your own weights")
    parser.add_argument("--from", dest="given", type=Path, help="a file that was fetched by hand")
    parser.add_argument("name", nargs="?", help="which; without it all are listed")
    args = parser.parse_args()
    table, folder = read_weights_table(args.table), weights_folder()
    if args.name is None:
        if args.given is not None:
            raise UsageError("--from: of which weights is it a copy? give the name too")
        print(listing(table.values(), folder))
        print(f"{len(table)} weights, of which copies lie in {folder}")
        return
    weights = named_weights(args.name, table)
    print(f"{weights.name}: {weights.about}\n  {weights.size}, licence: {weights.licence}\n  {weights.url}", flush=True)
    record, before = fetch_weights(weights, folder, args.given)
    checked = (
        "not published, recorded for later"
        if weights.digest == UNKNOWN
        else f"agrees with the published {weights.digest}"
    )
    if before:
        checked = "as when it came"
    copy = folder / str(record["file"])
    print(f"  SHA-256 {record['sha256']} ({checked})")
    print(next_step(weights, copy))
    print(f"{copy}: {record['bytes']:,} bytes, {'was here before' if before else 'ready'}")


if __name__ == "__main__":
    run_main(main)
