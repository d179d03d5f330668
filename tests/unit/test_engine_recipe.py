"""utils/recipe.sh and utils/ledger.py: stages that are run, skipped, refused, interrupted and resumed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine_recipe import UTILS, Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(tmp_path)


def stamp(recipe: Recipe, name: str = "01-features") -> Path:
    return recipe.dir / "data" / "mini" / ".stages" / f"{name}.json"


def wait_for(path: Path) -> None:
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_second_run_does_nothing(recipe: Recipe) -> None:
    out = recipe.run()
    assert "stage 1 features: features (not done yet)" in out
    assert f"cwd={recipe.dir}" in out
    assert "model_dir=exp/mini\n" in out
    before = {path: path.stat().st_mtime_ns for path in recipe.dir.rglob("*") if path.is_file() and path.name != "lock"}
    out = recipe.run()
    assert out.count(": up to date (0:00:0") == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before
    record = json.loads(stamp(recipe).read_text())
    assert record["options"] == {"max_bad": "0.01", "set": ""}
    assert record["verbs"] == {"make_x": 1}
    assert record["outputs"] == {"data/mini/feats.scp": 16}
    assert sorted(Path(path).name for path in record["inputs"]) == ["a.scp", "fbank.yaml"]


def test_a_run_that_was_stopped_just_after_its_stamp_leaves_nothing(recipe: Recipe) -> None:
    recipe.run()
    running = stamp(recipe).with_suffix(".running")
    running.write_text(stamp(recipe).read_text())
    assert recipe.run("--dry-run").count("up to date") == 3 and running.exists()
    assert recipe.run().count("up to date") == 3 and not running.exists()


def test_help_is_made_of_the_script(recipe: Recipe) -> None:
    out = recipe.run("--help")
    assert out.startswith("A recipe for tests.")
    assert "--source-dir\n        folder of the corpus" in out
    assert "--seed 1\n        the recipe's own words" in out
    assert "Stages: 0 data, 1 features, 2 train" in out
    assert not (recipe.dir / "data").exists()


READS = """
  hash() { [ ! -e "$1" ] || sha256sum <"$1" | cut -d " " -f 1; }
  printf '{"%s": "%s", "absent.eaf": "%s"}' "$source_dir" "$(hash "$source_dir")" "$(hash absent.eaf)" >"$data/.read.json"
  [ ! -e late ] || cat late >>"$source_dir"
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("edited", "a.eaf: content changed"),
        ("edited meanwhile", "a.eaf: content changed"),
        ("gone", "a.eaf: gone"),
        ("new", "input absent.eaf: new"),
    ],
)
def test_files_that_a_stage_says_it_read_are_inputs(recipe: Recipe, tmp_path: Path, change: str, told: str) -> None:
    made = '  echo "hello $seed" >"$data/a.scp"\n'
    script = recipe.script.read_text().replace("--verb prepare_x", '--verb prepare_x --read "$data/.read.json"')
    recipe.script.write_text(script.replace(made, made + READS))
    annotations = tmp_path / "a.eaf"
    annotations.write_text("one\n")
    options = ("--source-dir", str(annotations), "--corpus", "mini")
    if change == "edited meanwhile":
        (recipe.dir / "late").write_text("two\n")
    recipe.run(*options)
    if not change.startswith("edited m"):
        assert recipe.run(*options).count("up to date") == 3
    if change == "edited":
        annotations.write_text("two\n")
    elif change == "gone":
        annotations.unlink()
    elif change == "new":
        (recipe.dir / "absent.eaf").write_text("x")
    out = recipe.run(*options, expect=3)
    assert "stage 0 data: something changed since it ran" in out and told in out
    (recipe.dir / "late").unlink(missing_ok=True)
    if change != "gone":
        assert "stage 0 data: data" not in recipe.run(*options, "--on-drift", "ignore")
        recipe.run(*options, "--on-drift", "rerun")
        assert recipe.run(*options).count("up to date") == 3


