"""Speed and memory of what feeds training. A script, not a test.

OMP_NUM_THREADS=1 PYTHONPATH=pylib python tests/bench/bench_data_path.py [--pairs 512] [--utterances 400000]

1. Pairs a second on one core, from memory (captions of 10 s, images of 256 pixels, no decoding) to a batch of 64 of 224
   pixels: against a plain statement of the same (a random crop by torchvision, an image at a time, normalised in float32;
   captions padded to 2,048 frames with numpy), in the same run.
   Then the same with nothing in memory: packed JPEG files of 256 pixels, decoded at every step.
2. Start-up with many utterances: seconds and memory until the first batch can be planned. Nothing is kept in memory but ids
   (image_cache_gb, feature_cache_gb 0).
3. Two workers of a DataLoader that read every record of that set once: memory of their own (pages that a process writes to
   are copied, and a reference count of a Python object is such a write), after a tenth of the epoch and after all of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, get_worker_info

from vgspeech.archive import ArchiveWriter, BlobWriter
from vgspeech.config import (
    AugmentConfig,
    ExperimentConfig,
    FrontEndConfig,
    ImageEncoderConfig,
    TrainingConfig,
    save_config,
)
from vgspeech.images import to_tensor
from vgspeech.tables import write_table
from vgspeech.training.data import EpochBatches
from vgspeech.training.training_set import load_training_set

FRAMES, BINS, SIDE, SIZE, BATCH = 1000, 40, 256, 224, 64
AUGMENT = {
    "random resized crops, time and frequency masks": AugmentConfig(
        image_crop_scale=0.3, image_flip=True, time_mask=40, frequency_mask=8
    ),
    "the same with tempo and mel changes": AugmentConfig(
        image_crop_scale=0.3, image_flip=True, time_mask=40, frequency_mask=8, tempo=0.1, mel_warp=0.1
    ),
    "random resized crops, speed perturbation": AugmentConfig(image_crop_scale=0.3, speed=(0.9, 1.0, 1.1)),
    "random resized crops only": AugmentConfig(image_crop_scale=0.3),
    "centre squares, shifted and flipped": AugmentConfig(image_shift=16, image_flip=True),
    "the same with time and frequency masks": AugmentConfig(
        image_shift=16, image_flip=True, time_mask=40, frequency_mask=8
    ),
    "the same with masks and speed perturbation": AugmentConfig(
        image_shift=16, image_flip=True, time_mask=40, frequency_mask=8, speed=(0.9, 1.0, 1.1)
    ),
    "nothing changed": AugmentConfig(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--utterances", type=int, default=400_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        start_up(Path(folder) / "large", args.utterances)
        throughput(Path(folder) / "small", args.pairs)


def settings(augment: AugmentConfig, cache_gb: float) -> ExperimentConfig:
    training = TrainingConfig(batch_size=BATCH, image_cache_gb=cache_gb, feature_cache_gb=cache_gb)
    config = ExperimentConfig(
        languages=("en",), image=ImageEncoderConfig(image_size=SIZE, resize=SIDE), augment=augment, training=training
    )
    return dataclasses.replace(config, front_end_settings=FrontEndConfig())


def throughput(data: Path, pairs: int) -> None:
    generator = np.random.default_rng(0)
    (data / "images/train").mkdir(parents=True)
    (data / "speech/train_en/feats").mkdir(parents=True)
    ids = [f"i{number:05}" for number in range(pairs)]
    with BlobWriter(data / "images/train/packed.ark", data / "images/train/packed.scp") as images:
        for image in ids:
            stream = io.BytesIO()
            smooth_picture(generator).save(stream, "JPEG", quality=90)
            images.write(image, stream.getvalue())
    folder = data / "speech/train_en"
    with ArchiveWriter(folder / "feats/fbank.1.ark", folder / "feats/fbank.scp") as feats:
        for image in ids:
            feats.write(image, generator.normal(size=(FRAMES, BINS)).astype(np.float32))
    write_table(folder / "utt2image", {image: image for image in ids})
    base = plain(pairs)
    print(f"plain statement: {base:.0f} pairs a second of processor time")
    for name, augment in AUGMENT.items():
        config = settings(augment, 4.0)
        training_set = load_training_set(config, data, "train")
        batches = EpochBatches(training_set, config, 1, 0, 1)
        rates = [timed(batches, BATCH) for _ in range(3)]
        print(f"{name}: {max(rates):.0f} pairs a second of processor time, {max(rates) / base:.1f} times as many")
    for name in ("nothing changed", "random resized crops, time and frequency masks"):
        config = settings(AUGMENT[name], 0.0)
        rate = timed(EpochBatches(load_training_set(config, data, "train"), config, 1, 0, 1), BATCH)
        print(f"{name}, decoded every time: {rate:.0f} pairs a second of processor time")


def smooth_picture(generator: np.random.Generator) -> Image.Image:
    """256 pixels with the detail of a photograph, more or less: noise decodes slower than any picture."""
    small = Image.fromarray(generator.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8))
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def timed(batches: Any, size: int) -> float:
    started = time.process_time()
    for number in range(len(batches)):
        batches[number]
    return len(batches) * size / (time.process_time() - started)


def plain(pairs: int) -> float:
    """One pair after another, as the released loaders do it."""
    from torchvision.transforms import v2

    change = v2.Compose([v2.RandomResizedCrop(SIZE, scale=(0.3, 1.0), antialias=True), v2.RandomHorizontalFlip()])
    images = [torch.randint(0, 256, (SIDE, SIDE, 3), dtype=torch.uint8) for _ in range(BATCH)]
    captions = [np.random.default_rng(0).normal(size=(FRAMES, BINS)).astype(np.float32) for _ in range(BATCH)]
    started = time.process_time()
    for _ in range(pairs // BATCH):
        torch.stack([to_tensor(change(image.permute(2, 0, 1)).permute(1, 2, 0)) for image in images])
        torch.from_numpy(np.stack([np.pad(caption, ((0, 2048 - FRAMES), (0, 0))) for caption in captions]))
    return pairs / (time.process_time() - started)


def start_up(data: Path, utterances: int) -> None:
    """The ids of a large corpus over the few records that are read."""
    generator = np.random.default_rng(0)
    (data / "images/train").mkdir(parents=True)
    folder = data / "speech/train_en"
    (folder / "feats").mkdir(parents=True)
    stream = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(stream, "JPEG")
    with BlobWriter(data / "one.ark", data / "one.scp") as images:
        images.write("x", stream.getvalue())
    with ArchiveWriter(data / "two.ark", data / "two.scp") as feats:
        feats.write("x", generator.normal(size=(FRAMES, BINS)).astype(np.float32))
    places = {name: (data / f"{name}.scp").read_text().split(maxsplit=1)[1] for name in ("one", "two")}
    ids = [f"{number % 1000:03}-places205-{number:06}" for number in range(utterances)]
    ids.sort()
    with open(data / "images/train/packed.scp", "w") as scp, open(folder / "feats/fbank.scp", "w") as other:
        for name in ids:
            scp.write(f"{name}.jpg {places['one']}")
            other.write(f"{name} {places['two']}")
    write_table(folder / "utt2image", {name: f"{name}.jpg" for name in ids})
    save_config(FrontEndConfig(), folder / "feats/fbank.yaml")
    del ids
    # In a fresh process, with no memory of what was just written.
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent)!r}); "
    subprocess.run(
        [sys.executable, "-c", code + f"import bench_data_path as b; b.measure_start({str(data)!r})"], check=True
    )


def measure_start(data: str) -> None:
    torch.set_num_threads(1)
    config = settings(AugmentConfig(), 0.0)
    before, used = memory("VmHWM"), time.process_time()
    elapsed = time.perf_counter()
    training_set = load_training_set(config, Path(data), "train")
    used, elapsed = time.process_time() - used, time.perf_counter() - elapsed
    print(
        f"start-up, {training_set.summary}: {used:.2f} s of processor time ({elapsed:.2f} s), "
        f"{memory('VmHWM') - before:.0f} MB at most, {memory('VmRSS') - before:.0f} MB kept"
    )
    workers(training_set, config)


def workers(training_set: Any, config: ExperimentConfig) -> None:
    """An epoch of large batches through worker processes, which say at every tenth of it what they have of their own."""
    batches = EpochBatches(training_set, config, 1, 0, 1)
    seen: dict[int, list[float]] = {}
    loader = DataLoader(
        Touched(batches), batch_size=None, sampler=range(len(batches)), num_workers=2, collate_fn=lambda sizes: sizes
    )
    for worker, size in loader:
        seen.setdefault(int(worker), []).append(float(size))
    for worker, sizes in sorted(seen.items()):
        first, tenth, last = sizes[0], sizes[len(sizes) // 10], sizes[-1]
        growth = f"{tenth - first:+.1f} MB after a tenth of the records, {last - first:+.1f} MB after all"
        print(f"worker {worker}: {first:.1f} MB of its own at first, {growth}")


class Touched(Dataset[tuple[int, float]]):
    """Reads what a batch of ``batches`` reads but pixels, by the ids of all its rows."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> tuple[int, float]:
        data, plan = self.batches._data, self.batches.plans[step]
        for image in plan.images:
            data.pictures._packed.keys_array[data.pictures._lines[image]].decode()
        for language, rows in plan.captions.items():
            captions = data.captions[language]
            for caption in rows:
                captions.features._reader.read(int(captions.features._lines[caption]))
        worker = get_worker_info()
        assert worker is not None
        return worker.id, private()


def memory(name: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


def private() -> float:
    """Memory that this process shares with no other, in MB."""
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    lines = [line for line in rollup if line.startswith(("Private_Dirty", "Private_Clean"))]
    return sum(int(line.split()[1]) for line in lines) / 1024


if __name__ == "__main__":
    main()
