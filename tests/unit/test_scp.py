"""scp files are read in blocks of plain lines; what is read does not depend on where a block ends or whether it is plain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vgspeech import scp
from vgspeech.errors import DataError
from vgspeech.scp import parse_scp

PLAIN = [f"key-{number:03d}:{'x' * (number % 7)} /d/a{number // 9}.ark:{11 ** (number % 17)}\n" for number in range(40)]
ODD = {
    "range": "with-range a.ark:5[0:3]\n",
    "letters": "é ü.ark:7\n",
    "blank in the path": "blank my archive.ark:8\n",
    "blank at the end": "blank-end a.ark:9 \n",
    "no colon in the key": "a:b:c d:e:12345678901234567\n",
    "eighteen digits": "long a.ark:123456789012345678\n",
}


def by_hand(lines: list[str]) -> list[tuple[str, str, int]]:
    found = []
    for line in lines:
        key, _, place = line.strip().partition(" ")
        path, _, offset = place.partition("[")[0].rpartition(":")
        found.append((key, path, int(offset)))
    return found


@pytest.mark.parametrize("block", [1, 50, 700, 1 << 20])
@pytest.mark.parametrize("odd", [None, *ODD])
def test_all_lines_are_read_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, odd: str | None
) -> None:
    monkeypatch.setattr(scp, "_BLOCK", block)
    lines = [*PLAIN[:20], *([ODD[odd]] if odd else []), *PLAIN[20:]]
    (tmp_path / "x.scp").write_text("".join(lines), encoding="utf-8")
    read = parse_scp(tmp_path / "x.scp")
    paths = [read.paths[number] for number in read.path_of]
    assert list(zip((key.decode() for key in read.keys), paths, read.offsets.tolist(), strict=True)) == by_hand(lines)
    assert read.ranges == ({20: "0:3"} if odd == "range" else {})
    assert read.offsets.dtype == np.int64 and len(read.paths) == len(set(paths))


@pytest.mark.parametrize("block", [1, 700, 1 << 20])
def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """In an array every key would take as much room: a hundred thousand lines and one long one would fill any memory."""
    monkeypatch.setattr(scp, "_BLOCK", block)
    for length, refused in ((9_999, False), (10_000, True), (3_000_000, True)):
        line = "k" * (length - len(" a.ark:1")) + " a.ark:1\n"
        (tmp_path / "x.scp").write_text("".join([*PLAIN[:20], line, *PLAIN[20:]]))
        if refused:
            with pytest.raises(DataError, match="a line of more than 10,000 bytes") as caught:
                parse_scp(tmp_path / "x.scp")
            assert caught.value.where == f"{tmp_path}/x.scp:21"
        else:
            assert len(parse_scp(tmp_path / "x.scp").keys) == len(PLAIN) + 1


def test_a_block_of_plain_lines_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else 400,000 lines take twice the time."""
    monkeypatch.delattr(scp, "_careful_lines")
    (tmp_path / "x.scp").write_text("".join(PLAIN))
    assert len(parse_scp(tmp_path / "x.scp").keys) == len(PLAIN)


def test_a_last_line_without_its_end_and_no_line_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.scp").write_text("".join(PLAIN)[:-1])
    assert len(parse_scp(tmp_path / "x.scp").keys) == len(PLAIN)
    (tmp_path / "x.scp").write_text("")
    assert len(parse_scp(tmp_path / "x.scp").keys) == 0
