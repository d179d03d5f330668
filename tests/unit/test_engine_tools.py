"""The small tools of utils/."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine_recipe import UTILS


def split(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UTILS / "split_scp.sh", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("lines", "pieces"), [(10, 3), (7, 7), (1, 1), (1000, 8)])
def test_split_keeps_every_line_in_order(tmp_path: Path, lines: int, pieces: int) -> None:
    text = [f"utt{number:04} a path/{number}.wav\n" for number in range(lines)]
    (tmp_path / "wav.scp").write_text("".join(text))
    done = split(tmp_path, "wav.scp", str(pieces), "out put")
    assert (done.stdout, done.stderr) == (f"{pieces}\n", "")
    parts = [(tmp_path / "out put" / f"wav.{job}.scp").read_text() for job in range(1, pieces + 1)]
    assert "".join(parts) == "".join(text)
    sizes = [part.count("\n") for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len(list((tmp_path / "out put").iterdir())) == pieces


def test_split_uses_fewer_jobs_for_few_lines_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("a 1\nb 2\nc 3\n")
    split(tmp_path, "wav.scp", "3", "s")
    (tmp_path / "wav.scp").write_text("a 1\nb 2\n")
    done = split(tmp_path, "wav.scp", "5", "s")
    assert done.stdout == "2\n"
    assert "has 2 lines: using 2 jobs instead of 5" in done.stderr
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["wav.1.scp", "wav.2.scp"], "no stale pieces"


def test_split_refuses_bad_input(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "cut").write_text("a 1\nb 2")
    for arguments, status, message in (
        (("none", "2", "s"), 4, "no such file"),
        (("empty", "2", "s"), 4, "is empty"),
        (("cut", "2", "s"), 4, "no end of line"),
        (("empty", "0", "s"), 2, "whole number"),
        (("empty",), 2, "expected <table>"),
    ):
        done = split(tmp_path, *arguments)
        assert done.returncode == status
        assert message in done.stderr


HOSTILE = [
    "a'b /it's.wav",
    'c"d "x".wav',
    "$(touch${IFS}evil) $(touch evil).wav",
    "`touch evil` x",
    "-n --help",
    "%s %d\\n",
    "\ufeffbom x",
    "क\u093c nfd.wav",
    "crlf x.wav\r",
    "* ../*.wav",
]


def test_split_carries_hostile_lines_unharmed(tmp_path: Path) -> None:
    text = "".join(f"{line}\n" for line in HOSTILE).encode()
    folder = tmp_path / "it's a $(touch evil) folder"
    folder.mkdir()
    (folder / "a b.c.scp").write_bytes(text)
    done = split(tmp_path, str(folder / "a b.c.scp"), "3", str(folder / "out"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
    assert b"".join((folder / "out" / f"a b.c.{job}.scp").read_bytes() for job in (1, 2, 3)) == text
    assert not list(tmp_path.rglob("evil"))


def test_split_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("a 1\nb 2\n")
    (tmp_path / "s").mkdir()
    for name in ("wav.x.scp", "wav.1.ark", "other.1.scp", "wav.9.scp"):
        (tmp_path / "s" / name).write_text("kept\n")
    split(tmp_path, "wav.scp", "2", "s")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "other.1.scp", "wav.1.ark", "wav.1.scp", "wav.2.scp", "wav.x.scp",
    ]  # fmt: skip
