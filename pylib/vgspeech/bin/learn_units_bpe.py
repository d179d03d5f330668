"""Learn pseudo-words from codes by byte-pair encoding, and write the codes again as pseudo-words."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import run_main
from vgspeech.files import atomic_write, read_json, write_json
from vgspeech.units.clock import CodeClock
from vgspeech.units.pseudo_words import Pieces, learn_pieces
from vgspeech.units.runs import read_runs, write_codes_of_runs, write_ctm_of_runs

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=1000, help="pieces, single codes included (%(default)s)")
    parser.add_argument("--longest", type=int, default=16, help="most codes in a piece (%(default)s)")
    parser.add_argument("--ctm", action="store_true", help="also write codes.ctm")
    parser.add_argument("--learn-from", type=Path, help="units to learn the pieces from (default: the same)")
    parser.add_argument("units", type=Path, help="folder of runs.scp and codes.json")
    parser.add_argument("out", type=Path, help="folder for the pseudo-words, in the same form, and pieces.model")
    args = parser.parse_args()

    about = read_json(args.units / "codes.json")
    learn_from = args.learn_from or args.units
    model = learn_pieces((runs for _, runs in read_runs(learn_from)), about["num_codes"], args.vocabulary, args.longest)
    pieces = Pieces(model)
    with atomic_write(args.out / "pieces.model", "wb") as stream:
        stream.write(model)
    with atomic_write(args.out / "pieces.tsv") as stream:
        stream.write("piece\tcodes\n")
        stream.writelines(f"{i}\t{' '.join(map(str, pieces.codes(i))) or '<unk>'}\n" for i in range(len(pieces)))
    utterances, segments = write_codes_of_runs(args.out, pieces.encode(read_runs(args.units)))
    if args.ctm:
        write_ctm_of_runs(args.out / "codes.ctm", read_runs(args.out), CodeClock.of(about))
    longer = sum(len(pieces.codes(i)) > 1 for i in range(len(pieces)))
    write_json(
        args.out / "codes.json",
        {**about, "method": "pseudo-words", "num_codes": len(pieces), "of_codes": about["num_codes"]},
    )
    print(
        f"learn_units_bpe: {len(pieces)} pieces, {longer} of them longer than one code; {utterances} captions in "
        f"{segments} pseudo-words"
    )


if __name__ == "__main__":
    run_main(main)