def test_a_folder_counts_by_the_names_and_sizes_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(UTILS))
    from stage_files import digest

    tree, work = tmp_path / "tree", tmp_path / "tree/work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    (tree / "a.wav").write_text("a")
    before = digest(str(tree))
    (work / "result").write_text("x")
    (tree / ".DS_Store").write_text("x")
    assert digest(str(tree)) == before, "neither the work directory nor what a file manager writes"
    (tree / "b.wav").write_text("b")
    assert digest(str(tree)) != before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("option", "option --set:  -> a.b=c"),
        ("config", "conf/fbank.yaml: content changed"),
        ("data", "input data/mini/a.scp: content changed"),
        ("verb", "VERSION of make_x: 1 -> 2"),
        ("optional", "input data/mini/segments: new"),
    ],
)
def test_drift_stops_and_says_what_changed(recipe: Recipe, change: str, told: str) -> None:
    recipe.run()
    arguments = ["--set", "a.b=c"] if change == "option" else []
    if change == "config":
        (recipe.dir / "conf" / "fbank.yaml").write_text("name: other\n")
    elif change == "data":
        (recipe.dir / "data/mini/a.scp").write_text("hallo 1\n")  # same size
    elif change == "verb":
        (recipe.root / "pylib/vgspeech/bin/make_x.py").write_text("VERSION = 2\n")
    elif change == "optional":
        (recipe.dir / "data/mini/segments").write_text("x\n")
    out = recipe.run(*arguments, expect=3)
    assert told in out
    assert "--on-drift rerun" in out
    assert recipe.times_run() == 1


def test_settings_in_another_order_are_no_drift(recipe: Recipe) -> None:
    recipe.run("--set", "a.b=c", "--set", "a.d=e f")
    assert recipe.run("--set", "a.d=e f", "--set", "a.b=x", "--set", "a.b=c").count("up to date") == 3
    out = recipe.run("--set", "a.b=c", "--set", "a.d=e f", "--set", "a.b=x", expect=3)
    assert "option --set: a.b=c a.d=e f -> a.b=x a.d=e f\n" in out


def test_ways_on_after_drift(recipe: Recipe) -> None:
    recipe.run()
    change = ["--set", "a.b=c"]
    assert "would run (changed: option --set:  -> a.b=c)" in recipe.run(*change, "--dry-run")
    out = recipe.run(*change, "--stage", "2", expect=3)
    assert "Start at it (--stage 1)" in out, "results must not be built on a stale stage"
    assert "ignored" in recipe.run(*change, "--on-drift", "ignore")
    assert recipe.times_run() == 1
    recipe.run(*change, "--on-drift", "rerun")
    assert recipe.times_run() == 2
    assert recipe.run(*change).count("up to date") == 3


def test_other_experiments_are_never_drift(recipe: Recipe) -> None:
    recipe.run()
    (recipe.dir / "conf/big.yaml").write_text("x: 1\n")
    for arguments, model_dir in (
        (["--tag", "t"], "mini_t"),
        (["--tag", "t", "--train-config", "conf/big.yaml"], "big_mini_t"),
    ):
        out = recipe.run(*arguments, cwd=recipe.dir)
        assert f"model_dir=exp/{model_dir}\n" in out
        assert recipe.times_run() == 1
    out = recipe.run("--source-dir", "../corpus", cwd=recipe.dir)
    assert "corpus=real" in out
    assert "model_dir=exp/real\n" in out
    assert f"source_dir={recipe.dir.parent}/corpus\n" in out
    assert recipe.run().count("up to date") == 3
    assert "model_dir=exp/mini_seed2\n" in recipe.run("--seed", "2", "--dry-run")


