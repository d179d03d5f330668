"""Listen to every recording of a speech set, or of a corpus: levels, clipping, silence, copies, and a page of the worst.

Recordings whose speakers did not agree to be shown (utt2share) are counted, and neither named nor played.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main

VERSION = 3


def main() -> None:
    """Parse the command line, inspect, write ``inspect/``."""
    parser = argparse.ArgumentParser(prog="inspect_data.sh", description=__doc__)
    parser.add_argument("--nj", type=int, default=4, metavar="N", help="worker processes")
    parser.add_argument("--no-audio", action="store_true", help="leave recordings out of the page")
    parser.add_argument("data", type=Path, help="a speech set, or data/<corpus>")
    args = parser.parse_args()

    from vgspeech.files import atomic_write, write_json
    from vgspeech.stats.inspection import find_sets, inspect
    from vgspeech.stats.inspection_page import inspection_page

    sets = {path.name: inspect(path, args.nj) for path in find_sets(args.data)}
    out = args.data / "inspect"
    write_json(out / "inspect.json", {name: numbers for name, (_, _, numbers) in sets.items()})
    with atomic_write(out / "index.html") as stream:
        stream.write(inspection_page(str(args.data), sets, not args.no_audio))
    every = [numbers for _, _, numbers in sets.values()]
    bad = {kind: sum(one["bad"][kind] for one in every) for kind in ("clipped", "quiet")}
    print(
        f"inspected {args.data}: {sum(one['utterances'] for one in every)} recordings in {len(sets)} sets, "
        f"{sum(one['not_readable'] for one in every)} not readable, {bad['clipped']} clipped, {bad['quiet']} very quiet, "
        f"{sum(len(group) - 1 for one in every for group in one['same_sound'])} copies; page {out / 'index.html'}"
    )


if __name__ == "__main__":
    run_main(main)
