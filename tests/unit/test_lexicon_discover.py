"""Discovery from end to end on captions with planted words."""

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexicon_simulation import CLOCK, Simulation, only_noise, simulate
from vgspeech.archive import ArchiveWriter
from vgspeech.bin import cluster_peaks, find_peaks, link_clusters
from vgspeech.datadir import write_speech_set
from vgspeech.errors import DataError, UsageError
from vgspeech.files import read_json, write_json
from vgspeech.lexicon.clusters import DROPPED, ClusterOptions, Clusters, default_clusters
from vgspeech.lexicon.discover import DiscoveryOptions, LanguageInput, cluster, discover, search, warnings
from vgspeech.lexicon.evaluate import label_clusters, score_lexicon
from vgspeech.lexicon.links import link_clusters as link
from vgspeech.lexicon.peaks import PeakOptions
from vgspeech.stats.word_lists import read_lemmas

OPTIONS = DiscoveryOptions(clusters=ClusterOptions(num_clusters=60))


def scores_of(data: Simulation, options: DiscoveryOptions = OPTIONS) -> tuple[dict[str, Any], tuple]:
    result = peaks, clusters, found = discover(data.a, data.b, options)
    labels = (
        label_clusters(peaks.utt_a, peaks.times_a, clusters[0], data.ctm_a),
        label_clusters(peaks.utt_b, peaks.times_b, clusters[1], data.ctm_b),
    )
    ctms = (data.ctm_a, data.ctm_b)
    return score_lexicon(peaks, clusters, found, labels, ctms, ("en", "hi"), data.lexicon), result


@pytest.fixture(scope="module")
def planted() -> Simulation:
    return simulate()


@pytest.mark.parametrize("by", ["dice", "cosine", "product"])
def test_planted_words_are_found(planted: Simulation, by: str) -> None:
    scores, _ = scores_of(planted, dataclasses.replace(OPTIONS, link_by=by))
    assert scores["links_right"]["first_10"]["precision"] >= 0.9
    assert scores["links_right"]["significant"]["precision"] >= 0.9
    assert scores["concepts"]["found_significant"] / scores["concepts"]["of"] >= 0.8
    assert scores["links_right"]["random_pair"] < 0.1
    assert scores["same_concept"]["rate"] > 0.9 > 6 * scores["same_concept"]["chance"]
    for tag in ("en", "hi"):
        assert scores["clusters_against_words"][tag]["purity"] > 0.9
        assert scores["words"][tag]["recall"] > 0.8


def test_the_curve_detector_finds_planted_words_too(planted: Simulation) -> None:
    scores, _ = scores_of(planted, dataclasses.replace(OPTIONS, peaks=PeakOptions(detector="1d")))
    assert scores["links_right"]["first_10"]["precision"] >= 0.9
    assert scores["same_concept"]["rate"] >= 0.85
    assert scores["concepts"]["found_significant"] / scores["concepts"]["of"] >= 0.8


def test_swapping_the_languages_gives_the_transposed_lexicon(planted: Simulation) -> None:
    _, (_, clusters, found) = scores_of(planted)
    swapped = dataclasses.replace(planted, a=planted.b, b=planted.a, ctm_a=planted.ctm_b, ctm_b=planted.ctm_a)
    _, clusters_swapped, found_swapped = discover(swapped.a, swapped.b, OPTIONS)
    for one, other in zip(clusters, clusters_swapped[::-1], strict=True):
        np.testing.assert_array_equal(one.sizes, other.sizes)
    pairs = set(zip(found.links.a, found.links.b, np.round(found.links.scores, 6), found.significant, strict=True))
    mirrored = zip(
        found_swapped.links.b,
        found_swapped.links.a,
        np.round(found_swapped.links.scores, 6),
        found_swapped.significant,
        strict=True,
    )
    assert pairs == set(mirrored)


