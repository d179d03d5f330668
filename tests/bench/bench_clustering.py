"""Time and memory of clustering peaks: unit vectors of 1,024 numbers in a memory map. A script, not a test.

OMP_NUM_THREADS=1 python tests/bench/bench_clustering.py [--peaks 1000000] [--clusters 1000] [--folder DIR]

The folder (4 GB for a million peaks) must not lie in memory, as /tmp does on some machines.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from vgspeech.lexicon.clusters import ClusterOptions, cluster_language
from vgspeech.lexicon.peaks import Peaks
from vgspeech.stats.kmeans import forget, unit_rows

DIMENSION, CHUNK = 1024, 10_000


def planted(peaks: int, clusters: int, noise: float, path: Path) -> Peaks:
    """Peaks around random centres, written in chunks."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((clusters, DIMENSION), dtype=np.float32)
    vectors = np.memmap(path, np.float32, mode="w+", shape=(peaks, DIMENSION))
    for start in range(0, peaks, CHUNK):
        part = vectors[start : start + CHUNK]
        around = noise * random.standard_normal(part.shape, dtype=np.float32)
        part[:] = unit_rows(centres[random.integers(clusters, size=len(part))] + around)
        forget(vectors)
    utts = [f"u{i // 10:06d}" for i in range(peaks)]
    times = np.zeros((peaks, 3))
    times[:, 0] = np.arange(peaks) % 10
    return Peaks(utts, utts, utts, times, times, np.ones(peaks, np.float32), vectors, vectors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peaks", type=int, default=1_000_000)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=2.0, help="deviation of a peak from its centre, whose own is 1")
    parser.add_argument("--folder", type=Path, help="where the map of vectors lies for the time of the run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        peaks = planted(args.peaks, args.clusters, args.noise, Path(folder) / "vectors")
        speakers = dict.fromkeys(peaks.utt_a, "s")
        started, used = time.perf_counter(), time.process_time()
        found = cluster_language(peaks, "a", "en", speakers, ClusterOptions(num_clusters=args.clusters), 1)
        elapsed, used = time.perf_counter() - started, time.process_time() - used
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{args.peaks} peaks, {len(found)} clusters: {elapsed:.0f} s, {used:.0f} s of processor time, {usage:.2f} GiB")


if __name__ == "__main__":
    main()
