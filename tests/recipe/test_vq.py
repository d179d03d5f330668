"""The chain of quantised models on a corpus of a few scenes: trained, evaluated, beside k-means, on its page."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from recipe_runner import ROOT

slow = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")


def run_vq(work: Path, *options: str) -> str:
    done = subprocess.run(
        [ROOT / "egs/hindi_english/run_vq.sh", "--dir", str(work), "--nj", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


@slow
def test_the_chain_ends_with_pages_that_show_its_quantisers_beside_k_means(bilingual: Path) -> None:
    options = ["--codebook-size", "16", "--set", "training.epochs=1", "--set", "training.precision=float32"]
    printed = run_vq(bilingual, *options)
    assert printed.count("done in") >= 5 and printed.count("words with F1 >= .5 by k-means (16 codes") == 2
    for position, name in ((2, "exp/mini_vq2"), (3, "exp/mini_vq23")):
        (line,) = map(json.loads, (bilingual / name / "metrics.jsonl").open())
        assert set(line["codebook_start"]) == {f"en/quant{position}", f"hi/quant{position}"}
    layers = bilingual / "exp/mini_vq23/eval/mini/train/layers"
    for language in ("en", "hi"):
        page = (layers / language / "index.html").read_text(encoding="utf-8")
        assert all(title in page for title in ("quantiser 2", "quantiser 3", "k-means below 2", "k-means below 3"))
        units = json.loads((layers / language / "comparison.json").read_text())["units"]
        assert [unit["layer"] for unit in units] == ["codes3", "stage2"]
        table = (bilingual / f"exp/mini_vq23/eval/mini/test/abx/{language}/abx.tsv").read_text().splitlines()
        assert {"logmel", "codes2", "codes3", "output"} <= {row.split("\t")[0] for row in table}
    assert run_vq(bilingual, *options).count("up to date") == 5
