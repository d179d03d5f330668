"""Own recordings, what protects those who speak and those who hope: hashed names, and what is said of too little data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from test_corpora_manifest import HEADER, lines_of, long_manifest, own, piece, write  # noqa: F401  # own is a fixture
from vgspeech.bin import prepare_manifest
from vgspeech.corpora.pseudonyms import KEY_BYTES, keyed_hash, open_key
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError

NAMES = (b"awa", b"moussa")


def prepare(monkeypatch: pytest.MonkeyPatch, manifest: Path, data: str = "data/x", **options: object) -> None:
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    monkeypatch.setattr(sys, "argv", ["prepare_manifest", "--manifest", str(manifest), *given, data])
    prepare_manifest.main()


def speakers(data: str) -> dict[str, set[str]]:
    """language -> speakers, without the language."""
    found: dict[str, set[str]] = {}
    for folder in Path(data, "speech").iterdir():
        for spk in SpeechSet.load(folder).utt2spk.values():
            language, _, name = spk.partition("-")
            found.setdefault(language, set()).add(name)
    return found


def tables_with_names(data: str) -> set[str]:
    files = [path for path in Path(data).rglob("*") if path.is_file()]
    assert not any(name in str(path).encode() for path in files for name in NAMES)
    return {path.name for path in files if any(name in path.read_bytes() for name in NAMES)}


def test_names_of_speakers_are_hashed_wherever_they_stand(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    manifest = write(own / "manifest.tsv", lines_of())
    prepare(monkeypatch, manifest, hash_speakers="true")
    key = Path("data/.speaker_key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert tables_with_names("data/x") == {"wav.scp"}
    found = speakers("data/x")
    assert len(found["bam"]) == 2 and found["fr"] < found["bam"], "who speaks two languages is one speaker"
    prepare(monkeypatch, manifest, data="data/again", hash_speakers="true")
    assert speakers("data/again") == found, "the key stays"
    prepare(monkeypatch, manifest, data="elsewhere/x", hash_speakers="true")
    assert not speakers("elsewhere/x")["bam"] & found["bam"], "another place, another key"
    # Nobody finds a speaker by hashing names.
    assert "s" + keyed_hash(open_key(key), "speaker", "awa") in found["fr"]
    assert not {"s" + keyed_hash(guess, "speaker", "awa") for guess in (b"", bytes(KEY_BYTES))} & found["fr"]
    prepare(monkeypatch, manifest)
    assert {"utt2spk", "spk2utt"} < tables_with_names("data/x")


def test_names_of_long_recordings_are_hashed(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    manifest = long_manifest(own, [piece(n, str(n), str(n + 0.75)) for n in range(9)])
    (own / "long.wav").rename(own / "awa.wav")
    manifest.write_text(manifest.read_text().replace("long.wav", "awa.wav"))
    prepare(monkeypatch, manifest, hash_speakers="true")
    assert tables_with_names("data/x") == {"wav.scp"}
    sets = [SpeechSet.load(folder) for folder in Path("data/x/speech").iterdir()]
    assert len({recording for one in sets for recording in one.wav}) == 1
    assert all(one.audio_location(utt)[0].endswith("awa.wav") for one in sets for utt in one.ids)


def test_a_key_that_others_can_read_is_told(
    own: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest, key = write(own / "manifest.tsv", lines_of()), Path("data/.speaker_key")
    prepare(monkeypatch, manifest, hash_speakers="true")
    assert "can be read by others" not in capsys.readouterr().out
    key.chmod(0o644)
    prepare(monkeypatch, manifest, hash_speakers="true")
    assert "can be read by others" in capsys.readouterr().out
    for content in ("", "not a key", "00" * (KEY_BYTES - 1)):
        key.write_text(content)
        with pytest.raises(DataError, match="not the key of the hashed speakers"):
            open_key(key)


def test_languages_without_a_common_picture_are_refused(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    apart = [line for line in lines_of()[1:] if (line[2] == "fr") == (line[0] < "img/5")]
    manifest = write(own / "apart.tsv", [list(HEADER), *apart])
    with pytest.raises(DataError, match="bam and fr describe no picture in common") as caught:
        prepare(monkeypatch, manifest, langs="bam fr")
    assert "--langs bam, and --langs fr" in str(caught.value) and "apart.tsv" in str(caught.value)
    assert not Path("data/x/speech").exists()
    prepare(monkeypatch, manifest, langs="bam")  # alone it is as good as any


def test_common_pictures_must_be_held_out_too(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Of ten pictures the two in test are described in one language each."""
    held = {"img/0.jpg": "fr", "img/1.jpg": "bam"}
    lines = [[*line, "test" if line[0] in held else "train"] for line in lines_of()[1:] if held.get(line[0], line[2]) == line[2]]
    manifest = write(own / "held.tsv", [[*HEADER, "split"], *lines])
    with pytest.raises(DataError, match="have 8 pictures in common, but none of them in test"):
        prepare(monkeypatch, manifest, langs="bam fr")


def test_few_captions_are_taken_and_very_few_refused(
    own: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(monkeypatch, write(own / "few.tsv", lines_of()), langs="fr bam")
    told = capsys.readouterr().out
    assert "captions in train_bam and" in told and "trust none of its results" in told
    assert "by chance the right one is among the first ten in 100 % of all cases" in told
    two = [line for line in lines_of() if line[0] in ("image", "img/0.jpg", "img/1.jpg")]
    with pytest.raises(DataError, match="fr has 2 pictures; needed are at least 3"):
        prepare(monkeypatch, write(own / "two.tsv", two), langs="fr bam")
