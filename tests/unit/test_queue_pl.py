"""A site's own queue.pl as the job runner: called as Kaldi calls it, its jobs get PATH and the path.sh of the directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine_recipe import ROOT, Recipe, clean_environment

# What Kaldi's queue.pl does with `qsub -v PATH -cwd`, less the queue: same options, quoting, log and messages.
QUEUE_PL = r"""#!/usr/bin/env bash
options=()
while [[ $1 == -* ]]; do options+=("$1=$2"); shift 2; done
echo "${options[*]}" >>"$CALLS"
tag= first=1 last=1
if [[ $1 =~ ^([A-Za-z_]+)=([0-9]+):([0-9]+)$ ]]; then
  tag=${BASH_REMATCH[1]} first=${BASH_REMATCH[2]} last=${BASH_REMATCH[3]}
  shift
fi
log=$1; shift
command=
for word; do
  case $word in
    *'"'*) command+="'$word' " ;;
    *[[:space:]]*) command+="\"$word\" " ;;
    *) command+="$word " ;;
  esac
done
mkdir -p "$(dirname "$log")"
failed=0
for ((task = first; task <= last; task++)); do
  task_log=${log//$tag/$task} task_command=${command//$tag/$task}
  (
    echo "# Running on node1"
    env -i PATH="$PATH" bash -c "cd '$PWD'; . ./path.sh; ( $task_command )"
    status=$?
    echo "# Finished at $(date) with status $status"
    exit $status
  ) >"$task_log" 2>&1 || failed=$((failed + 1))
done
if ((failed > 0)); then
  echo "queue.pl: $failed / $last failed, log is in ${log//$tag/*}" >&2
  exit 1
fi
"""


@pytest.fixture
def site(tmp_path: Path) -> tuple[Recipe, str]:
    """A recipe, and a site's queue.pl."""
    recipe = Recipe(tmp_path)
    path_sh = recipe.root / "path.sh"
    path_sh.write_text(path_sh.read_text().replace("$root", str(recipe.root)) + "export FROM_PATH_SH=yes\n")
    queue = tmp_path / "queue.pl"
    queue.write_text(QUEUE_PL)
    queue.chmod(0o755)
    return recipe, str(queue)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_recipe_under_queue_pl(site: tuple[Recipe, str], tmp_path: Path, elsewhere: bool) -> None:
    recipe, queue = site
    work = tmp_path / "work" if elsewhere else recipe.dir
    command = 'test "$FROM_PATH_SH" = yes && type run.pl'
    words = ["--cmd", f"{queue} --mem 4G -q all.q", "--work-command", command, "--dir", str(work)]
    recipe.run(*words, CALLS=str(tmp_path / "calls"))
    assert (tmp_path / "calls").read_text() == "--mem=4G -q=all.q\n"
    assert (work / "data/mini/feats.scp").read_text() == "hello 1\n" * 2
    assert "with status 0" in (work / "data/mini/log/x.2.log").read_text()


def test_a_failure_under_queue_pl(site: tuple[Recipe, str], tmp_path: Path) -> None:
    recipe, queue = site
    output = recipe.run("--cmd", queue, "--work-command", "false", expect=1, CALLS=str(tmp_path / "calls"))
    assert "queue.pl: 2 / 2 failed, log is in data/mini/log/x.*.log" in output
    assert "stage 1 (features) failed" in output


@pytest.mark.parametrize(("action", "status"), [("mkdir -p m/checkpoints; touch m/checkpoints/interrupted", 85), (":", 1)])
def test_an_interrupted_training_is_recognised(tmp_path: Path, action: str, status: int) -> None:
    """queue.pl makes 1 of every failure; the marker that training leaves tells an interruption. One of earlier does not count."""
    for folder in ("data/speech", "data/images/train", "m/checkpoints"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "config.yaml").touch()
    (tmp_path / "m/checkpoints/interrupted").touch()
    queue = tmp_path / "queue.pl"
    queue.write_text(f"#!/bin/sh\n{action}\nexit 1\n")
    queue.chmod(0o755)
    environment = {**clean_environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT / "pylib")
    done = subprocess.run([ROOT / "steps/train.sh", "--cmd", str(queue), "config.yaml", "data", "m"], cwd=tmp_path,
                          env=environment, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == status, done.stderr


def test_the_users_own_path_sh_stays(site: tuple[Recipe, str], tmp_path: Path) -> None:
    recipe, queue = site
    (recipe.dir / "path.sh").write_text("export MINE=1\n")
    recipe.run("--cmd", queue, "--work-command", 'test "$MINE" = 1', CALLS=str(tmp_path / "calls"))
    assert (recipe.dir / "path.sh").read_text() == "export MINE=1\n"


def test_our_runners_need_no_path_sh(site: tuple[Recipe, str]) -> None:
    recipe, _ = site
    recipe.run()
    assert not (recipe.dir / "path.sh").exists()
