"""Speed and memory of the peak search: pairs of 62 x 62 frames of 1024 numbers, read again and again from an archive of
2,000 pairs. A script, not a test.

OMP_NUM_THREADS=1 python tests/bench/bench_peaks.py [--pairs 4000] [--folder DIR]

Beside it stands the plain baseline: reading the frames and multiplying those of each pair, nothing else. Time is linear in
pairs, so the figure for 100,000 pairs is that of the measured ones times 100,000 / pairs, and two jobs halve it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.lexicon.captions import CaptionFrames, FrameClock, ImageCaptions, caption_blocks
from vgspeech.lexicon.peaks import PeakOptions, peaks_of_blocks

FRAMES, DIMENSION, STORED = 62, 1024, 2000
CLOCK = FrameClock(0.16, 0.0)


def repeated(folder: Path, language: str, pairs: int) -> ArchiveReader:
    """The archive's captions, over and over: caption i is stored caption i modulo their number."""
    places = [line.split(" ", 1)[1] for line in (folder / f"{language}.scp").read_text().splitlines()]
    scp = folder / f"{language}.{pairs}.scp"
    scp.write_text("".join(f"{i:06d} {places[i % STORED]}\n" for i in range(pairs)))
    return ArchiveReader(scp)


def write_frames(folder: Path) -> None:
    """Two languages of frames that have some words in common."""
    random = np.random.default_rng(0)
    words = random.standard_normal((200, DIMENSION), dtype=np.float32)
    for language in "ab":
        with ArchiveWriter(folder / f"{language}.ark", folder / f"{language}.scp") as archive:
            for i in range(STORED):
                said = np.repeat(random.choice(words, 13), 5, axis=0)[:FRAMES]
                archive.write(f"{i:05d}", said + 2 * random.standard_normal(said.shape, dtype=np.float32))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Elapsed and processor seconds of a call."""
    elapsed, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - elapsed, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--folder", type=Path, help="keeps the 1 GB archive there; by default it is removed again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / "b.scp").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_frames(folder)
        mean = np.zeros(DIMENSION, np.float32)
        a, b = (CaptionFrames(repeated(folder, tag, args.pairs), mean) for tag in "ab")
        images = [ImageCaptions(f"{i:06d}", (f"{i:06d}",), (f"{i:06d}",)) for i in range(args.pairs)]

        def search(pairs: int, background: int) -> None:
            options = PeakOptions(background=background)
            blocks = caption_blocks(images[:pairs], options.block_size(), 1)
            for _ in peaks_of_blocks(blocks, a, b, (CLOCK, CLOCK), options, rough=True):
                pass

        search(100, 20)
        runs = {
            "reading and one product a pair": lambda: [a[i.image] @ b[i.image].T for i in images],
            "peaks, nothing subtracted": lambda: search(args.pairs, 0),
            "peaks": lambda: search(args.pairs, PeakOptions().background),
        }
        for name, work in runs.items():
            elapsed, used = seconds(work)
            whole = used / args.pairs * 100_000 / 2
            print(f"{name}: {elapsed:.1f} s, {used:.1f} s of processor time; 100,000 pairs on 2 cores {whole:.0f} s")
        half = seconds(lambda: search(args.pairs // 2, PeakOptions().background))[1]
        print(f"half of the pairs take {half / used:.2f} of the time")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