def test_a_model_has_one_name_however_it_is_typed(recipe: Recipe, tmp_path: Path) -> None:
    recipe.run()
    (tmp_path / "link").symlink_to(recipe.dir)
    typed = ("exp/mini", f"{recipe.dir}/exp/mini/", "../small/exp/../exp/mini", f"{tmp_path}/link/exp/mini")
    for model in typed:
        out = recipe.run("--model", model, "--dry-run", cwd=recipe.dir)
        assert "\nmodel_dir=exp/mini\nresult_dir=exp/mini\n" in out, model
    out = recipe.run("--model", "exp/mini", "--tag", "t", "--seed", "2", "--dry-run")
    assert "\nmodel_dir=exp/mini\nresult_dir=exp/mini_applied_t_seed2\n" in out
    for model in ("egs/small/exp/mini", f"{recipe.root}/egs/small/exp/mini"):
        out = recipe.run("--model", model, "--dir", str(tmp_path / "elsewhere"), "--dry-run")
        assert f"\nmodel_dir={recipe.dir.resolve()}/exp/mini\nresult_dir=exp/mini_applied\n" in out, model


def test_paths_have_one_name_however_they_are_typed(recipe: Recipe, tmp_path: Path) -> None:
    (recipe.root / "corpus").mkdir()
    (tmp_path / "link").symlink_to(recipe.dir)
    for typed, named in (
        ("./corpus//", f"{recipe.root}/corpus"),
        (f"{tmp_path}/link", f"{tmp_path}/link"),
        (f"{tmp_path}/link/../x", f"{recipe.dir.parent}/x"),
    ):
        out = recipe.run("--source-dir", typed, "--dry-run")
        assert f"\nsource_dir={named}\n" in out


def test_stage_runs_from_there_on(recipe: Recipe) -> None:
    assert "stage 1" not in recipe.run("--stop-stage", "0")
    out = recipe.run("--stage", "1", "--stop-stage", "features")
    assert "stage 1 features: done" in out and "stage 2" not in out
    recipe.run()
    out = recipe.run("--stage", "features")
    assert "stage 0" not in out
    assert "stage 1 features: features (--stage, took 0:00:0" in out
    assert "stage 2 train: a model (--stage" in out


def test_missing_input_names_the_stage_that_makes_it(recipe: Recipe) -> None:
    out = recipe.run("--stage", "1", expect=4)
    assert "missing input data/mini/a.scp, made by stage 0 (data)\n  Start with --stage 0 (data).\n" in out
    out = recipe.run("--stage", "2", expect=4)
    assert "missing input data/mini/feats.scp, made by stage 1 (features)\n  Start with --stage 0 (data).\n" in out
    recipe.run("--stop-stage", "0")
    assert out.count("--stage") == 2 and "  Start with --stage 1 (features).\n" in recipe.run("--stage", "2", expect=4)


def test_lost_output_is_made_again(recipe: Recipe) -> None:
    recipe.run()
    (recipe.dir / "data/mini/feats.scp").unlink()
    assert "stage 1 features: features (data/mini/feats.scp is missing" in recipe.run()
    (recipe.dir / "data/mini/feats.scp").write_text("cut")
    assert "data/mini/feats.scp has changed (size 16 -> 3)" in recipe.run()


def test_force_moves_old_results_aside(recipe: Recipe) -> None:
    recipe.run()
    out = recipe.run("--force", "--stage", "train")
    assert "moved the old exp/mini to exp/mini.old" in out
    assert (recipe.dir / "exp/mini.old/best.pt").exists()
    assert (recipe.dir / "exp/mini/.stages/lock").exists()
    recipe.run("--force")
    assert recipe.times_run() == 2
    assert (recipe.dir / "exp/mini.old2/best.pt").exists()
    assert recipe.run().count("up to date") == 3


def test_dry_run_touches_nothing(recipe: Recipe) -> None:
    out = recipe.run("--dry-run")
    assert "stage 0 data: would run (not done yet)" in out
    assert "stage 2 train: would run (stages before it would run)" in out
    elsewhere = recipe.root / "new work"
    assert "does not exist yet" in recipe.run("--dry-run", "--dir", "new work")
    assert not elsewhere.exists()
    assert sorted(path.name for path in recipe.dir.iterdir()) == ["conf", "run.sh"]


