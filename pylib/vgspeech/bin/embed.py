"""Embed the captions and images of splits: one of several jobs; --merge joins what the jobs wrote."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgspeech.archive import ArchiveReader, ArchiveWriter, merge_scps
from vgspeech.config import ExperimentConfig, load_config
from vgspeech.datadir import feature_scp, present_languages
from vgspeech.errors import DataError, UsageError, run_main
from vgspeech.files import read_json, write_json
from vgspeech.tables import read_table, write_table

if TYPE_CHECKING:
    from vgspeech.models import GroundingModel

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Part:
    """A job's part of a split: what is embedded, and the folder it goes to."""

    data: Path
    split: str
    out: Path
    job: int
    num_jobs: int


def embed(args: argparse.Namespace) -> None:
    """One job's share of every split."""
    import torch

    from vgspeech import embedding
    from vgspeech.models import load_model

    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    embedding.full_float32()
    config = load_config(ExperimentConfig, args.model / "config.yaml")
    trained = None if args.untrained else load_model(args.model, args.device)
    for split, out in zip(args.split, args.out, strict=True):
        model = trained or embedding.untrained_model(config, args.data, split).to(args.device)
        embed_part(Part(args.data, split, out, args.job, args.num_jobs), model, config)


def embed_part(part: Part, model: GroundingModel, config: ExperimentConfig) -> None:
    """Captions and images of one split, and the times of their frames."""
    part.out.mkdir(parents=True, exist_ok=True)
    languages = present_languages(config, part.data, part.split)
    counts = [f"{embed_captions(part, model, config, language)} captions in {language}" for language in languages]
    counts.append(f"{embed_images(part, model)} images")
    # Only models know when their frames are, and joining the jobs' tables shall not wait for a model.
    times = {language: model.audio_info(language) for language in languages}
    frame_times = {
        "frame_shift_s": {language: time.frame_shift_s for language, time in times.items()},
        "frame_offset_s": {language: time.frame_offset_s for language, time in times.items()},
    }
    write_json(part.out / f"frame_times.{part.job}.json", frame_times)
    print(f"Embedded {', '.join(counts)} of {part.split} (job {part.job} of {part.num_jobs}).")


def embed_captions(part: Part, model: GroundingModel, config: ExperimentConfig, language: str) -> int:
    """Frames of a language's captions, as far as they are this job's; how many."""
    from vgspeech import embedding

    scp = feature_scp(part.data, part.split, language, config)
    embedding.check_front_end(scp.with_suffix(".yaml"), config)
    features = ArchiveReader(scp)
    blocks = embedding.blocks_of_job(features, part.job, part.num_jobs)
    target = part.out / f"{language}.{part.job}"
    with ArchiveWriter(Path(f"{target}.ark"), Path(f"{target}.scp")) as writer:
        embedded = embedding.embed_speech(model, language, features, blocks)
        what = f"embeddings of {part.split}_{language}"
        share = (list(features), part.job, part.num_jobs)
        for utterance, frames in embedding.with_room_for_all(embedded, target, *share, what):
            writer.write(utterance, frames.numpy())
    return sum(map(len, blocks))


def embed_images(part: Part, model: GroundingModel) -> int:
    """Cells of the images, as far as they are this job's; how many."""
    from vgspeech import embedding
    from vgspeech.images import PackedImages

    images = PackedImages(part.data / "images" / part.split / "packed.scp")
    blocks = embedding.blocks_of_job(images.ids, part.job, part.num_jobs)
    target = part.out / f"images.{part.job}"
    shapes = {}
    with ArchiveWriter(Path(f"{target}.ark"), Path(f"{target}.scp")) as writer:
        embedded = embedding.embed_images(model, images, blocks)
        share = (images.ids, part.job, part.num_jobs)
        for image, grid in embedding.with_room_for_all(embedded, target, *share, f"embeddings of the images of {part.split}"):
            shapes[image] = f"{grid.shape[0]} {grid.shape[1]}"
            writer.write(image, grid.flatten(0, 1).numpy())
    write_table(part.out / f"grid_shape.{part.job}", shapes)
    return len(shapes)


def merge(args: argparse.Namespace) -> None:
    """For every split one table of each kind, checked against what there was to embed, and ``embed.json``."""
    config = load_config(ExperimentConfig, args.model / "config.yaml")
    about = {"model": str(args.model), "untrained": args.untrained}
    for split, out in zip(args.split, args.out, strict=True):
        merge_split(Part(args.data, split, out, 1, args.num_jobs), config, about)


def merge_split(part: Part, config: ExperimentConfig, about: dict[str, Any]) -> None:
    """Join what all jobs wrote of one split; ``about`` is the beginning of its ``embed.json``."""
    from vgspeech.images import PackedImages

    out, jobs = part.out, range(1, part.num_jobs + 1)
    counts = []
    for what in [*present_languages(config, part.data, part.split), "images"]:
        found = merge_scps([out / f"{what}.{job}.scp" for job in jobs], out / f"{what}.scp")
        if what == "images":
            wanted = len(PackedImages(part.data / "images" / part.split / "packed.scp").ids)
        else:
            wanted = len(ArchiveReader(feature_scp(part.data, part.split, what, config)))
        if found != wanted:
            hint = "embed again (stage 5)"
            raise DataError(f"{found} embeddings, {wanted} expected", where=str(out / f"{what}.scp"), hint=hint)
        counts.append(f"{found} images" if what == "images" else f"{found} captions in {what}")
    shapes = [out / f"grid_shape.{job}" for job in jobs]
    write_table(out / "grid_shape", {image: shape for table in shapes for image, shape in read_table(table).items()})
    times = [out / f"frame_times.{job}.json" for job in jobs]
    about = {**about, **read_json(times[0]), "similarity": dataclasses.asdict(config.similarity)}
    for path in (*shapes, *times):
        path.unlink()
    write_json(out / "embed.json", about)
    print(f"Embedded {part.split}: {', '.join(counts)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="corpus directory, data/<corpus>")
    parser.add_argument("--split", action="append", required=True, help="repeatable, each with its --out")
    parser.add_argument("--out", type=Path, action="append", required=True, help="embed/ folder of the split")
    parser.add_argument("--job", type=int, default=1)
    parser.add_argument("--num-jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--untrained", action="store_true", help="the weights that training starts from, as a baseline")
    parser.add_argument("--merge", action="store_true", help="join what all jobs wrote")
    args = parser.parse_args()
    if not 1 <= args.job <= args.num_jobs:
        raise UsageError(f"--job {args.job} is not in 1 to --num-jobs {args.num_jobs}")
    if len(args.split) != len(args.out):
        raise UsageError(f"{len(args.split)} --split and {len(args.out)} --out: each split needs a folder")
    (merge if args.merge else embed)(args)


if __name__ == "__main__":
    run_main(main)