def test_noise_gives_no_significant_link() -> None:
    data = only_noise(400)
    # with few demands there are peaks and clusters to link; the evidence must refuse them
    eager = dataclasses.replace(OPTIONS, peaks=dataclasses.replace(OPTIONS.peaks, background=0))
    peaks, _, found = discover(data.a, data.b, eager)
    assert len(peaks) > 1000
    assert len(found.links) > 5
    assert not found.significant.any()
    assert len(discover(data.a, data.b, OPTIONS)[2].links) == 0


def test_permuted_images_give_no_significant_link() -> None:
    """Clusters are those of true pairs; only the evidence sees the permuted images."""
    data = simulate(400)
    images = list(data.b.utt2image.values())
    random = np.random.default_rng(0)
    shuffled = dict(zip(data.b.utt2image, random.permutation(images).tolist(), strict=True))
    wrong = dataclasses.replace(data, b=dataclasses.replace(data.b, utt2image=shuffled))
    _, (_, _, found) = scores_of(wrong)
    assert found.significant.sum() <= 1


def test_too_few_images_give_a_warning() -> None:
    data = simulate(100)
    peaks, clusters, _ = discover(data.a, data.b, DiscoveryOptions())
    (text,) = warnings(peaks, clusters, concepts=40)
    assert f"{len(peaks)} are enough for about {len(peaks) // 30} words" in text
    assert warnings(peaks, clusters, concepts=2) == []


def test_number_of_clusters() -> None:
    assert [default_clusters(n) for n in (0, 39, 600, 6180, 10**6)] == [1, 3, 60, 154, 500]


def test_ties_are_broken_by_count_then_ids() -> None:
    def side(labels: list[int]) -> Clusters:
        sizes = np.bincount(labels)
        zeros = np.zeros(len(sizes))
        vectors = np.ones((len(sizes), 1), np.float32)
        return Clusters(np.array(labels), vectors, sizes, zeros, sizes, sizes)

    links = link(side([0, 0, 0, 1, 1, 2, 2]), side([2, 2, 2, 0, 0, 1, 1]))
    assert list(zip(links.a, links.b, links.n_ab, strict=True)) == [(0, 2, 3), (1, 0, 2), (2, 1, 2)]
    assert len(link(side([0, 1]), side([0, 0]))) == 1


def write_corpus(
    folder: Path, side: LanguageInput, ctm: dict | None, languages: tuple[str, ...] = ("en", "hi")
) -> None:
    speech = folder / "data" / "sim" / "speech" / f"train_{side.language}"
    utts = list(side.frames)
    write_speech_set(
        speech,
        wav={utt: f"{utt}.wav" for utt in utts},
        utt2spk=dict(side.utt2spk),
        utt2lang=dict.fromkeys(utts, side.language),
        utt2dur={utt: 0.08 * len(side.frames[utt]) for utt in utts},
        utt2image=dict(side.utt2image),
        ctm=ctm,
    )
    embed = folder / "embed"
    embed.mkdir(exist_ok=True)
    with ArchiveWriter(embed / f"{side.language}.ark", embed / f"{side.language}.scp") as archive:
        for utt in utts:
            archive.write(utt, side.frames[utt])
    times = {
        key: dict.fromkeys(languages, value)
        for key, value in zip(("frame_shift_s", "frame_offset_s"), CLOCK, strict=True)
    }
    write_json(embed / "embed.json", times)


def run(monkeypatch: pytest.MonkeyPatch, module: Any, *args: object) -> None:
    monkeypatch.setattr("sys.argv", [module.__name__, *map(str, args)])
    module.main()


def run_all(monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, jobs: int) -> None:
    speech = [folder / "data" / "sim" / "speech" / f"train_{tag}" for tag in ("en", "hi")]
    for job in range(1, jobs + 1):
        run(monkeypatch, find_peaks, "--job", job, "--num-jobs", jobs, folder / "embed", *speech, out / "jobs")
    run(monkeypatch, cluster_peaks, "--num-jobs", jobs, "--num-clusters", 24, *speech, out / "jobs", out)
    run(monkeypatch, link_clusters, folder / "embed", *speech, out)


