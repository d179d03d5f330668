"""Embed the captions and images of a split: one of several jobs; --merge joins what the jobs wrote."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from vgspeech.archive import ArchiveReader, ArchiveWriter, merge_scps
from vgspeech.config import ExperimentConfig, load_config
from vgspeech.datadir import feature_scp, present_languages
from vgspeech.errors import DataError, UsageError, run_main
from vgspeech.files import read_json, write_json
from vgspeech.tables import read_table, write_table

if TYPE_CHECKING:
    from vgspeech.models import GroundingModel

VERSION = 1


def embed(args: argparse.Namespace) -> None:
    """One job's share."""
    import torch

    from vgspeech import embedding
    from vgspeech.models import load_model

    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    embedding.full_float32()
    config = load_config(ExperimentConfig, args.model / "config.yaml")
    if args.untrained:
        model = embedding.untrained_model(config, args.data, args.split).to(args.device)
    else:
        model = load_model(args.model, args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    languages = present_languages(config, args.data, args.split)
    counts = [f"{embed_captions(args, model, config, language)} captions in {language}" for language in languages]
    counts.append(f"{embed_images(args, model)} images")
    # Only models know when their frames are, and joining the jobs' tables shall not wait for a model.
    times = {language: model.audio_info(language) for language in languages}
    frame_times = {
        "frame_shift_s": {language: time.frame_shift_s for language, time in times.items()},
        "frame_offset_s": {language: time.frame_offset_s for language, time in times.items()},
    }
    write_json(args.out / f"frame_times.{args.job}.json", frame_times)
    print(f"Embedded {', '.join(counts)} of {args.split} (job {args.job} of {args.num_jobs}).")


def embed_captions(args: argparse.Namespace, model: GroundingModel, config: ExperimentConfig, language: str) -> int:
    """Frames of a language's captions, as far as they are this job's; how many."""
    from vgspeech import embedding

    scp = feature_scp(args.data, args.split, language, config)
    embedding.check_front_end(scp.with_suffix(".yaml"), config)
    features = ArchiveReader(scp)
    blocks = embedding.blocks_of_job(features, args.job, args.num_jobs)
    target = args.out / f"{language}.{args.job}"
    with ArchiveWriter(Path(f"{target}.ark"), Path(f"{target}.scp")) as writer:
        embedded = embedding.embed_speech(model, language, features, blocks)
        what = f"embeddings of {args.split}_{language}"
        share = (list(features), args.job, args.num_jobs)
        for utterance, frames in embedding.with_room_for_all(embedded, target, *share, what):
            writer.write(utterance, frames.numpy())
    return sum(map(len, blocks))


def embed_images(args: argparse.Namespace, model: GroundingModel) -> int:
    """Cells of the images, as far as they are this job's; how many."""
    from vgspeech import embedding
    from vgspeech.images import PackedImages

    images = PackedImages(args.data / "images" / args.split / "packed.scp")
    blocks = embedding.blocks_of_job(images.ids, args.job, args.num_jobs)
    target = args.out / f"images.{args.job}"
    shapes = {}
    with ArchiveWriter(Path(f"{target}.ark"), Path(f"{target}.scp")) as writer:
        embedded = embedding.embed_images(model, images, blocks)
        share = (images.ids, args.job, args.num_jobs)
        for image, grid in embedding.with_room_for_all(embedded, target, *share, f"embeddings of the images of {args.split}"):
            shapes[image] = f"{grid.shape[0]} {grid.shape[1]}"
            writer.write(image, grid.flatten(0, 1).numpy())
    write_table(args.out / f"grid_shape.{args.job}", shapes)
    return len(shapes)


def merge(args: argparse.Namespace) -> None:
    """One table of each kind, checked against what there was to embed, and ``embed.json``."""
    from vgspeech.images import PackedImages

    config = load_config(ExperimentConfig, args.model / "config.yaml")
    languages = present_languages(config, args.data, args.split)
    jobs = range(1, args.num_jobs + 1)
    counts = []
    for what in [*languages, "images"]:
        found = merge_scps([args.out / f"{what}.{job}.scp" for job in jobs], args.out / f"{what}.scp")
        if what == "images":
            wanted = len(PackedImages(args.data / "images" / args.split / "packed.scp").ids)
        else:
            wanted = len(ArchiveReader(feature_scp(args.data, args.split, what, config)))
        if found != wanted:
            hint = "embed again (stage 5)"
            raise DataError(f"{found} embeddings, {wanted} expected", where=str(args.out / f"{what}.scp"), hint=hint)
        counts.append(f"{found} images" if what == "images" else f"{found} captions in {what}")
    parts = [args.out / f"grid_shape.{job}" for job in jobs]
    write_table(args.out / "grid_shape", {image: shape for part in parts for image, shape in read_table(part).items()})
    times = [args.out / f"frame_times.{job}.json" for job in jobs]
    about = {
        "model": str(args.model),
        "untrained": args.untrained,
        **read_json(times[0]),
        "similarity": dataclasses.asdict(config.similarity),
    }
    for part in (*parts, *times):
        part.unlink()
    write_json(args.out / "embed.json", about)
    print(f"Embedded {args.split}: {', '.join(counts)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="corpus directory, data/<corpus>")
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", type=Path, required=True, help="embed/ folder")
    parser.add_argument("--job", type=int, default=1)
    parser.add_argument("--num-jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--untrained", action="store_true", help="the weights that training starts from, as a baseline")
    parser.add_argument("--merge", action="store_true", help="join what all jobs wrote")
    args = parser.parse_args()
    if not 1 <= args.job <= args.num_jobs:
        raise UsageError(f"--job {args.job} is not in 1 to --num-jobs {args.num_jobs}")
    (merge if args.merge else embed)(args)


if __name__ == "__main__":
    run_main(main)
