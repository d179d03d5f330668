"""What the recipe tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe_runner import TINY, run


@pytest.fixture(scope="session")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory, with a space in its path, of a whole run of egs/hindi_english on a tiny corpus."""
    work = tmp_path_factory.mktemp("tiny") / "work dir"
    run("hindi_english", work, *TINY)
    return work
