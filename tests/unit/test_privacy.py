"""Recordings that may not be shared are in no page, table or file that is made to be shown or handed on.

Every command that makes one is a row of COMMANDS: what it is called with, and where it writes. A command that is new joins
there. Of some captions of the planted corpus the ids, speakers, texts and sounds are unlike all others; none may be found.
"""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile

from micro_corpus import FRONT_END
from planted_corpus import PRIVATE_ID, PRIVATE_SPEAKER, PRIVATE_STEP, PRIVATE_WORD, Planted, make_planted
from test_lexicon_annotations import clusters_of
from test_search import with_model
from test_unit_page import write_units
from vgspeech.archive import ArchiveReader
from vgspeech.config import save_config
from vgspeech.datadir import SpeechSet
from vgspeech.files import write_json
from vgspeech.lexicon.peaks import Peaks
from vgspeech.lexicon.storage import write_peaks
from vgspeech.plots import encode_image, spectrogram
from vgspeech.tables import write_table, write_tsv

PRIVATE = (0, 3, 4)
SOUNDS = (".wav", ".flac", ".mp3", ".ogg")
EMBEDDED_FILE = re.compile(rb"data:([a-z]+)/[a-z0-9+-]+;base64,([A-Za-z0-9+/=]+)")


@dataclass
class Place:
    """The planted corpus, its model, and means to run commands there."""

    planted: Planted
    monkeypatch: pytest.MonkeyPatch

    def run(self, verb: str, *arguments: object) -> None:
        """Run a command of the library."""
        self.monkeypatch.setattr(sys, "argv", [verb, *map(str, arguments)])
        import_module(f"vgspeech.bin.{verb}").main()

    @property
    def set_en(self) -> Path:
        return self.planted.data / "speech/test_en"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    planted = with_model(make_planted(Path(), private=PRIVATE))
    for lang in ("en", "hi"):
        folder = planted.data / f"speech/test_{lang}"
        save_config(FRONT_END, folder / "feats/fbank.yaml")
        write_table(folder / "utt2num_frames", dict.fromkeys(SpeechSet.load(folder).ids, "70"))
    (planted.model / "metrics.jsonl").write_text('{"epoch": 1, "loss": 2.5, "seconds": 1.0}\n')
    return Place(planted, monkeypatch)


def write_lexicon(planted: Planted) -> Path:
    """A lexicon of one significant link, whose best peaks are of private captions."""
    folder = planted.model / "lexicon/planted/en-hi"
    en, hi = (SpeechSet.load(planted.data / f"speech/test_{lang}") for lang in ("en", "hi"))
    utts = sorted(en.ids, key=lambda utt: PRIVATE_ID not in utt)
    others = [utt.replace("en-", "hi-") for utt in utts]
    count = len(utts)
    times, vectors = np.tile([0.5, 0.4, 0.6], (count, 1)), np.eye(count, dtype=np.float32)
    images = [en.utt2image[utt] for utt in utts]
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    peaks = Peaks(images, utts, others, times, times, scores, vectors, vectors, n_pairs=count)
    labels = clusters_of([0] * count)
    write_peaks(folder, peaks, (labels, labels), ("en", "hi"))
    names = "rank cluster_en cluster_hi score cosine dice n_a n_b n_ab p q significant words_a purity_a words_b purity_b"
    link = "1 0 0 .9 .8 .9 9 8 7 1e-9 1e-7 yes cat 1.000 सूरज 0.900"
    write_tsv(folder / "lexicon.tsv", names.split(), [link.split()])
    head = "rank image score utt_a speaker_a start_a end_a utt_b speaker_b start_b end_b"
    rows = [
        ["1", image, ".9", a, en.utt2spk[a], "0.4", "0.6", b, hi.utt2spk[b], "0.4", "0.6"]
        for image, a, b in zip(images, utts, others, strict=True)
    ]
    write_tsv(folder / "exemplars.tsv", head.split(), rows)
    about = {"languages": ["en", "hi"], "peaks": count, "pairs": count, "links": {"all": 1, "significant": 1}}
    evidence = {"images": count, "tests": 1}
    write_json(folder / "scores.json", {**about, "evidence": evidence, "warnings": [], "settings": {}})
    return folder


def matchmaps(place: Place) -> Path:
    out = place.planted.embed.parent / "matchmaps"
    place.run("plot_matchmaps", "--captions", 9, place.planted.model, place.planted.embed, place.planted.data, "test", out)
    return out


def before_they_withdrew(place: Place, make: Callable[[Place], object]) -> None:
    """Make something while all may be shown."""
    tables = [place.planted.data / f"speech/test_{lang}/utt2share" for lang in ("en", "hi")]
    for number, table in enumerate(tables):
        table.rename(f"share{number}")
    make(place)
    for number, table in enumerate(tables):
        Path(f"share{number}").rename(table)


def report_of_all(place: Place) -> Path:
    write_lexicon(place.planted)
    place.run("make_report", "--model", place.planted.model, "--data", place.planted.data, "--out", "out")
    return Path("out")


def report(place: Place) -> Path:
    """Stage 7 ran before."""
    before_they_withdrew(place, matchmaps)
    return report_of_all(place)


def matchmaps_made_anew(place: Place) -> Path:
    before_they_withdrew(place, matchmaps)
    return matchmaps(place)


def unit_report(place: Place) -> Path:
    write_units(place.planted, Path("units"), True, place.monkeypatch)
    about = ("--model", place.planted.model, "--data", place.planted.data, "--split", "test", "--language", "en")
    place.run("make_unit_report", *about, "--out", "out", "units")
    return Path("out")


