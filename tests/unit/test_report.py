"""The report: one offline page, nothing unescaped, nothing of who did not agree, and a line for every missing part."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from planted_corpus import Planted, make_planted
from vgspeech.bin import make_report, plot_matchmaps
from vgspeech.config import ExperimentConfig, TrainingConfig, load_config, save_config
from vgspeech.errors import DataError
from vgspeech.files import write_json
from vgspeech.localize.captions import choose_captions
from vgspeech.localize.inputs import EmbedDir, speech_set
from vgspeech.report.assets import Assets
from vgspeech.report.curves import Curve, chart, share_bar
from vgspeech.report.html import count, duration, percent, text
from vgspeech.report.inputs import ReportInput

NASTY = "<script>alert('x')</script>&\"\x00"
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """A page's tags, checked for nesting while they are read."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(content)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def count(self, tag: str, name: str = "") -> int:
        return sum(t == tag and (not name or name in (a.get("class") or "").split()) for t, a in self.tags)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.chdir(tmp_path)
    return make_planted(Path())


def run(monkeypatch: pytest.MonkeyPatch, planted: Planted, *options: str) -> str:
    arguments = ["--model", str(planted.model), "--data", str(planted.data), "--out", "report", *options]
    monkeypatch.setattr(sys, "argv", ["make_report", *arguments])
    make_report.main()
    return Path("report/index.html").read_text(encoding="utf-8")


def add_results(monkeypatch: pytest.MonkeyPatch, planted: Planted) -> None:
    """All other parts of a report: curves, retrieval, matchmaps, a lexicon of two links."""
    curves = [{"epoch": e, "loss": 3 / e, "seconds": 1.5, "dev": {"r1": e / 10, "r10": e / 5}} for e in (1, 2, 3)]
    (planted.model / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curves))
    scores = {"r1": 0.5, "r5": 0.7, "r10": 0.9, "mrr": 0.6, "ci95": {"r10": [0.8, 0.95]}}
    direction = {**scores, "median": 1.5, "n_queries": 9, "n_targets": 9, "chance_r10": 1.0}
    directions = {"en>image": direction, "hi>image": direction}
    results = planted.embed.parent / "retrieval"
    write_json(results / "results.json", {"directions": directions, "mean": scores})
    write_json(results / "baselines.json", {"dtw": {"directions": {"en>hi": direction}, "mean": scores}})
    out = planted.embed.parent / "matchmaps"
    arguments = ["--captions", "2", *map(str, (planted.model, planted.embed, planted.data, "test", out))]
    monkeypatch.setattr(sys, "argv", ["plot_matchmaps", *arguments])
    plot_matchmaps.main()
    add_lexicon(planted.model / "lexicon/planted/en-hi")


