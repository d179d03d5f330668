"""List the best images of every embedded caption, and the best captions of every image.

Captions whose speakers did not agree to be shown (utt2share) are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from vgspeech.archive import ArchiveReader
from vgspeech.config import ExperimentConfig, load_config
from vgspeech.datadir import read_private
from vgspeech.errors import UsageError, run_main
from vgspeech.tables import read_table, write_tsv

if TYPE_CHECKING:
    from vgspeech.matches import Best

VERSION = 2
CAPTIONS_HEADER = ("utterance", "language", "rank", "image", "score", "own")
IMAGES_HEADER = ("image", "language", "rank", "utterance", "score", "own")


def listed(best: Best, ids: Sequence[str], others: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """Each item with one of its best ones of the other side, their rank and score."""
    for name, items, scores in zip(ids, best.items.tolist(), best.scores.tolist(), strict=True):
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
            yield name, others[item], str(rank), f"{score:.5g}"


def belonging(utt2image: Mapping[str, str], utt: str, image: str) -> str:
    """Whether a caption describes an image: yes, no, or - where nobody says."""
    return "-" if utt not in utt2image else "yes" if utt2image[utt] == image else "no"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--top", type=int, default=10, help="how many of each")
    parser.add_argument("model", type=Path, help="model directory (config.yaml)")
    parser.add_argument("embed", type=Path, help="embed/ folder of the split")
    parser.add_argument("data", type=Path, help="corpus directory; says which image is a caption's own, where that is known")
    parser.add_argument("split")
    parser.add_argument("out", type=Path, help="folder for captions.tsv and images.tsv")
    args = parser.parse_args()
    if args.top < 1:
        raise UsageError(f"--top must be at least 1, not {args.top}")

    from vgspeech.embedding import embedded_languages, stored_captions, stored_images
    from vgspeech.matches import best_matches
    from vgspeech.retrieval import caption_image_scores

    similarity = load_config(ExperimentConfig, args.model / "config.yaml").similarity
    pooled_only = similarity.type == "SISA"
    grids = ArchiveReader(args.embed / "images.scp")
    image_ids = list(grids)
    images = stored_images(args.embed, grids, image_ids, pooled_only)
    kept_back = 0
    of_captions: list[tuple[str, ...]] = []
    of_images: list[tuple[str, ...]] = []
    for language in embedded_languages(args.embed):
        frames = ArchiveReader(args.embed / f"{language}.scp")
        speech = args.data / "speech" / f"{args.split}_{language}"
        private = read_private(speech)
        utts = [utt for utt in frames if utt not in private]
        kept_back += len(frames) - len(utts)
        if not utts:
            continue
        own = read_table(speech / "utt2image") if (speech / "utt2image").is_file() else {}
        captions = stored_captions(frames, utts, [own.get(utt, "") for utt in utts], pooled_only)
        scores = caption_image_scores(captions, images, similarity)
        by_caption, by_image = best_matches(scores, len(utts), len(image_ids), args.top)
        for utt, image, *found in listed(by_caption, utts, image_ids):
            of_captions.append((utt, language, found[0], image, found[1], belonging(own, utt, image)))
        for image, utt, *found in listed(by_image, image_ids, utts):
            of_images.append((image, language, found[0], utt, found[1], belonging(own, utt, image)))
    write_tsv(args.out / "captions.tsv", CAPTIONS_HEADER, of_captions)
    write_tsv(args.out / "images.tsv", IMAGES_HEADER, sorted(of_images, key=itemgetter(0)))
    captioned = len({row[:2] for row in of_captions})
    print(
        f"Listed the best images of {captioned} captions and the best captions of {len(image_ids)} images in {args.out}"
        f"{f'; {kept_back} captions may not be shown and are not listed' if kept_back else ''}."
    )


if __name__ == "__main__":
    run_main(main)
