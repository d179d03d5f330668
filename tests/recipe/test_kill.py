"""A run that is killed at a random moment and started again ends with what an undisturbed run makes, byte for byte.

With tests/run.sh --full each stage of one recipe is killed once; with --nightly each stage of both recipes three times:
by SIGKILL, by SIGTERM, and (as root, where file systems can be mounted) by a disk that runs full. $VGS_KILL_SEED gives
other moments.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from killing import (
    KILLS,
    Attempt,
    Undisturbed,
    differences,
    half_written,
    kill_something,
    killed_at,
    run_out_of_space,
    small_disk,
    started_again,
    undisturbed,
)
from recipe_runner import STAGES

NIGHTLY = os.environ.get("VGS_NIGHTLY") == "1"
SEED = os.environ.get("VGS_KILL_SEED", "1")
RECIPES = ["hindi_english", "places"] if NIGHTLY else ["hindi_english"]
KINDS = [*KILLS, "full disk"]
LAST = len(STAGES) - 1
pytestmark = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")


def cases() -> list[tuple[str, int, str]]:
    """Recipe, stage, and what happens to it."""
    return [
        (recipe, stage, kind)
        for recipe in RECIPES
        for stage in range(len(STAGES))
        for number, kind in enumerate(KINDS)
        if NIGHTLY or number == stage % len(KINDS)
    ]


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A recipe's undisturbed run; each is made once."""
    made: dict[str, Undisturbed] = {}

    def of(recipe: str) -> Undisturbed:
        if recipe not in made:
            made[recipe] = undisturbed(recipe, tmp_path_factory.mktemp(recipe))
        return made[recipe]

    return of


def can_mount(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        with small_disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.mark.parametrize(("recipe", "stage", "kind"), cases(), ids=lambda value: str(value).replace(" ", "-"))
def test_a_stage_that_was_killed_ends_the_same(  # type: ignore[no-untyped-def]
    recipe: str, stage: int, kind: str, undisturbed_run, tmp_path: Path
) -> None:
    dice = random.Random(f"{SEED} {recipe} {stage} {kind}")
    if kind == "full disk" and not can_mount(tmp_path / "probe"):
        pytest.skip("only root can mount a small disk")
    base = undisturbed_run(recipe)
    if kind == "full disk":
        with small_disk(tmp_path / "disk") as disk:
            ended = run_out_of_space(base, disk, stage, dice)
            if ended.status != 0:
                check_told_of_space(ended.printed, disk)
            assert half_written(base, disk / "work", stage) == []
            check_goes_on(base, disk / "work", stage)
    else:
        ended = killed_at(base, tmp_path / "work", stage, kind, dice)
        assert "Traceback" not in ended.printed or kind == "SIGKILL", ended.printed[-3000:]
        assert half_written(base, tmp_path / "work", stage) == []
        check_goes_on(base, tmp_path / "work", stage)


def check_told_of_space(printed: str, disk: Path) -> None:
    """The message names the file system and no program fell over."""
    told = "no space left" in printed.lower() or "bytes free" in printed
    assert told and str(disk) in printed, printed[-3000:]
    assert "Traceback" not in printed, printed[-3000:]


def check_goes_on(base: Undisturbed, work: Path, stage: int) -> None:
    """The same command ends well, and all files are those of the undisturbed run."""
    done = started_again(base.recipe, work, stage)
    assert done.status == 0, done.printed[-5000:]
    assert differences(work, base.after(stage)) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_that_is_killed_again_and_again_goes_to_the_end(  # type: ignore[no-untyped-def]
    recipe: str, undisturbed_run, tmp_path: Path
) -> None:
    dice = random.Random(f"{SEED} {recipe}")
    base, work = undisturbed_run(recipe), tmp_path / "work"
    work.mkdir()
    kills = 4
    for _ in range(kills):
        attempt = Attempt(recipe, work, LAST)
        attempt.wait(dice.uniform(0.1, 2) * sum(base.seconds.values()) / (kills + 1))
        kill_something(attempt, dice)
        attempt.finish()
    check_goes_on(base, work, LAST)
