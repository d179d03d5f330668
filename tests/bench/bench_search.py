"""Time and memory of a search in 100,000 captions, beside a search that reads all embeddings. A script, not a test.

OMP_NUM_THREADS=2 python tests/bench/bench_search.py [--captions 100000] [--dim 128] [--frames 50] [--folder DIR]

It writes embeddings of captions and images that have 400 words in them, in a temporary folder (about 2.6 GB at the given
size, and 1.5 GB of index), opens them as utils/search.sh does and asks a few queries of each kind. The plain search scores
every caption from its embedding, as query by voice and retrieval do; it is timed on some of the captions and its time
multiplied. Answers are compared with those of the plain search on these captions.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import vgspeech
from vgspeech.archive import ArchiveWriter
from vgspeech.config import (
    AudioEncoderConfig,
    ExperimentConfig,
    FrontEndConfig,
    ImageEncoderConfig,
    SimilarityConfig,
    save_config,
)
from vgspeech.datadir import write_image_set, write_speech_set
from vgspeech.files import write_json
from vgspeech.lexicon.captions import FrameClock
from vgspeech.lexicon.voice_query import query_vectors, search_captions
from vgspeech.loaded import Caption, Picture
from vgspeech.localize.boxes import View
from vgspeech.models import build_model, save_weights
from vgspeech.search.find import Found, search_by_image, search_by_sentence, search_by_word
from vgspeech.search.searched_set import Place, SearchedSet
from vgspeech.tables import write_table

WORDS, WORD_FRAMES, GRID, CAPTIONS_AN_IMAGE = 400, 5, 7, 5
PLAIN_CAPTIONS, QUERIES, TOP = 500, 5, 10


def make(folder: Path, captions: int, frames: int, dim: int, similarity: str) -> Place:
    """A model of random weights, and embeddings as if it had learnt 400 words."""
    generator = np.random.default_rng(0)
    config = ExperimentConfig(
        languages=("en",),
        embedding_dim=dim,
        audio=AudioEncoderConfig(stem_width=8, widths=(8,), blocks=(1,), projection=True),
        image=ImageEncoderConfig(type="small", image_size=16, resize=16, stem_width=4, widths=(6,)),
        similarity=SimilarityConfig(type=similarity, normalise=True),  # type: ignore[arg-type]
        front_end_settings=FrontEndConfig(),
    )
    save_config(config, folder / "exp/bench/config.yaml")
    save_weights(build_model(config), folder / "exp/bench/best.pt")
    words = generator.normal(size=(WORDS, dim)).astype(np.float32)
    embed, data = folder / "exp/bench/eval/bench/test/embed", folder / "data/bench"
    images = [f"i{n:06d}" for n in range(-(-captions // CAPTIONS_AN_IMAGE))]
    shown = generator.integers(0, WORDS, (len(images), 3))
    with ArchiveWriter(embed / "images.ark", embed / "images.scp") as archive:
        for image, things in zip(images, shown, strict=True):
            cells = generator.normal(size=(GRID * GRID, dim)).astype(np.float32)
            for n, thing in enumerate(things):
                cells[16 * n : 16 * n + 6] += 2 * words[thing]
            archive.write(image, cells)
    write_table(embed / "grid_shape", dict.fromkeys(images, f"{GRID} {GRID}"))
    utts = {f"s{n % 97:02d}-{n:06d}": n // CAPTIONS_AN_IMAGE for n in range(captions)}
    with ArchiveWriter(embed / "en.ark", embed / "en.scp") as archive:
        for utt, number in sorted(utts.items()):
            said = generator.normal(size=(frames, dim)).astype(np.float32)
            for n, thing in enumerate(shown[number]):
                start = int(generator.integers(0, frames // 3 - WORD_FRAMES)) + n * (frames // 3)
                said[start : start + WORD_FRAMES] += 2 * words[thing]
            archive.write(utt, said)
    write_json(
        embed / "embed.json", {"frame_shift_s": {"en": 0.16}, "frame_offset_s": {"en": 0.08}, "untrained": False}
    )
    write_image_set(
        data / "images/test", paths={i: f"/none/{i}.jpg" for i in images}, sizes=dict.fromkeys(images, (16, 16))
    )
    write_speech_set(
        data / "speech/test_en",
        wav={utt: f"/none/{utt}.wav" for utt in utts},
        utt2spk={utt: utt[:3] for utt in utts},
        utt2lang=dict.fromkeys(utts, "en"),
        utt2dur=dict.fromkeys(utts, 0.16 * frames),
        utt2image={utt: images[number] for utt, number in utts.items()},
    )
    return Place(embed, data, "test")


Scores = np.ndarray


def question(
    of: SearchedSet, kind: str, some: list[str], image: str
) -> tuple[Callable[[], Found], Callable[[], Scores]]:
    """A search for what an image shows, or a caption of it says; and the plain search in some captions."""
    utt = of.captions_of[image][0][1]
    times, frames = of.embed.times["en"], of.caption("en", utt).frames
    if kind == "image":
        shown = Picture(of.picture(image).cells, View(0, 0, 16, 16))
        return (
            lambda: search_by_image(of, shown, ["en"], TOP),
            lambda: np.array([of.model.similarity(of.caption("en", u), shown) for u in some]),
        )
    if kind == "sentence":
        said = Caption("en", frames, times, 0.16 * len(frames))
        pooled = frames.mean(0) / np.linalg.norm(frames.mean(0))

        def plain() -> Scores:
            means = np.stack([of.sides["en"].frames[u].mean(0) for u in some])
            return means @ pooled / np.linalg.norm(means, axis=1)

        return lambda: search_by_sentence(of, said, ["en"], TOP), plain
    said = Caption("en", frames[:WORD_FRAMES], times, 0.8)
    word, usual = query_vectors({"": of.comparable("en", said.frames, None)}), of.background("en")
    return (
        lambda: search_by_word(of, said, ["en"], TOP),
        lambda: search_captions(
            word,
            {u: of.comparable("en", of.caption("en", u).frames, None) for u in some},
            usual,
            FrameClock(times.shift_s, times.offset_s),
        ).scores[0],
    )


def measure(of: SearchedSet, kind: str) -> str:
    """Median time of some queries, and how many times as long a plain search takes."""
    generator = np.random.default_rng(1)
    ids = of.index.captions("en").ids
    some, times, plain_times = ids[:PLAIN_CAPTIONS], [], []
    for _ in range(QUERIES):
        search, plain = question(of, kind, some, of.index.images.ids[int(generator.integers(len(of.index.images)))])
        started = time.perf_counter()
        found = search()
        times.append(time.perf_counter() - started)
        started = time.perf_counter()
        scores = plain()
        plain_times.append((time.perf_counter() - started) * len(ids) / len(some))
        listed = {caption.utt for caption in found.captions}
        missed = [
            u
            for u, score in zip(some, scores, strict=True)
            if score > found.captions[-1].score + 1e-4 and u not in listed
        ]
        assert not missed, f"{kind}: {missed} should have been found"
    ratio = float(np.median(plain_times) / np.median(times))
    return f"{np.median(times):.2f} s (first {times[0]:.2f} s); a plain search takes {ratio:.0f} times as long"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--similarity", default="MISA", choices=("SISA", "MISA", "SIMA"))
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        place = make(Path(name), args.captions, args.frames, args.dim, args.similarity)
        model = vgspeech.load(Path(name) / "exp/bench")
        opened = []
        for _ in range(2):  # the first time makes the index
            started = time.perf_counter()
            of = SearchedSet(model, place)
            opened.append(time.perf_counter() - started)
        size = sum(path.stat().st_size for path in of.index.folder.iterdir()) / 1e9
        print(f"{args.captions} captions of {args.frames} x {args.dim}, {args.similarity}")
        print(f"  index: made in {opened[0]:.0f} s, {size:.2f} GB; opened in {opened[1]:.1f} s")
        for kind in ("word", "image", "sentence"):
            print(f"  {kind}: {measure(of, kind)}", flush=True)
    print(
        f"  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB of memory at most, mapped files included"
    )


if __name__ == "__main__":
    main()
