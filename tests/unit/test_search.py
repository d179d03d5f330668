"""Search by an image, a word or a sentence: what is found and where, what is never shown, and what is refused."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import vgspeech
from micro_corpus import FRONT_END, micro_config
from planted_corpus import COLOURS, CONCEPTS, DIMENSIONS, NOUNS, SIDE, Planted, make_planted
from test_report import Page
from vgspeech.bin import search as verb
from vgspeech.config import AudioEncoderConfig, SimilarityConfig, save_config
from vgspeech.errors import DataError, UsageError, VgspeechError
from vgspeech.files import read_json, write_json
from vgspeech.loaded import Caption, LoadedModel
from vgspeech.models import build_model, save_weights
from vgspeech.search.find import Found, search_by_image, search_by_sentence, search_by_word
from vgspeech.search.searched_set import Place, SearchedSet, choose_set
from vgspeech.tables import read_tsv, write_table

SCENES = 18
VECTORS = dict(zip(CONCEPTS, np.eye(DIMENSIONS, dtype=np.float32), strict=False))
SILENCE = np.eye(DIMENSIONS, dtype=np.float32)[DIMENSIONS - 1]


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """A corpus with a known answer; its model has random weights, but the embeddings are the planted ones."""
    monkeypatch.chdir(tmp_path)
    return with_model(make_planted(Path(), scenes=SCENES))


def with_model(planted: Planted) -> Planted:
    """Gives the corpus's model random weights."""
    config = dataclasses.replace(
        micro_config(),
        embedding_dim=DIMENSIONS,
        similarity=SimilarityConfig(normalise=True),
        front_end_settings=FRONT_END,
    )
    config = dataclasses.replace(config, image=dataclasses.replace(config.image, image_size=SIDE, resize=SIDE))
    assert isinstance(config.audio, AudioEncoderConfig)
    save_config(config, planted.model / "config.yaml")
    torch.manual_seed(0)
    save_weights(build_model(config), planted.model / "best.pt")
    for lang in ("en", "hi"):  # without default features no frame is taken for silence; the planted ones are noise
        (planted.data / f"speech/test_{lang}/feats.scp").unlink()
    return planted


@pytest.fixture
def of(planted: Planted) -> SearchedSet:
    return SearchedSet(vgspeech.load(planted.model), choose_set(planted.model, None))


