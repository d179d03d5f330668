"""Search an embedded set by a recording or an image: the captions and images that answer best, and which part of each.

Prints a table; with --out writes it as results.tsv beside a page, index.html, with everything to see and play. A recording
of up to 1.5 s is taken for a word, a longer one for a sentence.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vgspeech.errors import UsageError, run_main

if TYPE_CHECKING:
    from vgspeech.report.search_page import Query
    from vgspeech.search.find import Found
    from vgspeech.search.searched_set import Place, SearchedSet

VERSION = 1


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="search.sh",
        description=__doc__,
        epilog="example: utils/search.sh --show photo.jpg --out found exp/mini",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument(
        "--speak", type=Path, metavar="FILE", help="a recording: WAV, FLAC, MP3, ..., any rate, mono or stereo"
    )
    query.add_argument("--show", type=Path, metavar="FILE", help="an image: JPEG, PNG, ...")
    parser.add_argument(
        "--spoken", metavar="LANG", help="language of the recording (needed where the model has several)"
    )
    parser.add_argument(
        "--as", dest="kind", choices=("word", "sentence"), help="what the recording is (default: by length)"
    )
    parser.add_argument("--lang", help="search captions of this language (default: of all)")
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="captions of each language, and images (%(default)s)"
    )
    parser.add_argument("--simtype", choices=("SISA", "MISA", "SIMA"), help="similarity (default: that of the model)")
    parser.add_argument("--set", metavar="CORPUS/SPLIT", help="which embedded set of the model (default: the largest)")
    parser.add_argument(
        "--embed", type=Path, metavar="DIR", help="or the folder of its embeddings, with --data and --split"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="corpus directory that was embedded")
    parser.add_argument("--split", help="split that was embedded")
    parser.add_argument(
        "--index", type=Path, metavar="DIR", help="keep the index there (default: search/ beside embed/)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write results.tsv and index.html there")
    parser.add_argument("--no-audio", action="store_true", help="leave all recordings out of the page")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that wav.scp may hold")
    parser.add_argument("model", type=Path, help="model directory, exp/<model>")
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if args.top < 1:
        raise UsageError(f"--top must be at least 1, not {args.top}")
    if args.show and (args.spoken or args.kind):
        raise UsageError("--spoken and --as say what a recording is; they go with --speak")
    if args.kind == "word" and args.simtype:
        raise UsageError("--simtype is for images and sentences; a word is found by its best frame and cell")
    place = (args.embed, args.data, args.split)
    if any(place) and (args.set or not all(place)):
        raise UsageError("--embed, --data and --split go together, and instead of --set")


def enter_work_directory(args: argparse.Namespace) -> None:
    """Paths in the tables of a work directory are relative to it; those on the command line to where it was typed."""
    for name in ("speak", "show", "embed", "data", "index", "out", "model"):
        if getattr(args, name):
            setattr(args, name, Path(os.path.abspath(getattr(args, name))))
    folder = args.model.resolve().parent
    if not args.embed and folder.name == "exp":
        os.chdir(folder.parent)


def place_of(args: argparse.Namespace) -> Place:
    """The set to search."""
    from vgspeech.search.searched_set import Place, choose_set

    return Place(args.embed, args.data, args.split) if args.embed else choose_set(args.model, args.set)


def ask(args: argparse.Namespace, of: SearchedSet) -> tuple[Query, Found]:
    """Embed the query and search."""
    from vgspeech.report.search_page import Query
    from vgspeech.search import find
    from vgspeech.search.query import is_word, spoken_query

    languages = find.languages_to_search(of, args.lang)
    if args.show:
        picture = of.model.embed_image(args.show)
        return Query("image", args.show, picture), find.search_by_image(of, picture, languages, args.top, args.simtype)
    said = spoken_query(of.model, args.speak, args.spoken)
    if (args.kind or ("word" if is_word(said) else "sentence")) == "word":
        if args.simtype:
            raise UsageError(
                "--simtype is for images and sentences; the recording is short and taken for a word (see --as)"
            )
        return Query("word", args.speak, said), find.search_by_word(of, said, languages, args.top)
    return Query("sentence", args.speak, said), find.search_by_sentence(of, said, languages, args.top, args.simtype)


def main() -> None:
    args = parse()
    check(args)
    enter_work_directory(args)

    import vgspeech
    from vgspeech.report.inputs import ReportInput
    from vgspeech.report.search_page import HEADER, rows, write_page
    from vgspeech.search.searched_set import SearchedSet
    from vgspeech.tables import write_tsv

    of = SearchedSet(vgspeech.load(args.model), place_of(args), args.index)
    query, found = ask(args, of)
    summary = (
        f"search.sh: {query.kind} {query.file.name}: {len(found.captions)} captions and {len(found.images)} images of "
        f"{of.place}, the best of {found.searched_captions:,} and {found.searched_images:,}"
    )
    if not args.out:
        print("\n".join("\t".join(row) for row in (HEADER, *rows(of, query, found))))
        print(summary, file=sys.stderr)
        return
    source = ReportInput(args.model, of.place.data, args.model, audio=not args.no_audio, allow_pipes=args.allow_pipes)
    page = write_page(of, source, query, found, args.out)[-1]
    write_tsv(args.out / "results.tsv", HEADER, rows(of, query, found))
    print(f"{summary}; page {page}")


if __name__ == "__main__":
    run_main(main)
