"""What the recipe tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe_runner import TINY, run


@pytest.fixture(scope="session")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory, with a space in its path, of egs/hindi_english on a tiny corpus, run whole in three goes."""
    work = tmp_path_factory.mktemp("tiny") / "work dir"
    assert "stage 3" not in run("hindi_english", work, *TINY, "--stop-stage", "2")
    printed = run("hindi_english", work, *TINY, "--stage", "statistics", "--stop-stage", "embed")
    assert "stage 5 embed: done" in printed and "stage 2" not in printed and "stage 6" not in printed
    printed = run("hindi_english", work, *TINY)
    assert printed.count("up to date") == 6 and printed.count("done in") == 5 and "Traceback" not in printed
    return work
