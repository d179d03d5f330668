"""Score every code as a detector of a word: the ranked table, a summary, and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.archive import ArchiveReader
from vgspeech.datadir import plain_form
from vgspeech.errors import DataError, run_main
from vgspeech.files import atomic_write, read_json, write_json
from vgspeech.plots import picture_of_detectors
from vgspeech.stats.aligned_words import AlignedWords
from vgspeech.stats.word_lists import read_stop_words
from vgspeech.tables import read_table
from vgspeech.units.clock import CodeClock
from vgspeech.units.cooccurrence import count_words
from vgspeech.units.detectors import TABLE_HEADER, THRESHOLDS, TOP_WORDS, detections, detector_scores, table_rows

VERSION = 3


def check_utterances(codes: ArchiveReader, speech: Path) -> None:
    """Refuse codes of another speech set.

    Raises:
        DataError: names the first caption that the set does not have.
    """
    known = read_table(speech / "utt2spk")
    for utt in codes:
        if utt not in known:
            raise DataError(f"caption '{utt}' has codes but is not in this speech set", where=str(speech))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stop-words", type=Path, help="words that no code is asked to detect, one a line")
    parser.add_argument("--min-occurrences", type=int, default=5, help="least tokens that a code must cover")
    parser.add_argument(
        "--precision", choices=("frame", "segment"), default="frame", help="what the precision counts (%(default)s)"
    )
    parser.add_argument("speech", type=Path, help="speech set with word times (ctm)")
    parser.add_argument("units", type=Path, help="folder of codes.scp; gets word_detectors.{tsv,png} and scores.json")
    args = parser.parse_args()

    about = read_json(args.units / "codes.json")
    codes = ArchiveReader(args.units / "codes.scp")
    check_utterances(codes, args.speech)
    words = AlignedWords.read(args.speech / "ctm")
    counts = count_words(codes.items(), words, about["num_codes"], CodeClock.of(about))
    stopped = read_stop_words(args.stop_words) if args.stop_words else frozenset()
    skipped = {word for word in words.vocabulary if plain_form(word) in stopped}
    found = detections(counts, skipped, args.min_occurrences, args.precision)
    with atomic_write(args.units / "word_detectors.tsv") as stream:
        stream.writelines("\t".join(row) + "\n" for row in (TABLE_HEADER, *table_rows(found.ranked())))
    scores = {
        **about,
        "captions": counts.utterances,
        "captions_without_words": len(codes) - counts.utterances,
        "stop_words": len(stopped),
        "min_occurrences": args.min_occurrences,
        "precision": args.precision,
        **detector_scores(found, about["num_codes"]),
    }
    best = found.best_of_words()[:TOP_WORDS]
    curve = dict(zip(THRESHOLDS, scores["words_by_threshold"].values(), strict=True))
    with atomic_write(args.units / "word_detectors.png", "wb") as stream:
        stream.write(picture_of_detectors(found.precision[best], found.recall[best], curve))
    write_json(args.units / "scores.json", scores)
    print(
        f"score_word_detectors: {scores['words_with_f1_at_least_0.5']} words with F1 >= .5, mean F1 of the best "
        f"{scores['top_words']} words {scores['mean_f1_of_top_words']:.3f}, {counts.utterances} captions"
    )


if __name__ == "__main__":
    run_main(main)
