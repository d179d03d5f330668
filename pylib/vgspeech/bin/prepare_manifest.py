"""Write the data directories of own recordings: a manifest, a folder tree, or a Kaldi data directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.corpora.captions import Release
from vgspeech.corpora.division import side_by_side
from vgspeech.corpora.expectations import check_common_pictures, check_enough_pictures, expectations
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.kaldi import read_kaldi
from vgspeech.corpora.manifest import read_manifest
from vgspeech.corpora.options import add_common_options, boolean, finish, settings_of
from vgspeech.corpora.prepare import prepare_division
from vgspeech.corpora.pseudonyms import hide_speakers, open_key, readable_by_others
from vgspeech.corpora.roots import Roots
from vgspeech.corpora.tree import read_tree
from vgspeech.corpora.truth import Truth
from vgspeech.errors import UsageError, run_main
from vgspeech.files import write_json

VERSION = 1
READ_FILES = ".read_files.json"
"""Beside the data: which annotation files and tables were read, and what was in them (`Account.files`); for the stage's stamp."""


def main() -> None:
    """Parse the command line, prepare, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="TSV or JSON, one caption a line")
    parser.add_argument("--tree", type=Path, metavar="DIR", help="folders <image>/<language>/<speaker>*.wav")
    parser.add_argument("--kaldi", type=Path, metavar="DIR", help="wav.scp utt2spk utt2lang utt2image, perhaps segments")
    parser.add_argument("--tier", default="", metavar="NAME", help="tier of .eaf or .TextGrid files that cuts recordings")
    audio_help = "root of the recordings (default: the manifest's folder, or --kaldi)"
    parser.add_argument("--audio", type=Path, metavar="DIR", help=audio_help)
    parser.add_argument("--dev", type=float, default=0.1, metavar="X", help="fraction of the images held out for dev")
    parser.add_argument("--test", type=float, default=0.1, metavar="X", help="fraction of the images held out for test")
    parser.add_argument("--langs", default="", metavar="LIST", help="languages that will be compared, with blanks between")
    hash_help = "ids without the speakers' names; the key is .speaker_key beside the data"
    parser.add_argument("--hash-speakers", type=boolean, default=False, metavar="BOOL", help=hash_help)
    add_common_options(parser, images_required=False, all_languages=False)
    args = parser.parse_args()
    given = [path for path in (args.manifest, args.tree, args.kaldi) if path is not None]
    if len(given) != 1:
        raise UsageError("which recordings? give --manifest FILE, --tree DIR or --kaldi DIR, one of them")
    if args.tier and args.manifest is None:
        raise UsageError("--tier goes with --manifest: a table with the columns wav, lang, speaker")
    releases, images = read(args)
    if args.hash_speakers:
        key = args.data.absolute().parent / ".speaker_key"
        hide_speakers(releases, open_key(key))
        if readable_by_others(key):
            releases[0].notes.append(f"{key} can be read by others: keep it where they cannot come (chmod 600)")
    division = side_by_side(releases)
    for check in (check_enough_pictures, check_common_pictures):
        check(division, args.langs.split(), given[0])
    done = prepare_division(division, releases, args.data, settings_of(args, images), Truth())
    if args.langs:
        done.notes += expectations([one for one in done.sets if one.name.rpartition("_")[2] in args.langs.split()])
    write_json(args.data / READ_FILES, releases[0].files)
    finish(args.data, done)


def read(args: argparse.Namespace) -> tuple[list[Release], Path]:
    """The recordings, and the folder that paths of their pictures are relative to."""
    fractions = Fractions(args.dev, args.test)
    if args.tree is not None:
        releases = read_tree(args.tree, args.images or args.tree, fractions)
        return releases, releases[0].root
    folder = args.kaldi or args.manifest.parent
    roots = Roots(args.audio or folder, args.images or folder)
    if args.kaldi is not None:
        return read_kaldi(args.kaldi, roots, fractions), roots.images
    return read_manifest(args.manifest, roots, fractions, args.tier), roots.images


if __name__ == "__main__":
    run_main(main)
