"""Readers of what others wrote cope with anything: they read it, or say what is wrong, soon and within bounds.

A small share runs always; tests/run.sh --nightly runs more than 20,000 cases.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lookalikes
from clip_files import spoken_moments
from vgspeech.corpora.coco import read_spoken_coco
from vgspeech.corpora.flickr8k import read_flickr8k
from vgspeech.corpora.holdout import Fractions
from vgspeech.corpora.japanese import read_japanese
from vgspeech.corpora.manifest import Roots, read_manifest
from vgspeech.corpora.moments import read_spoken_moments
from vgspeech.corpora.objectnet import read_objectnet
from vgspeech.corpora.places import read_english, read_hindi
from vgspeech.corpora.speechcoco import parse_timecodes, read_speech_coco
from vgspeech.corpora.truth import read_truth
from vgspeech.errors import DataError

CASES = {
    "wav": 3000, "flac": 3000, "ogg": 1500, "jpeg": 3000, "png": 3000, "bomb": 100, "video": 3000, "archive": 3000,
    "metadata": 5000,
}  # fmt: skip
NIGHTLY = os.environ.get("VGS_NIGHTLY") == "1"
SHARE = {"wav": 60, "flac": 60, "ogg": 40, "jpeg": 60, "png": 60, "bomb": 1, "video": 60, "archive": 60, "metadata": 100}
GUARD = Path(__file__).with_name("fuzz_guard.py")


def fuzzed(tmp_path: Path, kinds: dict[str, int], seed: int) -> str:
    environment = {**os.environ, "PYTHONPATH": str(GUARD.parents[2] / "pylib"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(GUARD), str(seed), str(tmp_path), *(f"{kind}={cases}" for kind, cases in kinds.items())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    said = fuzzed(tmp_path, SHARE, seed=0)
    assert said.count("refused") == len(SHARE) and "prepared" in said


@pytest.mark.nightly
@pytest.mark.parametrize("kind", CASES)
def test_many_damaged_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    assert sum(CASES.values()) > 20_000
    print(fuzzed(tmp_path, {kind: CASES[kind]}, seed=int.from_bytes(os.urandom(3), "big")))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open('/etc/hostname')", "LeftTheFolder"),
        ("open(str(folder / 'x'), 'w'); open('/tmp/not_here', 'w')", "LeftTheFolder"),
        ("import subprocess; subprocess.run(['true'])", "LeftTheFolder"),
        ("bytearray(2 << 30)", "MemoryError"),
        ("while True: pass", "TooSlow"),
    ],
)
def test_the_guard_notices(tmp_path: Path, code: str, error: str) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(GUARD.parent)!r})
from pathlib import Path
import fuzz_guard
fuzz_guard.SECONDS = 0.2
folder = Path({str(tmp_path)!r})
fuzz_guard.limit_memory()
fuzz_guard.watch_files(folder)
try:
    with fuzz_guard.guarded():
        {code}
except BaseException as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == error, done.stdout + done.stderr


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
few = settings(
    max_examples=1000 if NIGHTLY else 30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def some(**values: object) -> st.SearchStrategy[dict[str, object]]:
    """Objects with any of these keys, each right or anything."""
    return st.fixed_dictionaries({}, optional={key: JSON | st.just(value) for key, value in values.items()})


ROW = some(image="a.jpg", wav="b.wav", lang="en", speaker="s", start=1, end=2.5, share="no", split="val", text="x")
CODE = st.tuples(st.floats(), st.sampled_from(["WORD", "PHO", "SEPR"]), st.text(max_size=4)).map(list)
CAPTION = some(text="A BUS", speaker="m1", uttid="m1-3L_1_2", wav="wavs/a.wav")


@few
@given(st.lists(JSON | some(image="a/b.jpg", captions=[], caption={}) | st.builds(
    lambda image, captions: {"image": image, "captions": captions}, st.text(max_size=9), st.lists(CAPTION | JSON, max_size=3)
), max_size=5))  # fmt: skip
def test_every_spoken_caption_is_kept_or_listed(tmp_path: Path, records: list[object]) -> None:
    (tmp_path / "wavs").mkdir(exist_ok=True)
    (tmp_path / "SpokenCOCO_train.json").write_text(json.dumps({"data": records}))
    found = read_spoken_coco(tmp_path).splits["train"]
    expected = 0
    for record in records:
        nested = record.get("captions") if isinstance(record, dict) else None
        expected += max(1, len(nested)) if isinstance(nested, list) else 1
    assert len(found.captions) + len(found.rejected) + len(found.duplicates) == expected


@few
@given(st.lists(ROW, max_size=5))
def test_every_line_of_a_manifest_is_kept_or_listed(tmp_path: Path, rows: list[object]) -> None:
    (tmp_path / "m.json").write_text(json.dumps([{"image": "z.jpg", "wav": "z.wav", "lang": "fr", "speaker": "z"}, *rows]))
    releases = read_manifest(tmp_path / "m.json", Roots(tmp_path, tmp_path), Fractions())
    parts = [part for release in releases for part in release.splits.values()]
    assert sum(len(part.captions) + len(part.rejected) + len(part.duplicates) for part in parts) == len(rows) + 1


@few
@given(st.text(max_size=200))
def test_any_text_is_a_manifest_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.tsv").write_text(text, encoding="utf-8", errors="replace")
    try:
        read_manifest(tmp_path / "m.tsv", Roots(tmp_path, tmp_path), Fractions())
    except DataError as error:
        assert str(error).startswith(str(tmp_path / "m.tsv"))


@few
@given(st.binary(max_size=200))
def test_any_bytes_are_lists_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x_image2audio_train.txt").write_bytes(content)
    try:
        read_japanese(tmp_path)
    except DataError as error:
        assert error.where is not None


@few
@given(JSON | st.lists(CODE), JSON, st.booleans())
def test_timecodes_are_words_in_order_or_refused(codes: object, duration: object, phones: bool) -> None:
    try:
        words = parse_timecodes(codes, duration, "PHO" if phones else "WORD")
    except ValueError:
        return
    assert all(0 <= word.start_s <= word.end_s < float("inf") for word in words)


RECORD = some(
    uttid="s-1", speaker="s", asr_text="a", wav="wavs/1.wav", image="a/1.jpg", video="a/1.mp4", text_alignment="0__A__1"
)  # fmt: skip
RECORD_READERS = {
    "metadata/train.json": read_english, "PlacesHindi_x_train.json": read_hindi, "metadata/SON-train.json": read_objectnet,
    "metadata/x_train.json": read_spoken_moments,
}  # fmt: skip


@pytest.mark.parametrize("file", RECORD_READERS)
@few
@given(st.lists(JSON | RECORD, max_size=5))
def test_every_record_of_a_release_is_kept_or_listed(tmp_path: Path, file: str, records: list[object]) -> None:
    for folder in ("metadata", "wavs", "hindi_wavs"):
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps({"data": records}))
    found = RECORD_READERS[file](tmp_path).splits["train"]
    assert len(found.captions) + len(found.rejected) + len(found.duplicates) == len(records)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Look-alikes whose text files are replaced one at a time."""
    root = tmp_path_factory.mktemp("laid_out")
    for name, make in (("flickr", lookalikes.flickr8k), ("coco", lookalikes.spoken_coco), ("speech", lookalikes.speech_coco)):
        (root / name).mkdir()
        make(root / name)
    lookalikes.karpathy(root / "coco")
    spoken_moments(root)
    (root / "truth").mkdir()
    return root


