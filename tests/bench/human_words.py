"""The isolated human words of $VGS_TEST_DATA (one speaker a language) as a manifest, and their truth. A script, not a test.

    tests/bench/human_words.py manifest DIR        writes DIR/manifest.tsv: English and Hindi, every image in the split test
    tests/bench/human_words.py truth DATA          adds lexicon.tsv and word times to the data directory made from it

RESULTS.md of egs/hindi_english says how they are used.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from vgspeech.datadir import SpeechSet, Word, write_ctm
from vgspeech.tables import write_tsv

LANGUAGES = ("en", "hi")


def records(source: Path) -> list[dict[str, Any]]:
    """Words that were recorded in both languages."""
    found: list[dict[str, Any]] = json.loads((source / "hindi_english_words/words.json").read_text(encoding="utf-8"))
    return found


def write_manifest(source: Path, folder: Path) -> None:
    """Paths are relative to ``source``."""
    rows = [
        (item["image"], clip["file"], clip["lang"], clip["speaker"], item["text"][clip["lang"]], "test")
        for item in records(source)
        for clip in item["audio"]
    ]
    write_tsv(folder / "manifest.tsv", ("image", "wav", "lang", "speaker", "text", "split"), rows)


def add_truth(source: Path, data: Path) -> None:
    """Each recording is its word, from its start to its end, whatever it consists of."""
    words = {item["id"]: [item["text"][tag].replace(" ", "_") for tag in LANGUAGES] for item in records(source)}
    write_tsv(data / "lexicon.tsv", ("concept", *LANGUAGES), ((name, *said) for name, said in sorted(words.items())))
    clips = {(source / clip["file"]).resolve(): clip for item in records(source) for clip in item["audio"]}
    said = {clip["file"]: words[item["id"]][LANGUAGES.index(clip["lang"])] for item in records(source) for clip in item["audio"]}
    for tag in LANGUAGES:
        speech = SpeechSet.load(data / "speech" / f"test_{tag}")
        times = {}
        for utt in speech.ids:
            clip = clips[Path(speech.audio_location(utt)[0]).resolve()]
            start, end = clip["speech"]
            times[utt] = [Word(start, end, said[clip["file"]])]
        write_ctm(speech.path / "ctm", times)
        (speech.path / "text").write_text("".join(f"{utt} {words[0].text}\n" for utt, words in sorted(times.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("manifest", "truth"))
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    source = Path(os.environ["VGS_TEST_DATA"]).resolve()
    (write_manifest if args.what == "manifest" else add_truth)(source, args.folder)


if __name__ == "__main__":
    main()
