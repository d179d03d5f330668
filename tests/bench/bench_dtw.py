"""Speed of the DTW baseline: 400 x 400 captions of mean length 290 frames, one core. A script, not a test.

OMP_NUM_THREADS=1 python tests/bench/bench_dtw.py [--captions 400]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from vgspeech.baselines.dtw import dtw_costs, dtw_features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=400)
    captions = parser.parse_args().captions
    rng = np.random.default_rng(0)
    sides = [[dtw_features(rng.normal(size=(rng.integers(150, 430), 40))) for _ in range(captions)] for _ in range(2)]
    started, used = time.perf_counter(), time.process_time()
    dtw_costs(*sides)
    elapsed, used = time.perf_counter() - started, time.process_time() - used
    print(f"{captions} x {captions} captions: {elapsed:.1f} s, {used:.1f} s of processor time")


if __name__ == "__main__":
    main()
