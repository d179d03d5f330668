"""One long recording, cut by a table, by a tier or by Kaldi's segments, gives what ten files of the same samples give: features,
embeddings, scores, matchmaps and search hits.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from praatio import textgrid

from embedded_micro import run, write_model
from micro_corpus import FRONT_END, micro_config
from vgspeech.archive import ArchiveReader
from vgspeech.bin import plot_matchmaps, prepare_manifest, score_retrieval, search
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.features import make_features, merge_features
from vgspeech.files import read_json
from vgspeech.images import merge_packed, pack_images

RATE = 16000
LENGTHS_MS = [600 + 35 * number for number in range(10)]
STARTS_MS = [sum(LENGTHS_MS[:number]) + 150 * number for number in range(10)]
WAYS = {
    "table": ("--manifest", "cuts.tsv"),
    "tier": ("--manifest", "long.tsv", "--tier", "picture"),
    "segments": ("--kaldi", "kaldi", "--audio", ".", "--images", "."),
}


def plant(folder: Path) -> None:
    """Ten pictures; ten recordings and the same ones in a long recording with noise between, described in four ways."""
    (folder / "kaldi").mkdir(parents=True)
    generator = np.random.default_rng(3)
    long = generator.integers(-3000, 3000, STARTS_MS[-1] * 16 + LENGTHS_MS[-1] * 16 + RATE).astype(np.int16)
    table, cuts, spans = ["image\twav\tlang\tspeaker"], ["image\twav\tlang\tspeaker\tstart\tend"], []
    tables: dict[str, list[str]] = {name: [] for name in ("segments", "utt2spk", "utt2lang", "utt2image")}
    for number, (start, length) in enumerate(zip(STARTS_MS, LENGTHS_MS, strict=True)):
        piece = slice(16 * start, 16 * (start + length))
        seconds = np.arange(16 * length) / RATE
        long[piece] = 6000 * np.sin(2 * np.pi * (300 + 250 * number) * seconds + 9 * seconds**2) + long[piece] / 9
        soundfile.write(folder / f"{number}.wav", long[piece], RATE, "PCM_16")
        pixels = generator.integers(0, 90, (24, 32, 3), dtype=np.uint8)
        pixels[4:20, 4:20] = [25 * number, 255 - 25 * number, 90 * number % 256]
        Image.fromarray(pixels).save(folder / f"p{number}.png")
        table.append(f"p{number}.png\t{number}.wav\tbam\tawa")
        start_s, end_s = start / 1000, (start + length) / 1000
        cuts.append(f"p{number}.png\tlong.wav\tbam\tawa\t{start_s}\t{end_s}")
        spans.append((start_s, end_s, f"p{number}"))
        lines = (f"long {start_s} {end_s}", "awa", "bam", f"p{number}.png")
        for name, value in zip(tables, lines, strict=True):
            tables[name].append(f"awa-{number:02} {value}")
    soundfile.write(folder / "long.wav", long, RATE, "PCM_16")
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("picture", spans, 0, len(long) / RATE))
    grid.save(str(folder / "long.TextGrid"), format="long_textgrid", includeBlankSpaces=True)
    tables["wav.scp"] = ["long long.wav"]
    files = {"files.tsv": table, "cuts.tsv": cuts, "long.tsv": ["wav\tlang\tspeaker", "long.wav\tbam\tawa"]}
    for name, lines in (files | {f"kaldi/{name}": lines for name, lines in tables.items()}).items():
        (folder / name).write_text("\n".join(lines) + "\n")


class Results(NamedTuple):
    """Of each way; captions are called by their pictures."""

    features: dict[str, Any]
    embeddings: dict[str, Any]
    images: dict[str, Any]
    scores: dict[str, Any]
    matchmaps: dict[str, Any]
    pictures: dict[str, bytes]
    found: list[list[str]]


def call(monkeypatch: pytest.MonkeyPatch, verb: Any, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [verb.__name__, *map(str, words)])
    here = Path.cwd()
    verb.main()
    monkeypatch.chdir(here)


def results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own: Path, work: Path, *options: str
) -> Results:
    """Stages 0 to 7 and two searches, with a model of random weights."""
    monkeypatch.chdir(own)
    data, model = work / "data/own", write_model(work / "exp/m", config())
    call(monkeypatch, prepare_manifest, "--dev", 0, "--test", 0, "--max-bad", 0, *options, data)
    speech, images = SpeechSet.load(data / "speech/train_bam"), ImageSet.load(data / "images/train")
    make_features(speech, FRONT_END, 1, 1)
    merge_features(speech, FRONT_END, 1, 0)
    pack_images(images, 1, 1, 256)
    merge_packed(images, 1, 0)
    eval_dir = model / "eval/own/train"
    for job in ("--job=1", "--merge"):
        run(monkeypatch, "--model", model, "--data", data, "--split", "train", "--out", eval_dir / "embed", job)
    call(monkeypatch, score_retrieval, model, eval_dir / "embed", data, "train", eval_dir / "results.json")
    maps = eval_dir / "matchmaps"
    call(monkeypatch, plot_matchmaps, "--captions", 1, model, eval_dir / "embed", data, "train", maps)
    place = ("--embed", eval_dir / "embed", "--data", data, "--split", "train", "--top", 10)
    found: list[list[str]] = []
    for query in (("--show", "p3.png"), ("--speak", "5.wav", "--as", "word"), ("--speak", "7.wav", "--as", "sentence")):
        capsys.readouterr()
        call(monkeypatch, search, *query, *place, model)
        rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        found += [[speech.utt2image.get(cell, cell) for cell in row] for row in rows[1:]]
    entries = read_json(maps / "captions.json")["captions"]

    def by_picture(path: Path) -> dict[str, Any]:
        return {speech.utt2image[utt]: array for utt, array in ArchiveReader(path).items()}

    return Results(
        by_picture(speech.path / "feats.scp"),
        by_picture(eval_dir / "embed/bam.scp"),
        dict(ArchiveReader(eval_dir / "embed/images.scp")),
        read_json(eval_dir / "results.json"),
        by_picture(maps / "maps.scp"),
        {entry["image"]: (maps / entry["picture"]).read_bytes() for entry in entries},
        found,
    )


def config() -> Any:
    return dataclasses.replace(micro_config(), languages=("bam",))


def same_arrays(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_a_recording_cut_in_ten_gives_what_ten_files_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    plant(tmp_path / "own")
    files = results(monkeypatch, capsys, tmp_path / "own", tmp_path / "files", "--manifest", "files.tsv")
    assert len(files.embeddings) == len(files.images) == 10 and len(files.matchmaps) == len(files.pictures) == 1
    assert len(files.found) == 3 * 20 and len({str(grid) for grid in files.embeddings.values()}) == 10
    for name, options in WAYS.items():
        cuts = results(monkeypatch, capsys, tmp_path / "own", tmp_path / name, *options)
        for kind in ("features", "embeddings", "images", "matchmaps"):
            assert same_arrays(getattr(cuts, kind), getattr(files, kind)), (name, kind)
        for kind in ("scores", "pictures", "found"):
            assert getattr(cuts, kind) == getattr(files, kind), (name, kind)