def test_files_are_the_same_for_any_number_of_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = simulate(200, concepts=12)
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, data.a, data.ctm_a)
    write_corpus(tmp_path, data.b, data.ctm_b)
    rows = [f"{name}\t{forms['en'][0]}\t{forms['hi'][0]}\n" for name, forms in data.lexicon.concepts.items()]
    (tmp_path / "data" / "sim" / "lexicon.tsv").write_text("".join(["concept\ten\thi\n", *rows]))
    for jobs in (1, 3):
        run_all(monkeypatch, tmp_path, tmp_path / f"out{jobs}", jobs)
    one, three = tmp_path / "out1", tmp_path / "out3"
    names = sorted(path.name for path in one.iterdir() if path.is_file() and path.suffix != ".scp")
    assert {"peaks.tsv", "peaks_en.ark", "lexicon.tsv", "exemplars.tsv", "scores.json", "clusters_hi.tsv"} <= set(names)
    for name in names:
        assert (one / name).read_bytes() == (three / name).read_bytes(), name
    scores = read_json(one / "scores.json")
    assert scores["truth"]["links_right"]["first_10"]["precision"] >= 0.9
    header, first, *_ = (one / "lexicon.tsv").read_text().splitlines()
    row = dict(zip(header.split("\t"), first.split("\t"), strict=True))
    assert row["rank"] == "1" and row["significant"] == "yes" and row["right"] == "yes"
    exemplars = [line.split("\t") for line in (one / "exemplars.tsv").read_text().splitlines()[1:]]
    of_first = [cells for cells in exemplars if cells[0] == "1"]
    assert len(of_first) == 8
    assert len({cells[6] for cells in of_first}) >= 4  # speakers
    assert "join the same concept" in capsys.readouterr().out


