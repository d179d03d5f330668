"""Words of one language, by its own speakers and through images that look alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexicon_simulation import simulate_languages
from test_lexicon_discover import run, write_corpus
from vgspeech.archive import ArchiveWriter
from vgspeech.bin import cluster_peaks, export_words, find_peaks, rank_clusters
from vgspeech.datadir import Lexicon, Word
from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.lexicon import neighbours
from vgspeech.lexicon.captions import pair_speakers
from vgspeech.lexicon.clusters import ClusterOptions
from vgspeech.lexicon.discover import DiscoveryOptions, LanguageInput
from vgspeech.lexicon.evaluate import label_clusters
from vgspeech.lexicon.neighbours import pair_alike
from vgspeech.lexicon.one_language import choose_pairing, discover_within, mirror_rows, pair_within, search_within
from vgspeech.tables import read_rows, write_table

OPTIONS = DiscoveryOptions(clusters=ClusterOptions(num_clusters=40))
CONCEPTS = 12


def looks(ctm: dict[str, list[Word]], utt2image: dict[str, str], noise: float = 0.3) -> dict[str, Any]:
    """Cells of images that look as what is said of them."""
    random = np.random.default_rng(0)
    prototypes = random.standard_normal((CONCEPTS, 48)).astype(np.float32)
    cells = {}
    for utt, words in sorted(ctm.items()):
        shown = sum((prototypes[int(word.text[-2:])] for word in words), np.zeros(48, np.float32))
        cells[utt2image[utt]] = shown + noise * random.standard_normal((4, 48)).astype(np.float32)
    return cells


@pytest.fixture(scope="module")
def lone() -> tuple[LanguageInput, dict[str, list[Word]], dict[str, Any]]:
    """One caption an image, and images that look as what they show."""
    (side,), (ctm,), _ = simulate_languages(("en",), 600, CONCEPTS)
    return side, ctm, looks(ctm, dict(side.utt2image))


def several(captions: int = 4, images: int = 150) -> tuple[LanguageInput, dict[str, list[Word]], Lexicon]:
    """``captions`` captions an image by as many speakers."""
    inputs, ctms, lexicon = simulate_languages(("en",), images * captions, CONCEPTS)
    side, ctm = inputs[0], ctms[0]
    # Captions that say the same words describe one image.
    by_word = sorted(side.frames, key=lambda utt: (sorted(word.text for word in ctm[utt]), utt))
    utt2image = {utt: f"img{i // captions:04d}" for i, utt in enumerate(by_word)}
    utt2spk = {utt: f"spk{i % captions}" for i, utt in enumerate(by_word)}
    return dataclasses.replace(side, utt2image=utt2image, utt2spk=utt2spk), ctm, lexicon


def found_concepts(side: LanguageInput, ctm: dict[str, list[Word]], cells: Any) -> tuple[set[str], float, int]:
    """Words of the significant clusters, share of them that are most of their cluster, number of significant ones."""
    peaks, (clusters, _), found = discover_within(side, OPTIONS, cells)
    labels = label_clusters(peaks.utt_a, peaks.times_a, clusters, ctm)
    sure = found.order[found.significant]
    right = [labels.words[k] != "<SIL>" and labels.purity[k] >= 0.5 for k in sure]
    return {labels.words[k] for k in sure}, float(np.mean(right)) if len(right) else 1.0, len(sure)


def test_words_are_found_through_images_that_look_alike(lone: Any) -> None:
    side, ctm, cells = lone
    assert choose_pairing(side) == "nearest"
    words, precision, _ = found_concepts(side, ctm, cells)
    assert len(words) >= 10 and precision >= 0.9


def test_words_are_found_between_the_speakers_of_one_image() -> None:
    side, ctm, _ = several()
    assert choose_pairing(side) == "shared"
    words, precision, _ = found_concepts(side, ctm, None)
    assert len(words) >= 10 and precision >= 0.9


@pytest.mark.parametrize("pairing", ["nearest", "shared"])
def test_permuted_images_give_no_word(lone: Any, pairing: str) -> None:
    """All is done anew with captions given to images at random: in at most one of five runs anything is called."""
    side, ctm, cells = lone if pairing == "nearest" else (*several()[:2], None)
    utts = sorted(side.utt2image)
    called = 0
    for seed in range(5):
        images = np.random.default_rng(seed).permutation([side.utt2image[utt] for utt in utts]).tolist()
        wrong = dataclasses.replace(side, utt2image=dict(zip(utts, images, strict=True)))
        called += found_concepts(wrong, ctm, cells)[2] > 0
    assert called <= 1


def test_captions_of_one_speaker_are_no_pair() -> None:
    image = dict.fromkeys(("u1", "u2", "u3"), "i") | {"v1": "j", "v2": "j"}
    (pair,) = pair_speakers(image, {"u1": "x", "u2": "x", "u3": "y", "v1": "x", "v2": "x"})
    assert pair.image == "i" and pair.pairs == ((0, 2), (1, 2))


def test_every_image_has_one_partner(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    cells = {f"i{n:03d}": random.standard_normal((3, 8)).astype(np.float32) for n in range(101)}
    whole = pair_alike({f"u{key}": key for key in cells}, cells)
    images = [utt[1:] for pair in whole for utt in (*pair.a, *pair.b)]
    assert len(whole) == 50 and len(set(images)) == 100
    # the very nearest two of all are each other's nearest
    means = {key: value.mean(0) for key, value in cells.items()}
    centre = np.mean(list(means.values()), axis=0)
    unit = {key: (x - centre) / np.linalg.norm(x - centre) for key, x in means.items()}
    best = max((float(unit[a] @ unit[b]), a, b) for a in unit for b in unit if a < b)
    assert best[1:] in {(pair.a[0][1:], pair.b[0][1:]) for pair in whole}
    for block in (7, 4096):
        monkeypatch.setattr(neighbours, "_BLOCK", block)
        assert pair_alike({f"u{key}": key for key in cells}, cells) == whole
    copies = dict.fromkeys(cells, np.ones((3, 8), np.float32))
    assert len(pair_alike({f"u{key}": key for key in cells}, copies)) <= 50


def test_peaks_stand_there_both_ways(lone: Any) -> None:
    side, _, cells = lone
    peaks = search_within(side, OPTIONS, cells=cells)
    mirror = mirror_rows(peaks)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(peaks)))
    np.testing.assert_array_equal(peaks.times_a[mirror], peaks.times_b)
    np.testing.assert_array_equal(peaks.scores[mirror], peaks.scores)
    assert peaks.image == [side.utt2image[utt] for utt in peaks.utt_a]


def test_lone_speakers_are_told_what_helps(lone: Any) -> None:
    with pytest.raises(DataError, match="by several speakers") as caught:
        pair_within(lone[0])
    assert "nearest" in str(caught.value)
    with pytest.raises(DataError, match="at least four"):
        pair_alike({"u": "i"}, {"i": np.ones((2, 2))})


def discover_files(monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, jobs: int) -> None:
    speech = folder / "data/sim/speech/train_en"
    for job in range(1, jobs + 1):
        run(monkeypatch, find_peaks, "--job", job, "--num-jobs", jobs, folder / "embed", speech, out / "jobs")
    run(monkeypatch, cluster_peaks, "--num-jobs", jobs, "--num-clusters", 30, speech, out / "jobs", out)
    run(monkeypatch, rank_clusters, folder / "embed", speech, out)


@pytest.mark.parametrize("truth", [True, False])
def test_files_of_one_language(lone: Any, truth: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for any number of jobs, with and without truth, and exported as annotations."""
    side, ctm, cells = lone
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, side, ctm if truth else None)
    with ArchiveWriter(tmp_path / "embed/images.ark", tmp_path / "embed/images.scp") as archive:
        for image in sorted(cells):
            archive.write(image, cells[image])
    write_table(tmp_path / "embed/grid_shape", {image: f"1 {len(cells[image])}" for image in cells})
    if truth:
        rows = [f"c{c:02d}\ten{c:02d}\n" for c in range(CONCEPTS)]
        (tmp_path / "data/sim/lexicon.tsv").write_text("".join(["concept\ten\n", *rows]))
    for jobs in (1, 3):
        discover_files(monkeypatch, tmp_path, tmp_path / f"out{jobs}", jobs)
    one, three = tmp_path / "out1", tmp_path / "out3"
    for name in ("peaks.tsv", "peaks_en.ark", "clusters_en.tsv", "lexicon.tsv", "exemplars.tsv", "scores.json"):
        assert (one / name).read_bytes() == (three / name).read_bytes(), name
    scores, table = read_json(one / "scores.json"), read_rows(one / "lexicon.tsv")
    assert scores["languages"] == ["en"] and scores["settings"]["captions_of"] == "nearest"
    assert scores["words"]["significant"] == sum(row["significant"] == "yes" for row in table) >= 10
    assert ("truth" in scores) == truth == ("words_a" in table[0])
    if truth:
        assert scores["truth"]["words_right"]["significant"]["precision"] >= 0.9
        assert scores["truth"]["concepts"]["found_significant"] >= 10
        assert scores["truth"]["same_concept"]["rate"] > 3 * scores["truth"]["same_concept"]["chance"]
    of_first = [row for row in read_rows(one / "exemplars.tsv") if row["rank"] == "1"]
    assert len({row["image"] for row in of_first}) == 8 and len({row["speaker_a"] for row in of_first}) >= 5
    run(monkeypatch, export_words, one, tmp_path / "data/sim", "train", tmp_path / "words")
    words = read_rows(tmp_path / "words/words_en.tsv")
    sure = {f"en{row['cluster_en']}": row["rank"] for row in table if row["significant"] == "yes"}
    assert {row["linked"] for row in words} == {"-"}
    assert all(row["rank"] == sure.get(row["cluster"], "-") for row in words)
    grid = next((tmp_path / "words/praat").glob("*.TextGrid")).read_text(encoding="utf-8")
    assert 'name = "en"' in grid and "\nsize = 1\n" in grid
