"""Score every code as a detector of a word, and write the ranked table."""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vgspeech.archive import ArchiveReader
from vgspeech.datadir import SpeechSet, Word
from vgspeech.errors import DataError, run_main
from vgspeech.files import atomic_write, read_json, write_json
from vgspeech.tables import read_lines
from vgspeech.units.detectors import TABLE_HEADER, CodeClock, count_words, detector_scores, detectors, table_rows

VERSION = 1


def read_stop_words(path: Path) -> list[str]:
    """Words of a stop list: one a line, ``#`` starts a comment line; in Unicode NFC."""
    lines = (unicodedata.normalize("NFC", line.strip()) for line in read_lines(path))
    return [line for line in lines if line and not line.startswith("#")]


def coded_words(codes: ArchiveReader, speech: SpeechSet) -> Iterator[tuple[Any, Sequence[Word]]]:
    """Codes and words of every caption that has both.

    Raises:
        DataError: the codes are of another speech set.
    """
    for utt, sequence in codes.items():
        if utt not in speech.utt2spk:
            raise DataError(f"caption '{utt}' has codes but is not in this speech set", where=str(speech.path))
        if utt in speech.ctm:
            yield sequence, speech.ctm[utt]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stop-words", type=Path, help="words that no code is asked to detect, one a line")
    parser.add_argument("--min-occurrences", type=int, default=5, help="least tokens that a code must cover")
    parser.add_argument("speech", type=Path, help="speech set with word times (ctm)")
    parser.add_argument("units", type=Path, help="folder of codes.scp; gets word_detectors.tsv and scores.json")
    args = parser.parse_args()

    speech = SpeechSet.load(args.speech)
    if not speech.ctm:
        raise DataError("no word times", where=str(speech.path / "ctm"), hint="word detectors need an alignment")
    about = read_json(args.units / "codes.json")
    codes = ArchiveReader(args.units / "codes.scp")
    scored = sum(utt in speech.ctm for utt in codes)
    # Stop lists are written in lower case; alignments may be in capitals.
    stopped = {word.casefold() for word in read_stop_words(args.stop_words)} if args.stop_words else set()
    vocabulary = {word.text for words in speech.ctm.values() for word in words}
    clock = CodeClock(about["frame_shift_s"], about["frame_offset_s"])
    counts = count_words(coded_words(codes, speech), about["num_codes"], vocabulary, clock)
    ranked = detectors(counts, {word for word in vocabulary if word.casefold() in stopped}, args.min_occurrences)
    with atomic_write(args.units / "word_detectors.tsv") as stream:
        stream.writelines("\t".join(row) + "\n" for row in (TABLE_HEADER, *table_rows(ranked)))
    scores = {
        **about,
        "captions": scored,
        "captions_without_words": len(codes) - scored,
        "stop_words": len(stopped),
        "min_occurrences": args.min_occurrences,
        **detector_scores(ranked, about["num_codes"]),
    }
    write_json(args.units / "scores.json", scores)
    print(
        f"score_word_detectors: {scores['words_with_f1_at_least_0.5']} words with F1 >= .5, mean F1 of the best "
        f"{scores['top_words']} words {scores['mean_f1_of_top_words']:.3f}, {scored} captions"
    )


if __name__ == "__main__":
    run_main(main)