def test_lemmas_and_stop_words_change_what_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hindi words alternate between two forms, one of them the dictionary's; one concept's word is a stop word."""
    data = simulate(120, concepts=6)
    monkeypatch.chdir(tmp_path)
    forms = {f"hi{c:02d}": f"\u0915\u093c{c}" for c in range(6)}  # a letter of two code points in NFC and NFD
    hindi = {
        utt: [dataclasses.replace(word, text=forms[word.text] + ("ओं" if i % 2 else "")) for i, word in enumerate(words)]
        for utt, words in data.ctm_b.items()
    }
    write_corpus(tmp_path, data.a, data.ctm_a)
    write_corpus(tmp_path, data.b, hindi)
    corpus = tmp_path / "data" / "sim"
    rows = [f"c{c:02d}\ten{c:02d}\t{forms[f'hi{c:02d}']}\n" for c in range(6)]
    (corpus / "lexicon.tsv").write_text("".join(["concept\ten\thi\n", *rows]))
    run_all(monkeypatch, tmp_path, tmp_path / "out", 1)
    (corpus / "lemmas.tsv").write_text(
        "language\tform\tlemma\n"
        + "".join(f"hi\t{unicodedata.normalize('NFD', form)}ओं\t{form}\n" for form in forms.values())
    )
    (tmp_path / "stop_en").write_text("# the most frequent\nEN00\n")
    (tmp_path / "stop_hi").write_text(f"{forms['hi00']}\n")
    speech = [corpus / "speech" / f"train_{tag}" for tag in ("en", "hi")]
    before = read_json(tmp_path / "out" / "scores.json")["truth"]
    stop_words = ("--stop-words", tmp_path / "stop_en", tmp_path / "stop_hi")
    run(monkeypatch, link_clusters, *stop_words, tmp_path / "embed", *speech, tmp_path / "out")
    after = read_json(tmp_path / "out" / "scores.json")["truth"]
    assert before["same_concept"]["rate"] < 0.7 < 0.85 < after["same_concept"]["rate"]
    assert "without_stop_words" not in before
    left = after["without_stop_words"]
    assert 0 < left["peaks"] < read_json(tmp_path / "out" / "scores.json")["peaks"]
    assert left["clusters_against_words"]["en"] != after["clusters_against_words"]["en"]
    (corpus / "lemmas.tsv").write_text("language\tform\tlemma\nhi\tx\ty\nhi\tX\tz\n")
    with pytest.raises(DataError, match="also has the lemma 'y'"):
        read_lemmas(corpus / "lemmas.tsv")


def test_without_any_truth_there_are_internal_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = simulate(60, concepts=5)
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, data.a, None)
    write_corpus(tmp_path, data.b, None)
    run_all(monkeypatch, tmp_path, tmp_path / "out", 1)
    scores = read_json(tmp_path / "out" / "scores.json")
    assert "truth" not in scores
    assert scores["peaks"] > 0 and scores["links"]["all"] >= 0
    assert (tmp_path / "out" / "lexicon.tsv").read_text().startswith("rank\tcluster_en\tcluster_hi\tscore")


def test_dropped_clusters_leave_their_peaks_unlabelled(planted: Simulation) -> None:
    _, clusters, _ = discover(
        planted.a, planted.b, DiscoveryOptions(clusters=ClusterOptions(num_clusters=200, restarts=1, min_size=12))
    )
    for side in clusters:
        assert (side.labels == DROPPED).any()
        assert side.sizes.min() >= 12
        np.testing.assert_array_equal(np.bincount(side.labels[side.labels >= 0]), side.sizes)
        assert (np.diff(side.sizes) <= 0).all()


def test_clusters_are_pruned_by_what_they_hold(planted: Simulation) -> None:
    peaks = search(planted.a, planted.b, DiscoveryOptions())
    whole = cluster(peaks, planted.a, planted.b, DiscoveryOptions())[0]
    limits = ClusterOptions(min_images=20, min_speakers=7, max_spread=float(np.median(whole.spread)))
    some = cluster(peaks, planted.a, planted.b, DiscoveryOptions(clusters=limits))[0]
    kept = (whole.images >= 20) & (whole.speakers >= 7) & (whole.spread <= limits.max_spread)
    assert 0 < kept.sum() < len(whole)
    np.testing.assert_array_equal(some.centroids, whole.centroids[kept])
    np.testing.assert_array_equal(np.bincount(some.labels[some.labels >= 0]), some.sizes)


def test_birch_finds_planted_words_too(planted: Simulation) -> None:
    by_tree = dataclasses.replace(OPTIONS, clusters=ClusterOptions(method="birch", num_clusters=60, radius=0.6))
    scores, _ = scores_of(planted, by_tree)
    assert scores["links_right"]["first_10"]["precision"] >= 0.9
    assert scores["concepts"]["found_significant"] / scores["concepts"]["of"] >= 0.8


def test_a_model_that_found_nothing_gives_an_empty_lexicon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = only_noise(30)
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, data.a, data.ctm_a)
    write_corpus(tmp_path, data.b, data.ctm_b)
    run_all(monkeypatch, tmp_path, tmp_path / "out", 2)
    assert len((tmp_path / "out" / "lexicon.tsv").read_text().splitlines()) == 1
    scores = read_json(tmp_path / "out" / "scores.json")
    assert scores["links"] == {"all": 0, "significant": 0}
    assert scores["warnings"]
    assert "warning: " in capsys.readouterr().err


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = simulate(10)
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, data.a, None)
    write_corpus(tmp_path, data.b, None)
    en, hi = (tmp_path / "data" / "sim" / "speech" / f"train_{tag}" for tag in ("en", "hi"))
    with pytest.raises(UsageError, match="not in 1 to"):
        run(monkeypatch, find_peaks, "--job", 3, "--num-jobs", 2, tmp_path / "embed", en, hi, tmp_path / "jobs")
    with pytest.raises(DataError, match="job 2 of 2 are missing"):
        run(monkeypatch, find_peaks, "--job", 1, "--num-jobs", 2, tmp_path / "embed", en, hi, tmp_path / "jobs")
        run(monkeypatch, cluster_peaks, "--num-jobs", 2, en, hi, tmp_path / "jobs", tmp_path / "out")
    (tmp_path / "embed" / "hi.scp").unlink()
    with pytest.raises(DataError, match="no embeddings of 'hi'"):
        run(monkeypatch, find_peaks, tmp_path / "embed", en, hi, tmp_path / "jobs")