def test_failure_is_reported_with_log_error_and_resume(recipe: Recipe) -> None:
    command = "echo 'it broke' >&2; exit 4"
    out = recipe.run("--work-command", command, "--tag", "a", expect=4)
    assert "run.sh: stage 1 (features) failed after 0:00:0" in out
    assert f"  log:     {recipe.dir}/data/mini/log/x.1.log\n  error:   it broke\n  resume:  " in out
    assert not stamp(recipe).exists()
    out = recipe.run("--stage", "1", "--work-command", "false", "--force", expect=1)
    resume = next(line for line in out.splitlines() if line.startswith("  resume:"))
    assert resume.endswith("run.sh --stage 1 --work-command false")
    assert "stage 1 features: features (interrupted before)" in recipe.run()


def test_the_error_is_told_and_not_the_advice_after_it(recipe: Recipe) -> None:
    command = "echo 'make_x.py: error: a.scp:1: it broke' >&2; echo '  mend a.scp' >&2; exit 4"
    out = recipe.run("--work-command", command, expect=4)
    assert "  error:   make_x.py: error: a.scp:1: it broke\n  resume:  " in out
    assert "  mend a.scp" in out


def test_output_that_was_not_made_is_a_failure(recipe: Recipe) -> None:
    text = recipe.script.read_text().replace('cat "$data"/f.[12] >"$data/feats.scp"', "true")
    recipe.script.write_text(text)
    out = recipe.run(expect=1)
    assert "finished without making data/mini/feats.scp" in out
    assert "stage 1 (features) failed" in out
    assert not stamp(recipe).exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_signal_ends_everything_and_the_same_command_resumes(recipe: Recipe, number: int, status: int) -> None:
    process = recipe.start("--work-command", 'echo $$ >> "$PWD/pids"; sleep 100')
    wait_for(recipe.dir / "pids")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status, out + err
    if number != signal.SIGKILL:
        assert "stage 1 (features) stopped by SIG" in err
        assert "  resume:  " in err
    for pid in (recipe.dir / "pids").read_text().split():
        for _ in range(100):
            if subprocess.run(["ps", "-p", pid, "-o", "stat="], capture_output=True, text=True).stdout[:1] in ("", "Z"):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"job {pid} still runs")
    out = recipe.run()
    assert "stage 0 data: up to date" in out
    assert "stage 1 features: features (interrupted before)" in out


def test_checkpointed_interruption_passes_through(recipe: Recipe) -> None:
    out = recipe.run("--work-command", "exit 85", expect=85)
    assert "stage 1 (features) was interrupted after 0:00:0" in out
    process = recipe.start("--work-command", 'trap "exit 85" TERM; touch ready.JOB; while true; do sleep 0.05; done')
    wait_for(recipe.dir / "ready.1")
    wait_for(recipe.dir / "ready.2")
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 85


def test_a_step_waits_for_the_checkpoint_of_its_command(recipe: Recipe) -> None:
    """A signal reaches the step's own shell too; if that ended at once, the recipe would kill what is being written."""
    step = recipe.root / "steps" / "x.sh"
    step.parent.mkdir()
    step.write_text('#!/usr/bin/env bash\nset -euo pipefail\nroot=$1\n. "$root/utils/step.sh"\nrun.pl log bash -c "$2"\n')
    step.chmod(0o755)
    line = next(line for line in recipe.script.read_text().splitlines() if "JOB=1:2" in line)
    recipe.script.write_text(recipe.script.read_text().replace(line, '"$root/steps/x.sh" "$root" "$work_command"'))
    # Ends only when the shell of the step has had every chance to end before.
    work = 'trap "sleep 0.5; touch written; exit 85" TERM; touch ready; while true; do sleep 0.05; done'
    process = recipe.start("--work-command", work)
    wait_for(recipe.dir / "ready")
    process.terminate()
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 85 and (recipe.dir / "written").exists(), printed


