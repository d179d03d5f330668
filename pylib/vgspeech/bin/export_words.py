"""Write the words found in the captions as tables, JSON, ELAN and Praat files."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.datadir import SpeechSet
from vgspeech.errors import UsageError, run_main
from vgspeech.files import read_json
from vgspeech.lexicon.annotations import remove_annotations, write_elan, write_praat, write_words
from vgspeech.lexicon.found_words import by_recording, found_words, private_recordings, significant_links
from vgspeech.lexicon.storage import read_peaks

VERSION = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lexicon", type=Path, help="folder of a discovered lexicon")
    parser.add_argument("data", type=Path, help="corpus directory, data/<corpus>")
    parser.add_argument("split", help="the split that was searched")
    parser.add_argument("out", type=Path, help="folder for words_<language>.tsv and .json, elan/ and praat/")
    args = parser.parse_args()

    scores = args.lexicon / "scores.json"
    tags = [str(tag) for tag in read_json(scores)["languages"]]
    peaks, clusters = read_peaks(args.lexicon, tags)
    counts = []
    for side, tag in enumerate(tags):
        languages = [tag, *(other for other in tags if other != tag)]
        speech = SpeechSet.load(args.data / "speech" / f"{args.split}_{tag}")
        links = significant_links(args.lexicon / "lexicon.tsv", tags, side)
        words = found_words(peaks, side, clusters[side].labels, links)
        if foreign := sorted(set(words) - set(speech.ids)):
            raise UsageError(f"{speech.path} has no caption '{foreign[0]}': it is not the set that was searched")
        recordings = by_recording(speech, words)
        write_elan(args.out / "elan", recordings, languages, scores.stat().st_mtime)
        write_praat(args.out / "praat", recordings, languages)
        write_words(args.out, recordings, languages)
        remove_annotations(args.out, private_recordings(speech))
        count = sum(len(recording.words) for recording in recordings)
        sure = sum(word.rank is not None for recording in recordings for _, word in recording.words)
        kind = "linked" if len(tags) > 1 else "of significant clusters"
        counts.append(f"{count} words in {len(recordings)} recordings in {tag}, {sure} of them {kind}")
        if private := sum(not speech.may_share(utt) for utt in words):
            counts.append(f"{private} captions kept back whose speakers did not agree to be shown")
    print(f"export_words: {'; '.join(counts)}")


if __name__ == "__main__":
    run_main(main)
