"""Make the mini corpus, or one job's share of it.

Without ``--job``: make what is missing and finish the release. With ``--job`` and ``--nj``: make only that share; run
once more without ``--job`` when all shares are done.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.config import load_config
from vgspeech.corpora.mini.config import MiniCorpusConfig
from vgspeech.corpora.mini.release import finish_release, make_share
from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("release", type=Path, help="folder to make, for example data/mini/release")
    parser.add_argument("--config", type=Path, help="settings (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="A=B", help="override a setting; repeatable")
    parser.add_argument("--langs", default="en hi", help='"en" or "en hi"')
    parser.add_argument("--job", type=int, help="this job's number, 1 to nj")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs")
    args = parser.parse_args()
    config = load_config(MiniCorpusConfig, args.config, args.set)
    languages = args.langs.split()
    if args.job is not None:
        if not 1 <= args.job <= args.nj:
            raise UsageError(f"job {args.job} of {args.nj}: must be from 1 to --nj", where="--job")
        blocks = make_share(config, languages, args.release, args.job, args.nj)
        print(f"make_mini_corpus: job {args.job} of {args.nj} made {blocks} blocks of scenes")
        return
    summary = finish_release(config, languages, args.release)
    print(
        f"make_mini_corpus: {args.release} holds {summary.scenes} scenes and {summary.captions} captions,"
        f" {summary.hours:.2f} h of speech in {' and '.join(languages)}; corpus hash {summary.sha256[:16]}"
    )


if __name__ == "__main__":
    run_main(main)
