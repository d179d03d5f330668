"""The index of a search: its bounds hold, so that its answers are those of a search that reads every embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lexicon_simulation import CLOCK
from vgspeech.archive import ArchiveReader, ArchiveWriter
from vgspeech.config import SimilarityConfig
from vgspeech.errors import DataError, UsageError
from vgspeech.files import write_json
from vgspeech.lexicon.captions import mean_frame
from vgspeech.lexicon.discover import LanguageInput
from vgspeech.lexicon.voice_query import query_vectors, search_captions
from vgspeech.search import rough
from vgspeech.search.index import Index, open_index
from vgspeech.search.rough import Bounds, contenders, half_error
from vgspeech.similarity import caption_caption_matrix, pool_frames, score_matrix

DIM, IMAGES, CAPTIONS = 24, 60, 90


def write_embeddings(embed: Path, seed: int = 0) -> None:
    """Frames and cells with a mean that is not zero and lengths that differ, as models have them."""
    generator = np.random.default_rng(seed)
    offset = generator.normal(size=DIM)
    for name, count, least in (("en", CAPTIONS, 1), ("hi", CAPTIONS // 2, 3), ("images", IMAGES, 9)):
        with ArchiveWriter(embed / f"{name}.ark", embed / f"{name}.scp") as archive:
            for n in range(count):
                size = 9 if name == "images" else int(generator.integers(least, 14))
                vectors = offset + generator.normal(size=(size, DIM)) * generator.uniform(0.2, 30)
                archive.write(f"{name}-{n:03d}", vectors.astype(np.float32))
    write_json(embed / "embed.json", {})


def sides(embed: Path) -> dict[str, LanguageInput]:
    """Both languages; the first third of each English caption is silent."""
    found = {}
    for language in ("en", "hi"):
        frames = ArchiveReader(embed / f"{language}.scp")
        utt2image = {utt: f"images-{n % IMAGES:03d}" for n, utt in enumerate(frames)}
        speech = {utt: np.arange(len(frames[utt])) >= len(frames[utt]) // 3 for utt in frames}
        found[language] = LanguageInput(
            language, frames, utt2image, dict.fromkeys(utt2image, "s"), CLOCK, speech if language == "en" else None
        )
    return found


@pytest.fixture
def embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rough, "_BLOCK_NUMBERS", 40 * DIM)  # several blocks
    write_embeddings(Path("embed"))
    return Path("embed")


def opened(embed: Path) -> Index:
    return open_index(Path("search"), embed, sides(embed), ArchiveReader(embed / "images.scp"))


def assert_inside(bounds: Bounds, scores: np.ndarray, loosest: float) -> None:
    assert np.all(bounds.low <= scores) and np.all(scores <= bounds.high)
    assert np.max(bounds.high - bounds.low) <= loosest * np.abs(scores).max()


@pytest.mark.parametrize("kind", ["SISA", "MISA", "SIMA"])
@pytest.mark.parametrize("normalise", [True, False])
def test_bounds_of_similarities_hold(embed: Path, kind: str, normalise: bool) -> None:
    index, config = opened(embed), SimilarityConfig(kind, normalise)  # type: ignore[arg-type]
    frames, grids = ArchiveReader(embed / "en.scp"), ArchiveReader(embed / "images.scp")
    shown = torch.from_numpy(grids["images-007"]).view(1, 3, 3, DIM)
    exact = [
        float(score_matrix(shown, torch.from_numpy(frames[utt])[None], torch.tensor([len(frames[utt])]), config))
        for utt in frames
    ]
    said = frames["en-011"]
    exact_images = [
        float(
            score_matrix(
                torch.from_numpy(grids[i]).view(1, 3, 3, DIM),
                torch.from_numpy(said)[None],
                torch.tensor([len(said)]),
                config,
            )
        )
        for i in grids
    ]
    captions, images = index.captions("en"), index.images
    if kind == "SISA":
        for side, vectors, wanted in (
            (captions, shown.flatten(0, 2), exact),
            (images, torch.from_numpy(said), exact_images),
        ):
            pooled = rough.pooled_bounds(side, vectors.mean(0).numpy(), config)
            np.testing.assert_allclose(pooled.low, wanted, rtol=1e-5, atol=1e-5)
        return
    of_caption, of_image = (
        (rough.best_of_query, rough.best_of_item) if kind == "MISA" else (rough.best_of_item, rough.best_of_query)
    )
    cells = shown.numpy().reshape(-1, DIM)
    assert_inside(of_caption(captions, cells, normalise), np.array(exact), 0.02)
    assert_inside(of_image(images, said, normalise), np.array(exact_images), 0.02)


@pytest.mark.parametrize(("spoken", "searched"), [("en", "hi"), ("hi", "en"), ("en", "en")])
def test_bounds_of_words_hold_and_the_best_are_those_of_the_plain_search(
    embed: Path, spoken: str, searched: str
) -> None:
    index, known = opened(embed), sides(embed)
    means = {language: mean_frame(side.frames, seed=1) for language, side in known.items()}
    np.testing.assert_array_equal(index.captions("en").mean, means["en"])
    comparable = {language: side.comparable_frames(means[language]) for language, side in known.items()}
    word = query_vectors({"": comparable[spoken][f"{spoken}-030"][-4:]})
    background = [comparable[spoken][utt] for utt in index.background(spoken)]
    plain = search_captions(word, comparable[searched], background, CLOCK)
    side = index.captions(searched)
    assert side.ids == plain.captions
    bounds = rough.word_bounds(side, word[0], spoken)
    assert_inside(bounds, plain.scores[0], 0.02)
    allowed = np.arange(len(side)) % 5 != 2
    best = contenders(bounds, allowed, 7)
    assert 7 <= len(best) < 20 and allowed[best].all()
    wanted = [n for n in np.argsort(-plain.scores[0], kind="stable") if allowed[n]][:7]
    assert set(wanted) <= set(best.tolist())


def test_pooled_scores_are_those_of_retrieval(embed: Path) -> None:
    frames = ArchiveReader(embed / "hi.scp")
    pooled = torch.stack(
        [pool_frames(torch.from_numpy(frames[u])[None], torch.tensor([len(frames[u])]))[0] for u in frames]
    )
    config = SimilarityConfig(normalise=True)
    wanted = caption_caption_matrix(pooled.double(), pooled[:1].double(), config)[:, 0].float().numpy()
    np.testing.assert_array_equal(
        rough.pooled_bounds(opened(embed).captions("hi"), pooled[0].numpy(), config).low, wanted
    )


def test_half_precision_moves_a_product_by_no_more_than_its_bound() -> None:
    generator = np.random.default_rng(0)
    for dim in (3, 128, 2048):
        a, b = (generator.normal(size=(200, dim)) ** 3 for _ in range(2))
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        moved = np.abs((a.astype(np.float16).astype(np.float64) * b).sum(1) - (a * b).sum(1)).max()
        assert moved <= half_error(dim)


def test_contenders() -> None:
    bounds = Bounds(np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.5, 1.5, 2.2, 3.1]))
    assert contenders(bounds, np.ones(4, bool), 2).tolist() == [0, 2, 3]  # the first may reach 2.5
    assert contenders(bounds, np.ones(4, bool), 1).tolist() == [3]
    assert contenders(bounds, np.array([True, True, False, False]), 2).tolist() == [0, 1]
    assert contenders(bounds, np.zeros(4, bool), 2).tolist() == []


def test_an_index_is_made_again_when_embeddings_change(embed: Path) -> None:
    first = opened(embed).images.norms.copy()
    made = Path("search/index.json").stat().st_mtime_ns
    opened(embed)
    assert Path("search/index.json").stat().st_mtime_ns == made  # it is used as it is
    write_embeddings(embed, seed=1)
    assert not np.array_equal(opened(embed).images.norms, first)
    Path("search/index.json").write_text('{"made_of": "something else"}')
    assert len(opened(embed).images) == IMAGES


def test_a_damaged_index_and_a_folder_that_cannot_be_written(embed: Path) -> None:
    opened(embed)
    Path("search/images.unit").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"search/images.unit: the index is damaged"):
        _ = opened(embed).images
    Path("file").touch()
    with pytest.raises(UsageError, match="cannot write the index to file/search"):
        open_index(Path("file/search"), embed, sides(embed), ArchiveReader(embed / "images.scp"))


def test_embeddings_that_are_not_finite_are_refused(embed: Path) -> None:
    with ArchiveWriter(embed / "en.ark", embed / "en.scp") as archive:
        archive.write("en-000", np.full((3, DIM), np.nan, np.float32))
    with pytest.raises(DataError, match=r"'en-000' holds numbers that are not finite"):
        opened(embed)
    assert not Path("search/index.json").exists() and not list(Path("search").glob("*.tmp"))
