"""Cut single words out of the captions of a speech set by its word times (ctm), as queries for search by voice.

Captions whose speakers did not agree to be shown (utt2share) are passed over.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.errors import UsageError, run_main

VERSION = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="cut_words.sh",
        description=__doc__,
        epilog="example: utils/cut_words.sh --lexicon data/mini/lexicon.tsv data/mini/speech/test_en data/mini/words_en",
    )
    parser.add_argument("set", type=Path, help="the speech set; it needs ctm")
    parser.add_argument("out", type=Path, help="the new set")
    parser.add_argument("--lexicon", type=Path, help="take only words of this lexicon (default: all words)")
    parser.add_argument("--per-word", type=int, default=3, help="tokens of each word (default: %(default)s)")
    parser.add_argument("--context", type=float, default=0.1, help="seconds kept around a word (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="take other tokens")
    args = parser.parse_args()

    from vgspeech.datadir import SpeechSet, read_lexicon
    from vgspeech.dataset_tools.words import cut_words

    if args.out.resolve() == args.set.resolve():
        raise UsageError("the new set must be another folder than the old one")
    speech = SpeechSet.load(args.set)
    languages = set(speech.utt2lang.values())
    lexicon = read_lexicon(args.lexicon) if args.lexicon else None

    def wanted(word: str) -> bool:
        return lexicon is None or any(lexicon.concepts_of(language, word) for language in languages)

    counts = cut_words(speech, args.out, wanted, args.per_word, args.context, args.seed)
    print(f"Cut {sum(counts.values())} tokens of {len(counts)} words out of {args.set} into {args.out}")


if __name__ == "__main__":
    run_main(main)
