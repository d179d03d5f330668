"""Time and memory of reading a large release into data directories, recordings and images untouched. A script, no test.

    python tests/bench/bench_corpora.py [--records 400000] [--aligned] [--folder /tmp]

Writes metadata in the form of Places Audio English, then prepares data directories from it in a process of its own in
which headers are taken to be good, and prints seconds and peak memory of that process, its start included. Beside it
stand what merely parsing the JSON file takes, and the check of the finished directories that the scripts add.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("there", "is", "a", "red", "house", "next", "to", "the", "river", "with", "trees", "and", "snow")

PARSE = "import json, sys; json.load(open(sys.argv[1], encoding='utf-8'))"
PREPARE = """
import sys
from pathlib import Path
from vgspeech.corpora import checks, clips
from vgspeech.corpora.headers import Header
from vgspeech.corpora.places import read_english
from vgspeech.corpora.prepare import Settings, prepare
from vgspeech.corpora.truth import Truth
checks.audio_header = clips.image_header = lambda path: Header("", 9.5, 256, 256)
checks.read_headers = clips.read_headers = lambda read, paths, *rest: dict.fromkeys(paths, Header("", 9.5, 256, 256))
root = Path(sys.argv[1])
done = prepare(read_english(root), [], root / "data", Settings(root), Truth())
print(sum(made.utterances for made in done.sets), "utterances")
"""
VALIDATE = """
import sys
from pathlib import Path
from vgspeech.validation import validate_image_set, validate_speech_set
for path in sorted((Path(sys.argv[1]) / "data/speech").iterdir()):
    images = path.parents[1] / "images" / path.name.rpartition("_")[0]
    print(validate_speech_set(path, images=images).rpartition("/")[2], end="; ")
    print(validate_image_set(images).rpartition("/")[2], end="; ")
"""


def write_release(root: Path, records: int, aligned: bool) -> Path:
    """Metadata of ``records`` captions in train and 1,000 in dev; returns the file of train."""
    (root / "metadata").mkdir()
    (root / "wavs").mkdir()
    for split, first, count in (("train_2020", 0, records), ("dev_seen_2020", records, 1000)):
        data = []
        for number in range(first, first + count):
            words = [WORDS[(number * 7 + k * k) % len(WORDS)] for k in range(20)]
            speaker = f"A{number % 2683:013d}"
            record = {
                "uttid": f"{speaker}-GSUN_{number:032X}",
                "speaker": speaker,
                "asr_text": " ".join(words),
                "wav": f"wavs/{number % 500}/utterance_{number}.wav",
                "image": f"{'abcdefgh'[number % 8]}/place_{number % 205}/gsun_{number:032x}.jpg",
            }
            if aligned:
                record["text_alignment"] = alignment(words, number)
            data.append(record)
        top = {"image_base_path": "/data/images", "audio_base_path": "/data/audio", "data": data}
        (root / "metadata" / f"{split}.json").write_text(json.dumps(top), encoding="utf-8")
    return root / "metadata/train_2020.json"


def alignment(words: Sequence[str], number: int) -> str:
    """Word times as an aligner gives them: on a grid of 10 ms, of varying lengths, with a pause now and then."""
    items, at = [], 10 + number % 70
    for k, word in enumerate(words):
        at += 0 if (number + k) % 5 else 7 + (number * k) % 40
        end = at + 8 + (number * 31 + k * 17) % 45
        items.append(f"{at / 100:.2f}__{word.upper()}__{end / 100:.2f}")
        at = end
    return " ".join(items)


def measure(name: str, code: str, *arguments: Path) -> float:
    """Run Python code and print its seconds, processor seconds and peak memory; returns the processor seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib"), "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read().decode().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, used = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    print(f"{name:10} {seconds:6.1f} s {used:6.1f} s of processor time {usage.ru_maxrss / 1024:6.0f} MB   {said}", flush=True)
    if process.returncode:
        sys.exit(process.returncode)
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--aligned", action="store_true", help="with word times, which become ctm files")
    parser.add_argument("--folder", help="where the temporary folder is made; needs 1 GB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        metadata = write_release(Path(folder), args.records, args.aligned)
        print(f"{metadata.stat().st_size / 2**20:.0f} MiB of metadata")
        parsed = measure("parse", PARSE, metadata)
        prepared = measure("prepare", PREPARE, Path(folder))
        measure("validate", VALIDATE, Path(folder))
        print(f"prepare takes {prepared / parsed:.1f} times the processor time of parsing")


if __name__ == "__main__":
    main()
