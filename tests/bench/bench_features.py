"""Speed of stage 1: wavs to log-mel archives, one process, reading and writing included. A script, not a test.

    python tests/bench/bench_features.py [--hours 1.0] [--seconds 6.0]

Prints hours of sound for each hour of one core's time (processor time, so that other load counts little), with the
start of the process included and apart, and the ratio to a plain loop (soundfile, torchaudio, kaldiio) over the same
files.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000

PLAIN_LOOP = """
import sys
import kaldiio, soundfile, torch
from torchaudio.compliance.kaldi import fbank
torch.set_num_threads(1)
with kaldiio.WriteHelper(f"ark,scp:{sys.argv[2]}.ark,{sys.argv[2]}.scp") as writer:
    for line in open(sys.argv[1]):
        key, path = line.split()
        wave, rate = soundfile.read(path, dtype="float32")
        features = fbank(torch.from_numpy(wave * 32768)[None], num_mel_bins=40, window_type="hamming", snip_edges=False)
        writer(key, features.numpy())
"""


def synthesise(folder: Path, count: int, seconds: float) -> None:
    """A speech set of ``count`` wavs of noise under a slow envelope."""
    from vgspeech.datadir import write_speech_set

    generator = np.random.default_rng(1)
    (folder / "wav").mkdir(parents=True)
    ids = [f"u{number:05d}" for number in range(count)]
    samples = int(seconds * RATE)
    envelope = 0.1 * (1 + np.sin(np.arange(samples) / 1500))
    for name in ids:
        wave = generator.standard_normal(samples, dtype=np.float32) * envelope
        soundfile.write(folder / "wav" / f"{name}.wav", wave, RATE, subtype="PCM_16")
    write_speech_set(
        folder / "set",
        wav={name: str(folder / "wav" / f"{name}.wav") for name in ids},
        utt2spk={name: name for name in ids},
        utt2lang=dict.fromkeys(ids, "en"),
        utt2dur=dict.fromkeys(ids, seconds),
        utt2image=dict.fromkeys(ids, "image"),
    )


def run(*command: str) -> tuple[float, float]:
    """Run a command; its processor time and wall time in seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pylib"), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - started


def stage(folder: Path) -> tuple[float, float]:
    config = ROOT / "egs" / "places" / "conf" / "fbank.yaml"
    verb = [
        sys.executable,
        "-m",
        "vgspeech.bin.make_features",
        "--data-dir",
        str(folder / "set"),
        "--config",
        str(config),
    ]
    return run(*verb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="hours of sound")
    parser.add_argument("--seconds", type=float, default=6.0, help="seconds an utterance")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT / "pylib"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthesise(folder / "one", 1, args.seconds)
        synthesise(folder / "all", round(args.hours * 3600 / args.seconds), args.seconds)
        stage(folder / "one")
        start, _ = stage(folder / "one")
        used, wall = stage(folder / "all")
        scp = str(folder / "all" / "set" / "wav.scp")
        plain, _ = run(sys.executable, "-c", PLAIN_LOOP, scp, str(folder / "plain"))
    sound = args.hours * 3600
    times = f"{used:.2f} s for {args.hours:g} h; wall {wall:.2f} s"
    print(f"stage 1: {sound / used:,.0f} x real time a core, start included ({times})")
    print(f"         {sound / (used - start):,.0f} x real time a core without the start ({start:.2f} s)")
    print(f"         plain loop {sound / plain:,.0f} x real time; stage 1 takes {used / plain:.2f} of its time")


if __name__ == "__main__":
    main()
