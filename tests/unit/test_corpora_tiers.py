"""Long recordings cut by tiers of ELAN and Praat files: what is read, and what is refused with its place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from praatio import textgrid
from pympi import Eaf

from micro_corpus import FRONT_END
from small_release import write_image
from vgspeech.archive import ArchiveReader
from vgspeech.corpora.captions import Release
from vgspeech.corpora.division import side_by_side
from vgspeech.corpora.elan import read_elan
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.manifest import read_manifest
from vgspeech.corpora.praat import read_praat
from vgspeech.corpora.prepare import Settings, prepare_division
from vgspeech.corpora.roots import Roots
from vgspeech.corpora.truth import Truth
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.features import make_features, merge_features
from vgspeech.tables import read_table

RATE = 16000
NAMES = ["Market", "img/well.jpg", "GOAT.JPG", "a b", "img%2Fhut"]
PATHS = ["img/Market.jpg", "img/well.jpg", "img/goat.jpg", "img/a b.png", "img/hut.jpg"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pictures and a recording of ten seconds, below ``own``."""
    monkeypatch.chdir(tmp_path)
    for path in PATHS:
        write_image(tmp_path / "own" / path)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 10 * RATE)
    (tmp_path / "own/rec").mkdir()
    soundfile.write(tmp_path / "own/rec/awa.wav", noise, RATE, "PCM_16")
    (tmp_path / "own/m.tsv").write_text("wav\tlang\tspeaker\nrec/awa.wav\tbam\tawa\n")
    return tmp_path / "own"


def spans(texts: list[str]) -> list[tuple[float, float, str]]:
    return [(number, number + 0.75, text) for number, text in enumerate(texts)]


def write_grid(path: Path, texts: list[str], form: str = "long_textgrid", encoding: str = "utf-8", tier: str = "picture") -> Path:
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier(tier, spans(texts), 0, 10))
    grid.addTier(textgrid.PointTier("beeps", [(0.5, "x")], 0, 10))
    grid.save(str(path), format=form, includeBlankSpaces=True)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    return path


def write_eaf(path: Path, texts: list[str]) -> Path:
    document = Eaf()
    document.remove_tier("default")
    document.add_tier("picture")
    for start, end, text in spans(texts):
        document.add_annotation("picture", int(1000 * start), int(1000 * end), text)
    document.to_file(path)
    return path


def read(own: Path, tier: str = "picture"):
    return read_manifest(own / "m.tsv", Roots(own, own), Fractions(0, 0), tier)


def rejected(own: Path) -> str:
    return "\n".join(one.reason for one in read(own)[0].splits["train"].rejected)


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_of_a_textgrid_is_read(own: Path, form: str, encoding: str) -> None:
    path = write_grid(own / "a.TextGrid", ['a "b"', "été"], form, encoding)
    found = read_praat(path).find("picture").annotations
    assert [one for one in found if one.text] == [(0, 0.75, 'a "b"', ""), (1, 1.75, "été", "")]


def test_small_times_of_praat_are_not_mistaken(own: Path) -> None:
    path = write_grid(own / "a.TextGrid", ["x"])
    path.write_text(path.read_text().replace("xmax = 0.75", "xmax = 7.5e-01"))
    assert read_praat(path).find("picture").annotations[0].end_s == 0.75


@pytest.mark.parametrize("kind", ["eaf", "TextGrid"])
def test_annotations_become_captions_of_the_pictures_they_name(own: Path, kind: str) -> None:
    texts = [*NAMES, "Market", "  "]
    (write_eaf if kind == "eaf" else write_grid)(own / f"rec/awa.{kind}", texts)
    releases = read(own)
    captions = releases[0].splits["train"].captions
    assert [one.image for one in captions] == [*PATHS, PATHS[0]] and not releases[0].splits["train"].rejected
    assert [(one.start_s, one.end_s) for one in captions] == [(n, n + 0.75) for n in range(6)]
    assert any("empty annotations of the tier 'picture' were skipped, in 1 files" in note for note in releases[0].notes)


def prepared(releases: list[Release], own: Path, out: str) -> dict[str, np.ndarray]:
    """Captions' features, by picture and take."""
    prepare_division(side_by_side(releases), releases, Path(out), Settings(own, max_bad=0), Truth())
    speech = SpeechSet.load(f"{out}/speech/train_bam")
    make_features(speech, FRONT_END, 1, 1)
    merge_features(speech, FRONT_END, 1, 0)
    return dict(ArchiveReader(speech.path / "feats.scp"))