def inspection(place: Place) -> Path:
    (place.planted.data / f"files/en-{PRIVATE_ID}4.wav").unlink()  # one that cannot be read is not named either
    place.run("inspect_data", "--nj", 1, place.set_en)
    return place.set_en / "inspect"


def data_page(place: Place) -> Path:
    data = place.planted.data
    for kind in ("speech", "images"):
        for folder in (data / kind).iterdir():
            folder.rename(folder.with_name(folder.name.replace("test", "train")))
    place.run("compute_stats", data)
    return data / "stats"


def match_tables(place: Place) -> Path:
    place.run("list_matches", place.planted.model, place.planted.embed, place.planted.data, "test", "out")
    return Path("out")


def queries(place: Place) -> Path:
    place.run("cut_words", "--per-word", 9, place.set_en, "out/words")
    return Path("out")


def query_by_voice(place: Place) -> Path:
    """Queries that may not be shown, among captions that may not."""
    planted = place.planted
    paths = (planted.model, planted.embed, planted.data, "test", "en", place.set_en, "out")
    place.run("query_by_voice", "--top", 20, *paths)
    return Path("out")


def search(*query: str) -> Callable[[Place], Path]:
    def make(place: Place) -> Path:
        soundfile.write("said.wav", 0.1 * np.random.default_rng(0).normal(size=16000), 16000)
        place.run("search", *query, "--top", 20, place.planted.model)  # the table as it is printed
        place.run("search", *query, "--top", 20, "--out", "out", place.planted.model)
        return Path("out")

    return make


def export(place: Place) -> Path:
    place.run("export_words", write_lexicon(place.planted), place.planted.data, "test", "out")
    return Path("out")


def export_again(place: Place) -> Path:
    before_they_withdrew(place, export)
    return export(place)


def packed(place: Place) -> Path:
    place.run("pack_model", place.planted.model, "out/model.safetensors")
    return Path("out")


COMMANDS: dict[str, tuple[Callable[[Place], Path], bool]] = {
    "make_report": (report, True),
    "plot_matchmaps": (matchmaps, True),
    "plot_matchmaps again": (matchmaps_made_anew, True),
    "make_unit_report": (unit_report, True),
    "inspect_data": (inspection, False),
    "compute_stats": (data_page, False),
    "list_matches": (match_tables, True),
    "cut_words": (queries, True),
    "query_by_voice": (query_by_voice, True),
    "search for an image": (search("--show", "data/planted/files/scene4.png"), True),
    "search for a word": (search("--speak", "said.wav", "--spoken", "en", "--as", "word"), True),
    "search for a sentence": (search("--speak", "said.wav", "--spoken", "en", "--as", "sentence"), True),
    "export_words": (export, True),
    "export_words again": (export_again, True),
    "pack_model": (packed, False),
}
"""name -> what makes the output, and whether ids of other captions must be in it (else the test would show nothing)"""


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(kind, bytes) of all files of a folder, and of the files within its pages."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield "audio" if path.suffix in SOUNDS else "image" if path.suffix == ".png" else "text", data
            for kind, coded in EMBEDDED_FILE.findall(data):
                yield kind.decode(), base64.b64decode(coded)


def sounds_private(data: bytes) -> bool:
    """Whether the tone of private recordings is in a sound."""
    wave, rate = soundfile.read(io.BytesIO(data))
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    frequencies = np.fft.rfftfreq(len(wave), 1 / rate)
    tone = PRIVATE_STEP * 16000 / (2 * np.pi)
    return bool(power[np.abs(frequencies - tone) < 60].sum() > 0.1 * power.sum())


@pytest.mark.parametrize("name", COMMANDS)
def test_what_may_not_be_shared_is_in_no_output(place: Place, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    speech = SpeechSet.load(place.set_en)
    features = ArchiveReader(place.set_en / "feats/fbank.scp")
    drawn = [encode_image(spectrogram(features[utt]), "png") for utt in speech.private]
    assert len(drawn) == len(PRIVATE)
    make, names_others = COMMANDS[name]
    out = make(place)
    told = capsys.readouterr()
    found = [*contents(out), ("text", (told.out + told.err).encode())]
    files = " ".join(str(path.relative_to(out)) for path in out.rglob("*"))
    everything = files.encode() + b"".join(data for kind, data in found if kind == "text")
    for secret in (PRIVATE_ID, PRIVATE_SPEAKER):
        assert secret.encode() not in everything, f"{secret} in {everything[everything.find(secret.encode()) - 99 :][:200]!r}"
    assert not re.search(rf"{PRIVATE_WORD} +\w".encode(), everything), "a caption's text"
    assert not any(sounds_private(data) for kind, data in found if kind == "audio")
    assert not any(picture in data for picture in drawn for kind, data in found if kind == "image")
    if names_others:
        assert re.search(rb"\ben-\d\b", everything), "nothing of others is there either"


def test_the_test_hears_and_sees(place: Place) -> None:
    """What the test above looks for is found where it is."""
    assert sounds_private((place.planted.data / f"files/en-{PRIVATE_ID}0.wav").read_bytes())
    assert not sounds_private((place.planted.data / "files/en-1.wav").read_bytes())
    for lang in ("en", "hi"):
        (place.planted.data / f"speech/test_{lang}/utt2share").unlink()
    matchmaps(place)
    kinds = list(contents(report_of_all(place)))
    assert any(PRIVATE_ID.encode() in data for kind, data in kinds if kind == "text")
    assert any(sounds_private(data) for kind, data in kinds if kind == "audio")
