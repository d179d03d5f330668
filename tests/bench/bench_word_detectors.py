"""Time and memory of scoring word detectors at the size of Places: 400,000 captions of 10 s in 20 ms codes. A script.

OMP_NUM_THREADS=1 python tests/bench/bench_word_detectors.py [--captions 400000] [--folder DIR]

It makes codes (about 2.5 kB a caption) and word times in a temporary folder, scores them in a process of its own as
steps/score_word_detectors.sh does, and for comparison counts some captions by a plain loop over frames and words.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.files import write_json
from vgspeech.stats.aligned_words import AlignedWords

SHIFT_S, SECONDS, CODES, WORDS, WORDS_A_CAPTION = 0.02, 10, 1024, 20_000, 20
PLAIN_CAPTIONS = 200


def make(folder: Path, captions: int) -> None:
    """Random codes in runs of about 3 frames, and words of Zipf's frequencies."""
    random = np.random.default_rng(0)
    frames = round(SECONDS / SHIFT_S)
    names = [f"s{i % 1000:04d}-{i:06d}" for i in range(captions)]
    names.sort()
    chance = 1 / np.arange(1, WORDS + 1)
    chance /= chance.sum()
    (folder / "utt2spk").write_text("".join(f"{name} {name[:5]}\n" for name in names))
    with ArchiveWriter(folder / "codes.ark", folder / "codes.scp") as archive:
        for name in names:
            archive.write(name, np.repeat(random.integers(0, CODES, frames // 3 + 1, dtype=np.int32), 3)[:frames])
    with open(folder / "ctm", "w") as stream:
        for start in range(0, captions, 1000):
            ids = random.choice(WORDS, (1000, WORDS_A_CAPTION), p=chance).tolist()
            for name, said in zip(names[start : start + 1000], ids, strict=False):
                stream.writelines(f"{name} 1 {0.5 * i:.3f} 0.43 w{word}\n" for i, word in enumerate(said))
    write_json(
        folder / "codes.json",
        {"num_codes": CODES, "frame_shift_s": SHIFT_S, "frame_offset_s": SHIFT_S / 2, "layer": "bench"},
    )


def plain(folder: Path) -> float:
    """Seconds a caption of a loop over frames and words, both sides."""
    words = AlignedWords.read(folder / "ctm")
    reader = ArchiveReader(folder / "codes.scp")
    codes = [(utt, reader[utt]) for utt in islice(reader, PLAIN_CAPTIONS)]
    started = time.perf_counter()
    frames: dict[tuple[int, int], int] = {}
    tokens: dict[tuple[int, int], int] = {}
    for utt, sequence in codes:
        said = list(zip(*(part.tolist() for part in words[utt]), strict=True))
        for f, code in enumerate(sequence.tolist()):
            centre = (f + 0.5) * SHIFT_S
            for word in {word for word, start, end in said if start < centre + 0.04 and end >= centre - 0.04}:
                frames[code, word] = frames.get((code, word), 0) + 1
        for word, start, end in said:
            for code in set(sequence[int(start / SHIFT_S) : int(np.ceil(end / SHIFT_S))].tolist()):
                tokens[code, word] = tokens.get((code, word), 0) + 1
    return (time.perf_counter() - started) / len(codes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=400_000)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        make(folder, args.captions)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "vgspeech.bin.score_word_detectors", folder, folder], check=True)
        elapsed = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(os.path.getsize(folder / part) for part in ("codes.ark", "ctm")) / 1e9
        loop = plain(folder)
    print(
        f"{args.captions} captions ({size:.2f} GB): {elapsed:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processor "
        f"time, {used.ru_maxrss / 1e6:.2f} GB; a plain loop takes {loop * args.captions / elapsed:.1f} times as long"
    )


if __name__ == "__main__":
    main()
