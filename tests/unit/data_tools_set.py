"""A small speech set with every kind of file, and ways to run the tools and compare what they make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from vgspeech.archive import ArchiveWriter
from vgspeech.datadir import Word, write_image_set, write_speech_set
from vgspeech.dataset_tools.layout import SpeechFiles
from vgspeech.tables import write_table

ROOT = Path(__file__).resolve().parents[2]


def make_set(path: Path, utterances: dict[str, tuple[str, str]], language: str = "en", *, feats: bool = True) -> Path:
    """Write a speech set. ``utterances``: id -> speaker, image."""
    ids = sorted(utterances)
    write_speech_set(
        path,
        wav={name: f"/sound files/{name}.wav" for name in ids},
        utt2spk={name: utterances[name][0] for name in ids},
        utt2lang=dict.fromkeys(ids, language),
        utt2dur={name: 1 + 0.25 * (sum(name.encode()) % 7) for name in ids},
        utt2image={name: utterances[name][1] for name in ids},
        text={name: "" if i % 5 == 4 else f"लाल square {i}" for i, name in enumerate(ids)},
        ctm={name: [Word(0, 0.5, "लाल"), Word(0.5, 1, "square")] for i, name in enumerate(ids) if i % 5 != 4},
        ctm_phones={name: [Word(0.1 * i, 0.1 * i + 0.1, "a") for i in range(12)] for name in ids},
    )
    write_table(path / "utt2accent", dict.fromkeys(ids, "north of the river"))
    write_table(path / "spk2gender", dict.fromkeys({speaker for speaker, _ in utterances.values()}, "f"))
    if feats:
        make_features(path, ids)
    return path


def make_features(path: Path, ids: list[str]) -> None:
    """Features of all utterances, archives outside the set, as of two front ends; the first one is the default."""
    for name in ("fbank", "other"):
        scp = path / "feats" / f"{name}.scp"
        with ArchiveWriter(path.parent / "arks" / f"{path.name}.{name}.ark", scp) as writer:
            for utterance in ids:
                writer.write(utterance, np.ones((3, 2), dtype=np.float32))
        write_table(path / "feats" / f"{name}.utt2num_frames", dict.fromkeys(ids, "3"))
        write_table(path / "feats" / f"{name}.rejected", {})
        (path / "feats" / f"{name}.yaml").write_text("num_mel_bins: 2\n", encoding="utf-8")
    (path / "feats.scp").symlink_to("feats/fbank.scp")
    (path / "utt2num_frames").symlink_to("feats/fbank.utt2num_frames")


def speakers_set(path: Path, speakers: int = 4, each: int = 5, **options: object) -> Path:
    """``each`` utterances of every speaker; three utterances share an image."""
    names = [(f"s{s:02d}-u{u}", f"s{s:02d}") for s in range(speakers) for u in range(each)]
    return make_set(path, {name: (speaker, f"i{i // 3}") for i, (name, speaker) in enumerate(names)}, **options)  # type: ignore[arg-type]


def make_images(path: Path, images: list[str]) -> Path:
    write_image_set(path, paths={i: f"/{i}.jpg" for i in images}, sizes=dict.fromkeys(images, (8, 8)))
    return path


def find(path: Path) -> SpeechFiles:
    return SpeechFiles.find(path)


def content(path: Path) -> dict[str, bytes]:
    """All files below a folder, links as their targets."""
    return {
        str(file.relative_to(path)): os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
        for file in sorted(path.rglob("*"))
        if not file.is_dir()
    }


def tool(name: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of utils/ with this Python."""
    environment = {**os.environ, "VGS_PYTHON": sys.executable}
    command = [str(ROOT / "utils" / name), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