def test_ten_cuts_of_one_recording_have_the_features_of_ten_files(own: Path) -> None:
    write_grid(own / "rec/awa.TextGrid", NAMES * 2)
    cuts = prepared(read(own), own, "data/cuts")
    whole, _ = soundfile.read(own / "rec/awa.wav", dtype="int16")
    lines = ["image\twav\tlang\tspeaker"]
    for number, path in enumerate(PATHS * 2):
        soundfile.write(own / f"rec/{number}.wav", whole[number * RATE : number * RATE + 3 * RATE // 4], RATE, "PCM_16")
        lines.append(f"{path}\trec/{number}.wav\tbam\tawa")
    (own / "m.tsv").write_text("\n".join([*lines, ""]))
    files = prepared(read(own, ""), own, "data/files")
    assert len(cuts) == len(files) == 10
    for one, other in zip(sorted(cuts), sorted(files), strict=True):
        assert np.array_equal(cuts[one], files[other])  # not merely close: embeddings are computed from these


def test_a_missing_tier_lists_those_that_are_there(own: Path) -> None:
    write_grid(own / "rec/awa.TextGrid", NAMES)
    with pytest.raises(DataError, match=r"awa.TextGrid: no tier 'pictures'; there are: 'picture', 'beeps'"):
        read(own, "pictures")
    with pytest.raises(DataError, match="points in time"):
        read(own, "beeps")
    write_eaf(own / "rec/awa.eaf", NAMES)
    with pytest.raises(DataError, match=r"m.tsv:2: awa.TextGrid and awa.eaf beside"):
        read(own)
    for path in (own / "rec/awa.eaf", own / "rec/awa.TextGrid"):
        path.unlink()
    with pytest.raises(DataError, match=r"m.tsv:2: no awa.eaf or awa.TextGrid beside"):
        read(own)


def test_a_forgotten_tier_is_asked_for(own: Path) -> None:
    with pytest.raises(DataError, match=r"m.tsv:1: no column 'image'\n.*in which tier: --tier NAME"):
        read(own, "")


def test_a_missing_picture_is_named_with_file_tier_and_time(own: Path) -> None:
    write_image(own / "old/well.jpg")
    write_eaf(own / "rec/awa.eaf", ["Market", "markt", "well"])
    told = rejected(own)
    assert "rec/awa.eaf: tier 'picture': 1.000 to 1.750 s: no picture 'markt'" in told
    assert "did you mean img/Market.jpg?" in told and "'well' may be 2 pictures" in told


def test_annotations_beyond_the_recording_and_overlapping_ones(own: Path) -> None:
    path = write_eaf(own / "rec/awa.eaf", [*NAMES, "Market"])
    path.write_text(path.read_text().replace('TIME_VALUE="5750"', 'TIME_VALUE="11000"').replace('"3000"', '"2500"'))
    releases = read(own)
    prepare_division(side_by_side(releases), releases, Path("data/x"), Settings(own, max_bad=1), Truth())
    (reason,) = read_table("data/x/speech/train_bam/rejected").values()
    assert "tier 'picture': 5.000 to 11.000 s" in reason and "lies outside the recording of 10.000 s" in reason
    assert len(SpeechSet.load("data/x/speech/train_bam")) == 5


def test_reference_tiers_share_times_and_divided_ones_are_refused(own: Path) -> None:
    path = write_eaf(own / "rec/awa.eaf", ["x", "y"])
    first, second = re.findall(r'ANNOTATION_ID="(\w+)"', path.read_text())
    references = "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r{n}" ANNOTATION_REF="{parent}"><ANNOTATION_VALUE>Market'
        "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for n, parent in enumerate((first, second, second))
    )
    whole = path.read_text().replace("</TIER>", f'</TIER><TIER TIER_ID="named">{references}</TIER>', 1)
    path.write_text(whole)
    one, *divided = read_elan(path).find("named").annotations
    assert one == (0, 0.75, "Market", "")
    assert all("'named' divides annotations of 'picture'" in other.problem for other in divided)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type"),
        ('<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>', "document type"),
        ("<a>", "not XML"),
        ("<a/>", "not an annotation document"),
        ("<ANNOTATION_DOCUMENT><TIER/></ANNOTATION_DOCUMENT>", "TIER without TIER_ID"),
        ('<ANNOTATION_DOCUMENT><TIME_SLOT TIME_SLOT_ID="t" TIME_VALUE="-5"/></ANNOTATION_DOCUMENT>', "time value"),
    ],
)
def test_bad_elan_files_are_refused(own: Path, content: str, told: str) -> None:
    (own / "rec/awa.eaf").write_text(content)
    with pytest.raises(DataError, match=told):
        read(own)


def test_bad_textgrids_are_refused(own: Path) -> None:
    path = write_grid(own / "rec/awa.TextGrid", NAMES)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError):
            read(own)
    path.write_bytes(b"ooBinaryFile\x08TextGrid\0\0")
    with pytest.raises(DataError, match="not a text file"):
        read(own)
