"""Speed and memory of the data-directory tools on a large speech set. A script, not a test.

    python tests/bench/bench_data_tools.py [--utterances 400000] [--words 20] [--folder /tmp]

Makes a set with word times and features in a temporary folder, runs validate, split, subset and combine through the
scripts of utils/, and prints the seconds and the peak memory of each, the start of Python included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("लाल", "घर", "red", "square", "blue", "circle", "next", "to", "वृत्त", "the")
RECORD = b"\0BFM \4\1\0\0\0\4\1\0\0\0\0\0\0\0"  # one frame of one bin


def make_set(path: Path, utterances: int, words: int) -> None:
    """Write the set line by line; a speaker has 200 utterances, an image four."""
    (path / "feats").mkdir(parents=True)
    names = [f"spk{i // 200:05d}-utt{i:07d}" for i in range(utterances)]
    tables = {
        "wav.scp": lambda i, u: f"{u} /corpora/places/wavs/{i % 997}/{u}.wav\n",
        "utt2spk": lambda i, u: f"{u} {u[:8]}\n",
        "utt2lang": lambda i, u: f"{u} en\n",
        "utt2dur": lambda i, u: f"{u} {1 + i % 1000 / 100:.2f}\n",
        "utt2image": lambda i, u: f"{u} images%2Fa%2F{i // 4:08d}\n",
        "text": lambda i, u: f"{u} {' '.join(WORDS[(i + k) % 10] for k in range(words))}\n",
        "feats/fbank.utt2num_frames": lambda i, u: f"{u} 1\n",
        "ctm": lambda i, u: "".join(f"{u} 1 {0.31 * k:.2f} 0.25 {WORDS[(i + k) % 10]}\n" for k in range(words)),
    }
    for name, line in tables.items():
        with open(path / name, "w", encoding="utf-8") as stream:
            stream.writelines(line(i, u) for i, u in enumerate(names))
    with open(path / "spk2utt", "w") as stream:
        for first in range(0, utterances, 200):
            stream.write(f"{names[first][:8]} {' '.join(names[first : first + 200])}\n")
    with open(path / "feats/fbank.1.ark", "wb") as ark, open(path / "feats/fbank.scp", "w") as scp:
        for name in names:
            ark.write(name.encode() + b" ")
            scp.write(f"{name} {path}/feats/fbank.1.ark:{ark.tell()}\n")
            ark.write(RECORD)
    (path / "feats/fbank.yaml").write_text("num_mel_bins: 1\n")
    (path / "feats.scp").symlink_to("feats/fbank.scp")
    (path / "utt2num_frames").symlink_to("feats/fbank.utt2num_frames")


def measure(name: str, *arguments: str | Path) -> None:
    """Run a tool and print its seconds, processor seconds and peak memory."""
    environment = {**os.environ, "VGS_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = [str(ROOT / "utils" / f"{name}_data_dir.sh"), *map(str, arguments)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, memory = time.perf_counter() - started, usage.ru_maxrss / 1024
    used = usage.ru_utime + usage.ru_stime
    print(f"{name:9} {seconds:6.1f} s {used:6.1f} s of processor time {memory:6.0f} MB   {said}", flush=True)
    if process.returncode:
        sys.exit(process.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=400_000)
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--folder", help="where the temporary folder is made; needs 2 GB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        data = Path(folder) / "train_en"
        make_set(data, args.utterances, args.words)
        measure("validate", data)
        measure("split", data, "8")
        measure("subset", "--images", data, str(args.utterances // 8), Path(folder) / "half_en")
        measure("combine", Path(folder) / "again_en", *(data / "split8" / str(job) for job in range(1, 9)))


if __name__ == "__main__":
    main()
