"""Metadata of every corpus, damaged at random: the reader and what follows it up to written data directories."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import lookalikes
from clip_files import spoken_moments
from fuzz_cases import count, mutate
from small_release import SmallRelease, write_image, write_wav
from vgspeech.corpora.captions import Release
from vgspeech.corpora.coco import read_spoken_coco
from vgspeech.corpora.division import side_by_side
from vgspeech.corpora.flickr8k import read_flickr8k
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.japanese import read_japanese
from vgspeech.corpora.manifest import Roots, read_manifest
from vgspeech.corpora.moments import read_spoken_moments
from vgspeech.corpora.objectnet import read_objectnet
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.prepare import Settings, prepare_division
from vgspeech.corpora.speechcoco import read_speech_coco
from vgspeech.corpora.truth import Truth, read_truth
from vgspeech.errors import DataError
from vgspeech.validation import validate_image_set, validate_speech_set

Reader = Callable[[], tuple[list[Release], Truth]]
HEADER = "image\twav\tlang\tspeaker\tstart\tend\ttext\tshare\tsplit\n"
LINE = "img/{0}.jpg\trec/{0}.wav\tfr\tawa\t0.1\t0.3\tun mot\tyes\t{1}\n"


def prepare(folder: Path) -> Callable[[Path, int], None]:
    """Lay out all corpora below ``folder``; a case damages one metadata file, reads and prepares, and puts it back."""
    readers = _lay_out(folder)
    work = folder / "work"
    work.mkdir()
    os.fsync = lambda descriptor: None  # the disk's pace is not what is tested

    def case(_: Path, seed: int) -> None:
        rng = random.Random(seed)
        path, images, read = readers[rng.randrange(len(readers))]
        whole = path.read_bytes()
        path.write_bytes(_with_odd_text(whole, rng) if rng.random() < 0.5 else mutate(whole, rng))
        os.chdir(work)
        try:
            releases, truth = read()
            settings = Settings(images, max_bad=1, allow_overlap=True)
            done = prepare_division(side_by_side(releases), releases, Path("data/x"), settings, truth)
            for made in done.sets:
                validate_speech_set(f"data/x/speech/{made.name}")
                validate_image_set(f"data/x/images/{made.name.rpartition('_')[0]}")
            count("prepared")
        except DataError as error:
            assert error.what
            count("refused")
        finally:
            path.write_bytes(whole)

    return case


ODD = (
    "../../../etc/passwd", "/etc/shadow", "", " ", "x |", "| x", "a:1", "\\u0000", "\\ud800", "nan", "inf", "-1", "1e999",
    "9" * 400, "é", "e\u0301", "\u2028", "\u00a0", "\ufeff", "\t", "%2F", "~/x", "null", "[]", "{}",
    "a" * 5000, "$(touch x)", "#", "__",
)  # fmt: skip


def _with_odd_text(content: bytes, rng: random.Random) -> bytes:
    """A file in which one word between quotes, blanks or tabs has become an odd one."""
    text = content.decode("utf-8")
    marks = [index for index, letter in enumerate(text) if letter in '"\t\n #']
    start = rng.choice(marks[:-1] or [0])
    end = next((mark for mark in marks if mark > start), len(text))
    return (text[: start + 1] + rng.choice(ODD) + text[end:]).encode("utf-8")


def _lay_out(folder: Path) -> list[tuple[Path, Path, Reader]]:
    """(metadata file, root of images, reader) of every kind."""
    small = SmallRelease(folder / "places", images=3)
    for name, make in (("flickr", lookalikes.flickr8k), ("speech", lookalikes.speech_coco), ("son", lookalikes.objectnet)):
        (folder / name).mkdir()
        make(folder / name)
    (folder / "coco").mkdir()
    lookalikes.spoken_coco(folder / "coco")
    splits = lookalikes.karpathy(folder / "coco")
    names = {split: [record["image"] for record in small.english[split]] for split in ("train", "dev")}
    lookalikes.japanese(small.images.parent, {"train": names["train"], "valid": names["dev"]})
    truth = _truth(folder / "truth", names["train"][0])
    own = _own(folder / "own")
    flickr, coco, speech, son = (folder / name for name in ("flickr", "coco", "speech", "son"))
    places: list[tuple[Path, Path, Reader]] = [
        (small.english_root / "metadata/train.json", small.images, lambda: ([read_english(small.english_root)], Truth())),
        (small.hindi_root / "PlacesHindi_small_train.json", small.images, lambda: ([read_hindi(small.hindi_root)], Truth())),
        (
            folder / "places/ja/PlacesAudioJpn_100k_image2audio_train.txt", small.images,
            lambda: ([read_japanese(folder / "places/ja")], Truth()),
        ),
    ]  # fmt: skip
    side: list[tuple[Path, Path, Reader]] = [
        (path, small.images, lambda: ([read_english(small.english_root)], read_truth(truth))) for path in sorted(truth.iterdir())
    ]
    texts = [flickr / "audio/wav2capt.txt", flickr / "audio/wav2spk.txt", *sorted((flickr / "text").iterdir())]
    read_flickr: Reader = lambda: _one(*read_flickr8k(flickr / "audio", flickr / "text"))  # noqa: E731
    cocos: list[tuple[Path, Path, Reader]] = [
        (coco / "coco/SpokenCOCO_train.json", coco / "images", lambda: ([read_spoken_coco(coco / "coco")], Truth())),
        (splits, coco / "images", lambda: ([read_spoken_coco(coco / "coco", splits)], Truth())),
        (
            speech / "speech/train2014/json/1_10_Phil_None_0-9.json", speech / "images",
            lambda: _one(*read_speech_coco(speech / "speech")),
        ),
        (son / "son/metadata/SON-train.json", son / "images", lambda: ([read_objectnet(son / "son")], Truth())),
    ]  # fmt: skip
    (folder / "moments").mkdir()
    spoken_moments(folder / "moments")
    clips: list[tuple[Path, Path, Reader]] = [
        (path, folder / "moments/videos", lambda: ([read_spoken_moments(folder / "moments/smit")], Truth()))
        for path in sorted((folder / "moments/smit/metadata").iterdir())
    ]
    manifests: list[tuple[Path, Path, Reader]] = [(path, own[0].parent, _manifest(path)) for path in own]
    return [*places, *side, *((path, flickr / "images", read_flickr) for path in texts), *cocos, *clips, *manifests]


def _one(release: Release, truth: Truth) -> tuple[list[Release], Truth]:
    return [release], truth


def _manifest(path: Path) -> Reader:
    return lambda: (read_manifest(path, Roots(path.parent, path.parent), Fractions(0.2, 0.2)), Truth())


def _truth(folder: Path, image: str) -> Path:
    folder.mkdir()
    (folder / "lexicon.tsv").write_text("concept\ten\thi\ncat\tcat\tबिल्ली\n", encoding="utf-8")
    (folder / "objects.tsv").write_text(f"image\tconcept\tcolour\tx0\ty0\tx1\ty1\n{image}\tcat\tred\t1\t2\t9\t8\n")
    (folder / "ctm_en").write_text("wavs/0/train_0.wav 1 0.25 0.5 cat\n")
    (folder / "ctm_phones_en").write_text("wavs/0/train_0.wav 1 0.1 0.05 k\n")
    return folder


def _own(folder: Path) -> list[Path]:
    for number in range(6):
        write_image(folder / f"img/{number}.jpg")
        write_wav(folder / f"rec/{number}.wav", 0.4)
    lines = [LINE.format(number, ("train", "dev", "test")[number % 3]) for number in range(6)]
    table = HEADER + "".join(lines)
    (folder / "a.tsv").write_text(table)
    (folder / "b.csv").write_text(table.replace("\t", ","))
    rows = [dict(zip(HEADER.split(), line.rstrip("\n").split("\t"), strict=True)) for line in lines]
    (folder / "c.json").write_text(json.dumps(rows, indent=1))
    return [folder / name for name in ("a.tsv", "b.csv", "c.json")]
