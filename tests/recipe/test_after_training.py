"""What can be done with a finished run: export of the found words, query by voice."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from recipe_runner import ROOT


def step(work: Path, *command: str) -> str:
    """Run a script in a work directory; its output."""
    name, *arguments = command
    done = subprocess.run(
        [ROOT / name, *arguments], cwd=work, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_found_words_are_exported(bilingual: Path, tmp_path: Path) -> None:
    said = step(bilingual, "steps/export_words.sh", "exp/mini/lexicon/mini/en-hi", "data/mini", "train", str(tmp_path))
    assert "recordings in en" in said and "recordings in hi" in said
    rows = (tmp_path / "words_hi.tsv").read_text(encoding="utf-8").splitlines()[1:]
    names = {row.split("\t")[0] for row in rows}
    assert {path.stem for path in tmp_path.glob("elan/hi-*.eaf")} >= names


def test_recorded_words_find_captions_and_images(bilingual: Path, tmp_path: Path) -> None:
    words, out = str(tmp_path / "words"), tmp_path / "found"
    step(bilingual, "utils/cut_words.sh", "--lexicon", "data/mini/lexicon.tsv", "data/mini/speech/test_hi", words)
    paths = ("exp/mini", "exp/mini/eval/mini/test/embed", "data/mini", "test", "en", words, str(out))
    said = step(bilingual, "steps/query_by_voice.sh", "--others-only", "true", "--top", "3", *paths)
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert scores["captions"]["queries"] > 0 and scores["images"]["queries"] > 0
    assert f"{scores['captions']['p_at_10']:.3f}" in said
    queries = (Path(words) / "wav.scp").read_text().count("\n")
    assert queries and (out / "captions.tsv").read_text(encoding="utf-8").count("\n") > 3