def test_lock(recipe: Recipe) -> None:
    first = recipe.start("--work-command", 'touch "$PWD/started"; while [ ! -e go ]; do sleep 0.05; done')
    wait_for(recipe.dir / "started")
    out = recipe.run(expect=75)
    assert f"already running: pid {first.pid} on " in out
    assert "stage 0 data: would run" not in recipe.run("--dry-run"), "a dry run needs no lock"
    (recipe.dir / "go").touch()
    first.communicate(timeout=20)
    assert first.returncode == 0


def test_two_experiments_share_their_data(recipe: Recipe) -> None:
    recipe.script.write_text(
        recipe.script.read_text().replace('mkdir -p "$model_dir"\n', '$work_command\nmkdir -p "$model_dir"\n')
    )
    recipe.run()
    (recipe.dir / "wait").write_text("touch started\nwhile [ ! -e go ]; do sleep 0.05; done\n")
    first = recipe.start("--tag", "a", "--work-command", "bash wait")
    wait_for(recipe.dir / "started")
    assert recipe.run("--tag", "b").count("up to date") == 2, "the data may be read by both"
    assert "already running" in recipe.run("--tag", "a", expect=75)
    assert "already running" in recipe.run("--stage", "1", expect=75), "but not rewritten meanwhile"
    (recipe.dir / "go").touch()
    first.communicate(timeout=20)
    assert first.returncode == 0


def test_work_directory_can_be_moved(recipe: Recipe, tmp_path: Path) -> None:
    recipe.run("--dir", "here")
    shutil.move(recipe.root / "here", tmp_path / "there")
    assert recipe.run("--dir", str(tmp_path / "there")).count("up to date") == 3
    other = tmp_path / "moved clone"
    shutil.move(recipe.root, other)
    done = subprocess.run(
        [other / "egs/small/run.sh", "--dir", tmp_path / "there"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("up to date") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "trian"], "did you mean train?"),
        (["--stage", "a[$(touch evil)]"], "no stage"),
        (["--stage", "2", "--stop-stage", "1"], "is after --stop-stage"),
        (["--corpus", "nope"], 'no corpus "nope"'),
        (["--corpus", "../x"], "cannot be the name of a folder"),
        (["--train-config", "conf/none.yaml"], "no such file"),
        (["--train-config", "mini.yaml"], "did you mean"),
        (["--nj", "0"], "--nj must be"),
        (["--seed", "x"], "--seed must be"),
        (["--tag", "a/b"], "--tag may hold"),
        (["--on-drift", "maybe"], "--on-drift must be"),
        (["--max-bad", "1%"], "--max-bad must be"),
        (["train"], "unexpected argument"),
    ],
)
def test_usage_errors(recipe: Recipe, arguments: list[str], message: str) -> None:
    assert message in recipe.run(*arguments, expect=2)
    assert sorted(path.name for path in recipe.dir.iterdir()) == ["conf", "run.sh"]


def test_a_runner_that_does_not_exist_and_a_folder_that_cannot_be_made(recipe: Recipe) -> None:
    out = recipe.run("--cmd", "sbatch.plx --mem 2G", expect=2)
    assert "there is no command sbatch.plx" in out and "stage 0" not in out
    (recipe.root / "file").write_text("")
    out = recipe.run("--dir", f"{recipe.root}/file/work", expect=2)
    assert f"cannot write to the work directory {recipe.root}/file/work: give another one with --dir" in out


def test_numeric_prefix_and_config_file(recipe: Recipe) -> None:
    (recipe.root / "options.conf").write_text("stop_stage=0\ntag=fromfile\n")
    out = recipe.run("--config", "options.conf")
    assert "model_dir=exp/mini_fromfile" in out
    assert "stage 1" not in out


def test_the_users_environment_sets_no_option(recipe: Recipe) -> None:
    assert "model_dir=exp/mini\n" in recipe.run(
        "--dry-run", tag="x", model="y", seed="7", source_dir="/z", dir="/nowhere"
    )