CONTENT = st.one_of(
    st.binary(max_size=120), JSON.map(lambda value: json.dumps(value).encode()),
    st.text(st.characters(codec="utf-8"), max_size=120).map(str.encode),
)  # fmt: skip
TEXT_READERS: dict[str, Callable[[Path], object]] = {
    **{
        f"flickr/{name}": lambda root: read_flickr8k(root / "flickr/audio", root / "flickr/text")
        for name in ("audio/wav2capt.txt", "audio/wav2spk.txt", "text/Flickr_8k.devImages.txt", "text/Flickr8k.token.txt",
                     "text/flickr_8k.ctm")
    },
    "coco/dataset_coco.json": lambda root: read_spoken_coco(root / "coco/coco", root / "coco/dataset_coco.json"),
    "speech/speech/train2014/json/1_10_Phil_None_0-9.json": lambda root: read_speech_coco(root / "speech/speech"),
    "smit/metadata/test.tsv": lambda root: read_spoken_moments(root / "smit"),
    "smit/metadata/validation.csv": lambda root: read_spoken_moments(root / "smit"),
    **{f"truth/{name}": lambda root: read_truth(root / "truth") for name in ("lexicon.tsv", "objects.tsv", "ctm_en")},
}  # fmt: skip


@pytest.mark.parametrize("file", TEXT_READERS)
@few
@given(CONTENT)
def test_any_content_of_a_metadata_file_is_read_or_refused(laid_out: Path, file: str, content: bytes) -> None:
    path = laid_out / file
    whole = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        TEXT_READERS[file](laid_out)
    except DataError as error:
        assert error.what and error.where is not None
    finally:
        if whole is None:
            path.unlink()
        else:
            path.write_bytes(whole)