def add_lexicon(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = (
        "rank cluster_en cluster_hi score cosine dice n_a n_b n_ab p q significant words_a purity_a words_b purity_b"
    )
    rows = [
        names,
        "1 4 2 .9 .8 .9 9 8 7 1e-9 1e-7 yes cat 1.000 बिल्ली 0.900",
        "2 5 3 .5 .8 .5 5 5 3 .2 .4 no dog 1 सूरज .5",
    ]
    (folder / "lexicon.tsv").write_text("".join("\t".join(row.split()) + "\n" for row in rows), encoding="utf-8")
    head = "rank image score utt_a speaker_a start_a end_a utt_b speaker_b start_b end_b"
    lines = [f"1 scene{i} .9 en-{i} en-s{i % 2} 0.4 0.6 hi-{i} hi-s{i % 2} 0.4 0.6" for i in (0, 3)]
    (folder / "exemplars.tsv").write_text("".join("\t".join(line.split()) + "\n" for line in [head, *lines]))
    evidence = {"images": 9, "tests": 20}
    summary = {"languages": ["en", "hi"], "peaks": 40, "pairs": 9, "links": {"all": 2, "significant": 1}}
    write_json(folder / "scores.json", {**summary, "evidence": evidence, "warnings": ["few peaks"], "settings": {}})


def test_the_whole_page(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    add_results(monkeypatch, planted)
    content = run(monkeypatch, planted)
    page = Page(content)
    assert page.count("article", "scene") == 2 and page.count("div", "lane") == 4
    assert page.count("button", "panel") == 12, "three words a caption"
    assert page.count("article", "entry") == 2 and page.count("button", "clip") == 4
    assert page.count("svg", "share") == 3
    assert 'lang="hi">बिल्ली' in content and "few peaks" in content and "not significant" in content
    assert "90.0" in content and "80.0 – 95.0" in content


def test_the_page_needs_no_network(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    add_results(monkeypatch, planted)
    content = run(monkeypatch, planted)
    assert "://" not in content and "\x00" not in content
    addresses = [a[name] for _, a in Page(content).tags for name in ("src", "href", "data-src") if a.get(name)]
    assert addresses and all(str(address).startswith(("data:", "#")) for address in addresses)


def test_sounds_are_the_stretch_that_was_found(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    add_results(monkeypatch, planted)
    clip = re.search(r'data-src="data:audio/[a-z]+;base64,([^"]+)"', run(monkeypatch, planted))
    assert clip
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(clip[1])))
    assert rate == 16000 and len(wave) / rate == pytest.approx(0.4, abs=0.05)  # 0.2 s found, at least 0.4 s played
    assert np.abs(wave).max() > 0.05


def test_no_audio_and_share_are_honoured(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    add_results(monkeypatch, planted)
    silent = run(monkeypatch, planted, "--no-audio")
    assert "audio/" not in silent and "--no-audio" in silent and Page(silent).count("button", "play") == 0
    (planted.data / "speech/test_en/utt2share").write_text("en-0 no\n")
    content = run(monkeypatch, planted)
    assert "en-0," not in content and "hi-0," not in content, "a pair of captions is shown only when both may be"
    assert Page(content).count("button", "clip") == 2
    speech = {lang: speech_set(planted.data, "test", lang) for lang in ("en", "hi")}
    assert "en-0" not in choose_captions(EmbedDir.load(planted.embed), speech, 9)["en"]


def test_a_recording_withdrawn_after_stage_7_is_not_shown(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    add_results(monkeypatch, planted)
    shown = sorted(set(re.findall(r"en-\d · speaker", run(monkeypatch, planted))))
    (planted.data / "speech/test_en/utt2share").write_text("".join(f"{name.split()[0]} no\n" for name in shown))
    content = run(monkeypatch, planted)
    assert not re.search(r"en-\d · speaker", content) and re.search(r"hi-\d · speaker", content)


def test_every_missing_part_has_its_line(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    content = run(monkeypatch, planted)
    assert Page(content).count("p", "missing") == 6
    for sentence in ("run stage 6", "run stage 7", "run stage 8", "run stage 9", "metrics.jsonl is missing"):
        assert sentence in content


def test_one_language_without_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planted = make_planted(Path(), languages=("hi",), timed=False)
    out = planted.embed.parent / "matchmaps"
    arguments = ["--captions", "2", *map(str, (planted.model, planted.embed, planted.data, "test", out))]
    monkeypatch.setattr(sys, "argv", ["plot_matchmaps", *arguments])
    plot_matchmaps.main()
    content = run(monkeypatch, planted)
    assert "no transcript" in content and "no word times" in content and "No picture dictionary: run stage 9" in content


def test_the_dictionary_of_one_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips and pictures of every cluster, without what only links have; a recording that may not be shown is not."""
    monkeypatch.chdir(tmp_path)
    planted = make_planted(Path(), languages=("hi",))
    folder = planted.model / "lexicon/planted/hi"
    folder.mkdir(parents=True)
    head = "rank cluster_hi n_a images speakers spread both expected p q significant words_a purity_a"
    rows = [head, "1 4 9 9 2 .1 7 1.5 1e-9 1e-7 yes बिल्ली 1.000", "2 5 5 5 2 .1 3 2.0 .2 .4 no सूरज .5"]
    (folder / "lexicon.tsv").write_text("".join("\t".join(row.split()) + "\n" for row in rows), encoding="utf-8")
    head = "rank image score utt_a speaker_a start_a end_a"
    lines = [f"1 scene{i} .9 hi-{i} hi-s{i % 2} 0.4 0.6" for i in (0, 3, 4)]
    (folder / "exemplars.tsv").write_text("".join("\t".join(line.split()) + "\n" for line in [head, *lines]))
    (planted.data / "speech/test_hi/utt2share").write_text("hi-4 no\n")
    summary = {"languages": ["hi"], "peaks": 40, "pairs": 9, "words": {"all": 2, "significant": 1}, "warnings": []}
    write_json(folder / "scores.json", {**summary, "evidence": {"images": 9, "tests": 2}, "settings": {}})
    content = run(monkeypatch, planted)
    page = Page(content)
    assert page.count("article", "single") == 2 and page.count("button", "clip") == 2
    assert "expected by chance" in content and "Dice" not in content and 'lang="hi">बिल्ली' in content
    assert "2 word clusters" in content and "word clusters with evidence" in content and "hi-4" not in content


def test_texts_of_the_data_are_escaped(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    add_results(monkeypatch, planted)
    lexicon = planted.model / "lexicon/planted/en-hi/lexicon.tsv"
    lexicon.write_text(lexicon.read_text(encoding="utf-8").replace("बिल्ली", NASTY), encoding="utf-8")
    captions = planted.embed.parent / "matchmaps/captions.json"
    about = json.loads(captions.read_text(encoding="utf-8"))
    about["captions"][0]["text"] = NASTY
    about["captions"][0]["spans"][1]["text"] = NASTY
    write_json(captions, about)
    content = run(monkeypatch, planted)
    assert "<script>alert" not in content and "&lt;script&gt;alert" in content
    assert Page(content).count("script") == 1


def test_the_mini_corpus_is_called_synthetic_and_others_are_not(
    planted: Planted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "says nothing about accuracy on real speech" not in run(monkeypatch, planted)
    assert ReportInput(planted.model, tmp_path / "data/mini", planted.model).synthetic


def test_a_large_report_becomes_a_folder_and_a_small_one_cleans_up(tmp_path: Path) -> None:
    assets = Assets()
    mark = assets.add(b"x" * 300, ".png")
    index = tmp_path / "index.html"
    files = assets.write_page(f'<img src="{mark}">', index, limit=200)
    (name,) = re.findall(r'src="assets/([^"]+)"', index.read_text())
    assert (tmp_path / "assets" / name).read_bytes() == b"x" * 300
    assert files == [tmp_path / "assets" / name, index]
    assert assets.write_page(f'<img src="{mark}">', index) == [index]
    assert not (tmp_path / "assets").exists() and "data:image/png;base64," in index.read_text()


def test_not_a_model_directory(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    (planted.model / "config.yaml").unlink()
    with pytest.raises(DataError, match="not a model directory"):
        run(monkeypatch, planted)


@pytest.mark.parametrize(
    ("weights", "training", "told"),
    [
        ("none", TrainingConfig(), "small, from scratch"),
        ("resnet18-imagenet", TrainingConfig(), "small, starting from resnet18-imagenet"),
        ("/a/b.pth", TrainingConfig(freeze_image_epochs=-1, freeze_image="backbone"), "from b.pth, backbone frozen"),
        ("none", TrainingConfig(init_from="exp/first", freeze_image_epochs=-1), "from the model first, frozen"),
    ],
)
def test_the_page_says_what_the_images_were_learned_from(
    planted: Planted, monkeypatch: pytest.MonkeyPatch, weights: str, training: TrainingConfig, told: str
) -> None:
    config = load_config(ExperimentConfig, planted.model / "config.yaml")
    image = dataclasses.replace(config.image, type="small", weights=weights)
    save_config(dataclasses.replace(config, image=image, training=training), planted.model / "config.yaml")
    assert told in run(monkeypatch, planted)


def test_numbers_as_people_read_them() -> None:
    assert (percent(0.1234), count(12345), duration(42), duration(600)) == ("12.3", "12&#8239;345", "42 s", "10.0 min")
    assert "none" in percent(None)
    assert text("a\x00<b>\n") == "a &lt;b&gt; "


def test_charts_survive_any_numbers() -> None:
    for points in ([], [(0, 0.0)], [(1, 1e-9)], [(1, 5.0), (200, 1e6)]):
        Page(chart("t", [Curve("c", points, "k0")], "epoch"))
    Page(share_bar(0.5, (0.4, 0.6), [("chance", 0.1)]))