def object_of(number: int) -> tuple[str, str]:
    return NOUNS[number % 3], COLOURS[number // 3 % 3]


def spoken(of: SearchedSet, *vectors: np.ndarray) -> Caption:
    return Caption("en", np.stack(vectors), of.embed.times["en"], 0.1 * len(vectors))


def numbers(found: Found, language: str) -> list[int]:
    return [int(caption.utt.split("-")[1]) for caption in found.captions if caption.language == language]


@pytest.mark.parametrize("simtype", [None, "MISA"])
def test_an_image_finds_its_captions_and_their_words(of: SearchedSet, simtype: str | None) -> None:
    found = search_by_image(of, of.picture("scene4"), ["en", "hi"], 4, simtype)  # type: ignore[arg-type]
    assert (found.searched_captions, found.searched_images) == (2 * SCENES, SCENES)
    for language in ("en", "hi"):
        assert {object_of(number) for number in numbers(found, language)[:2]} == {object_of(4)}  # said of two scenes
        assert len(numbers(found, language)) == 4
    best = found.captions[0]
    assert (
        best.best is not None and 0.15 <= best.best[0] < best.best[1] <= 0.65
    )  # colour and noun, not the silence around
    lit = best.matchmap[2:6].mean(0)
    x, y = 4 % 2 * 2, 4 // 2 % 2 * 2
    assert (
        lit[y : y + 2, x : x + 2].min()
        > np.delete(lit.ravel(), [(y + i) * 4 + x + j for i in (0, 1) for j in (0, 1)]).max()
    )
    assert {object_of(int(image.image.removeprefix("scene"))) for image in found.images[:2]} == {object_of(4)}
    assert found.images[0].score == pytest.approx(1)


def test_a_word_finds_where_it_is_said_in_every_language_and_what_shows_it(of: SearchedSet) -> None:
    found = search_by_word(of, spoken(of, VECTORS["dog"], VECTORS["dog"]), ["en", "hi"], 6)
    dogs = {number for number in range(SCENES) if object_of(number)[0] == "dog"}
    for language in ("en", "hi"):
        assert set(numbers(found, language)) == dogs
    for caption in found.captions:
        assert (
            caption.best is not None and 0.25 <= caption.best[0] <= 0.45 and 0.5 <= caption.best[1] <= 0.7
        )  # said from 0.4 to 0.6
        assert caption.answer.argmax() in (4, 5) and caption.answer.shape == (7,)
    assert {int(image.image.removeprefix("scene")) for image in found.images} == dogs
    for image in found.images:
        number = int(image.image.removeprefix("scene"))
        y, x = np.unravel_index(image.lit.argmax(), image.lit.shape)
        assert (x // 2, y // 2) == (number % 2, number // 2 % 2)


def test_a_sentence_finds_captions_that_say_the_same(of: SearchedSet) -> None:
    said = spoken(of, 3 * SILENCE, VECTORS["red"], VECTORS["cat"], 3 * SILENCE)
    found = search_by_sentence(of, said, ["hi"], 2)
    assert {object_of(number) for number in numbers(found, "hi")} == {("cat", "red")}
    assert {object_of(int(image.image.removeprefix("scene"))) for image in found.images} == {("cat", "red")}
    again = search_by_sentence(of, said, ["hi"], 2, "MISA")
    assert {object_of(int(image.image.removeprefix("scene"))) for image in again.images} == {("cat", "red")}


def test_scores_are_those_of_the_model(of: SearchedSet) -> None:
    """Every caption of every kind of similarity, ties included: in silence all of them answer alike to SIMA."""
    shown, said = of.picture("scene4"), spoken(of, VECTORS["red"], VECTORS["cat"], SILENCE)
    for simtype in ("SISA", "MISA", "SIMA"):
        for caption in search_by_image(of, shown, ["hi"], SCENES, simtype).captions:
            wanted = of.model.similarity(of.caption("hi", caption.utt), shown, simtype)
            assert caption.score == pytest.approx(wanted, abs=1e-6)
        found = search_by_sentence(of, said, ["hi"], SCENES, simtype)
        for image in found.images:
            assert image.score == pytest.approx(of.model.similarity(said, of.picture(image.image), simtype), abs=1e-6)
        assert [image.score for image in found.images] == sorted((image.score for image in found.images), reverse=True)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["search.py", *map(str, arguments)])
    here = Path.cwd()
    try:
        verb.main()
    finally:
        monkeypatch.chdir(here)


def refused(monkeypatch: pytest.MonkeyPatch, kind: type[VgspeechError], message: str, *arguments: object) -> None:
    with pytest.raises(kind, match=message):
        run(monkeypatch, *arguments)


def test_table_and_page(planted: Planted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    picture = planted.data / "files/scene4.png"
    run(monkeypatch, "--show", picture, "--top", 3, planted.model)
    head, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert head == ["kind", "rank", "id", "language", "image", "score", "start", "end", "x", "y"]
    assert [row[0] for row in rows] == 6 * ["caption"] + 3 * ["image"] and [row[1] for row in rows] == 3 * [
        "1",
        "2",
        "3",
    ]
    assert all(len(row) == len(head) for row in rows)
    run(monkeypatch, "--show", picture, "--top", 3, "--lang", "hi", "--out", "found", planted.model)
    assert "page " in capsys.readouterr().out
    table = list(read_tsv("found/results.tsv", head))
    assert [cells[0] for _, cells in table] == 3 * ["caption"] + 3 * ["image"]
    content = Path("found/index.html").read_text(encoding="utf-8")
    page = Page(content)
    assert page.count("article", "scene") == 3 and page.count("figure") == 3 and page.count("audio") == 3
    assert not re.search(r"https?://", content)
    run(monkeypatch, "--show", picture, "--top", 3, "--no-audio", "--out", "silent", planted.model)
    silent = Page(Path("silent/index.html").read_text(encoding="utf-8"))
    assert silent.count("audio") == 0 and silent.count("button", "clip") == 0 and silent.count("article", "scene") == 6


def test_recordings_of_any_rate_and_number_of_channels(
    planted: Planted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    wave = 0.2 * generator.normal(size=35280) * np.repeat([0.01, 1, 0.02, 1], 8820)
    soundfile.write("stereo.wav", np.stack([wave, 0.5 * wave], axis=1), 44100)
    soundfile.write("long.flac", np.tile(wave, 3)[::2], 22050)
    for file, kind in (("stereo.wav", "word"), ("long.flac", "sentence")):
        run(monkeypatch, "--speak", file, "--spoken", "en", "--top", 2, "--out", kind, planted.model)
        assert f"search.sh: {kind} {file}: 4 captions and 2 images" in capsys.readouterr().out
        page = Page(Path(f"{kind}/index.html").read_text(encoding="utf-8"))
        assert page.count("article", "scene") == 4 and page.count("figure") == 2
    run(monkeypatch, "--speak", "stereo.wav", "--spoken", "hi", "--as", "sentence", "--simtype", "MISA", planted.model)
    assert "sentence stereo.wav" in capsys.readouterr().err


def test_recordings_that_may_not_be_shared_are_never_found(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = [f"en-{number}" for number in range(SCENES) if object_of(number) == object_of(4)]
    write_table(
        planted.data / "speech/test_en/utt2share",
        {f"en-{n}": "no" if f"en-{n}" in hidden else "yes" for n in range(SCENES)},
    )
    run(monkeypatch, "--show", planted.data / "files/scene4.png", "--top", SCENES, "--out", "found", planted.model)
    table, page = (Path(f"found/{name}").read_text(encoding="utf-8") for name in ("results.tsv", "index.html"))
    found = {line.split("\t")[2] for line in table.splitlines()}
    assert len(found & {f"en-{n}" for n in range(SCENES)}) == SCENES - len(hidden) and not found & set(hidden)
    assert f"hi-{hidden[0][3:]}" in found
    assert all(f"play {utt}" not in page and f">{utt} " not in page for utt in hidden)


def test_mistakes_are_named(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, model = planted.data / "files/scene4.png", planted.model
    soundfile.write("silent.wav", np.zeros(16000), 16000)
    soundfile.write("hour.wav", np.zeros(16000 * 61), 16000)
    Path("broken.wav").write_bytes(b"RIFF1234WAVE")
    Path("note.jpg").write_text("not an image\n")
    for kind, message, *arguments in (
        (DataError, "none.wav: cannot be opened", "--speak", "none.wav", "--spoken", "en", model),
        (DataError, "broken.wav: ", "--speak", "broken.wav", "--spoken", "en", model),
        (DataError, "silent.wav: is silent", "--speak", "silent.wav", "--spoken", "en", model),
        (DataError, "hour.wav: is 61 s long; a query may have 60 s", "--speak", "hour.wav", "--spoken", "en", model),
        (DataError, "none.jpg: cannot be read", "--show", "none.jpg", model),
        (DataError, "note.jpg: is a text file", "--show", "note.jpg", model),
        (UsageError, "which language is the recording in", "--speak", "silent.wav", model),
        (UsageError, "--spoken: the model does not know 'bam'", "--speak", "silent.wav", "--spoken", "bam", model),
        (UsageError, "--lang: the set has no captions in 'bam'", "--show", picture, "--lang", "bam", model),
        (UsageError, "they go with --speak", "--show", picture, "--as", "word", model),
        (UsageError, "--top must be at least 1", "--show", picture, "--top", 0, model),
        (UsageError, "--simtype is for images", "--speak", "silent.wav", "--as", "word", "--simtype", "MISA", model),
        (UsageError, "no embedded set 'x/y' \\(there are: planted/test\\)", "--show", picture, "--set", "x/y", model),
        (UsageError, "go together", "--show", picture, "--embed", planted.embed, model),
        (DataError, "no_model", "--show", picture, "exp/no_model"),
    ):
        refused(monkeypatch, kind, message, *arguments)


def test_sets_that_cannot_be_searched(planted: Planted, of: SearchedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, place = (
        planted.data / "files/scene4.png",
        ("--embed", planted.embed, "--data", planted.data, "--split", "test"),
    )
    about = read_json(planted.embed / "embed.json")
    write_json(planted.embed / "embed.json", {**about, "untrained": True})
    refused(monkeypatch, DataError, "another model \\(with untrained weights", "--show", picture, *place, planted.model)
    write_json(planted.embed / "embed.json", {**about, "frame_shift_s": {"bam": 0.1}})
    refused(monkeypatch, DataError, "the model does not know bam", "--show", picture, *place, planted.model)
    write_json(planted.embed / "embed.json", about)
    shapes = (planted.embed / "images.scp").read_text()
    (planted.embed / "images.scp").unlink()
    refused(
        monkeypatch, DataError, "images.scp: the set has no embedded images", "--show", picture, *place, planted.model
    )
    (planted.embed / "images.scp").write_text("")
    refused(monkeypatch, DataError, "the set is empty", "--show", picture, *place, planted.model)
    (planted.embed / "images.scp").write_text(shapes)
    other = dataclasses.replace(of.model.config, embedding_dim=8)
    save_config(other, Path("exp/other/config.yaml"))
    save_weights(build_model(other), "exp/other/best.pt")
    refused(
        monkeypatch,
        DataError,
        "embedded by another model: in 16 dimensions, not 8",
        "--show",
        picture,
        *place,
        "exp/other",
    )
    refused(monkeypatch, UsageError, "exp/other has no embedded set to search", "--show", picture, "exp/other")


def test_a_set_of_one_image_and_its_captions(planted: Planted) -> None:
    model: LoadedModel = vgspeech.load(planted.model)
    folder = Path("one")
    for name in ("en", "hi", "images"):
        folder.mkdir(exist_ok=True)
        line = (planted.embed / f"{name}.scp").read_text().splitlines()[0]
        (folder / f"{name}.scp").write_text(line + "\n")
    write_table(folder / "grid_shape", {"scene0": "4 4"})
    write_json(folder / "embed.json", read_json(planted.embed / "embed.json"))
    of = SearchedSet(model, Place(folder, planted.data, "test"), Path("index"))
    found = search_by_image(of, of.picture("scene0"), ["en", "hi"], 5)
    assert [caption.utt for caption in found.captions] == ["en-0", "hi-0"] and len(found.images) == 1
    assert len(search_by_word(of, spoken(of, VECTORS["cat"]), ["hi"], 5).captions) == 1


def test_an_image_file_is_seen_as_the_set_was(planted: Planted) -> None:
    """Larger than the model's view, and not square: the marked point lies where the model looked."""
    Image.new("RGB", (300, 200), "red").save("wide.png")
    picture = vgspeech.load(planted.model).embed_image("wide.png")
    assert (picture.view.x0, picture.view.x1, picture.view.y0, picture.view.y1) == (50, 250, 0, 200)
