"""utils/parse_options.sh: what Kaldi's users know, and the faults of the classic file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine_recipe import UTILS, clean_environment

SCRIPT = f"""#!/usr/bin/env bash
# Makes 100 % of things.
#
# Usage: t.sh [options] <data>
set -euo pipefail
# begin options
nj=4            # number of parallel jobs
name=x          # a name
value=          # a value
norm=true       # normalise
  # each utterance
stop_stage=10   # last stage
cmd=run.pl      # job runner
set=()          # a.b=c; may be repeated
# end options
internal=1
. "{UTILS}/parse_options.sh"
printf '%s\\n' "nj=$nj" "name=$name" "value=$value" "norm=$norm" "stop_stage=$stop_stage" "internal=$internal"
printf 'set=%s\\n' "${{set[@]}}"
printf 'left=%s\\n' "$@"
printf 'given=%s\\n' "${{!option_given[@]}}"
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "t.sh"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


def call(script: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [str(script), *arguments], cwd=script.parent, capture_output=True, text=True, timeout=10,
        env={**clean_environment(), "HOME": "/home/someone"},
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def test_the_kaldi_surface(script: Path) -> None:
    out = call(
        script, "--nj", "8", "--stop-stage", "3", "--stop_stage", "2", "--norm", "false", "data/a b", "--nj", "1"
    )
    assert {"nj=8", "stop_stage=2", "norm=false", "left=data/a b", "left=--nj", "left=1"} <= set(out.splitlines())


def test_equals_form_and_repeated_option(script: Path) -> None:
    out = call(script, "--nj=3", "--value=--odd", "--set", "a.b=c", "--set=d.e=f g", "--", "--nj")
    assert {"nj=3", "value=--odd", "set=a.b=c", "set=d.e=f g", "left=--nj"} <= set(out.splitlines())
    assert {line for line in out.splitlines() if line.startswith("given=")} == {"given=nj", "given=value", "given=set"}


def test_flag_without_value(script: Path) -> None:
    assert "norm=true" in call(script, "--norm", "--nj", "2")
    assert 'expected "true" or "false", got "yes"' in call(script, "--norm", "yes", expect=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nj"], "option --nj needs a value"),  # the classic file loops for ever
        (["--nj", "--name", "8"], '"--name" looks like the next option'),
        (["--PATH", "/x", "d"], "invalid option --PATH"),
        (["--HOME", "/x"], "invalid option --HOME"),
        (["--internal", "2"], "invalid option --internal"),
        (["--stopstage", "3"], "did you mean --stop-stage?"),
        (["--nama=3"], "did you mean --name?"),
        (["--cmd", ""], "the value is empty"),
        (["-nj", "3"], "start with two dashes"),
        (["--config", "none.conf"], "no such file: none.conf"),
        (["--a[$(touch evil)]", "1"], "invalid option"),
        (["--nj[$(touch evil)]=1"], "invalid option"),
    ],
)
def test_mistakes_end_with_status_2(script: Path, arguments: list[str], message: str) -> None:
    error = call(script, *arguments, expect=2)
    assert message in error
    assert "--help" in error
    assert not (script.parent / "evil").exists()


def test_an_unknown_option_is_answered_with_the_list(script: Path) -> None:
    error = call(script, "--stopstage", "3", expect=2)
    assert "options: --nj --name --value --norm --stop-stage --cmd --set --config --help" in error


@pytest.mark.parametrize("value", ["", " ", "a  b", "*", "~", "-3", "=x=", "नी", "\u0928\u0940", "'\"\\", "x\ty", "\ufeffx"])
def test_any_value_arrives_as_it_was_typed(script: Path, value: str) -> None:
    for words in (["--name", value], [f"--name={value}"]):
        assert f"name={value}\n" in call(script, *words)
    assert "nj=4\n" in call(script, f"--set={value}", "--set", value)
    assert call(script, "--set", value, "--set", value).count(f"set={value}\n") == 2


def test_values_are_never_executed(script: Path) -> None:
    hostile = "$(touch evil)`touch evil`\"; touch evil; '%s\n$HOME"
    assert f"name={hostile}\n" in call(script, "--name", hostile)
    (script.parent / "c.conf").write_text('# comment\nname=$(touch evil)\nvalue = "a b"  # why\r\nset=q\n--nj=7\n')
    out = call(script, "--nj", "8", "--config", "c.conf", "--set", "r")
    assert {"name=$(touch evil)", "value=a b", "nj=8", "set=q", "set=r"} <= set(out.splitlines())
    assert not (script.parent / "evil").exists()


def test_a_config_file_with_hostile_lines_is_read_and_not_run(script: Path) -> None:
    lines = ["name=`touch evil`; touch evil", "value='$HOME (*)'", 'cmd="run.pl --mem 4G"   # a runner', "", "  # nj=9"]
    (script.parent / "my conf").write_text("\r\n".join(lines))  # Windows line ends, and none at the end
    out = call(script, "--config", "my conf")
    assert {"name=`touch evil`; touch evil", "value=$HOME (*)", "nj=4"} <= set(out.splitlines())
    assert not (script.parent / "evil").exists()
    (script.parent / "bom").write_text("\ufeffnj=2\n", encoding="utf-8")
    assert "bom:1: expected name=value" in call(script, "--config", "bom", expect=2)
    (script.parent / "empty").touch()
    assert "nj=4" in call(script, "--config=empty")
    assert "no such file: ." in call(script, "--config", ".", expect=2)


@pytest.mark.parametrize(("line", "message"), [("nonsense", "c.conf:2: expected name=value"), ("njj=3", "c.conf:2")])
def test_config_errors_name_file_and_line(script: Path, line: str, message: str) -> None:
    (script.parent / "c.conf").write_text(f"nj=2\n{line}\n")
    assert message in call(script, "--config=c.conf", expect=2)


def test_help_comes_from_the_script(script: Path) -> None:
    out = call(script, "--help")
    assert out.startswith("Makes 100 % of things.\n")
    assert "--stop-stage 10\n        last stage\n" in out
    assert "normalise\n        each utterance\n" in out


def test_environment_does_not_leak_in(script: Path) -> None:
    done = subprocess.run(
        [str(script)], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": "/", "nj": "77"}
    )
    assert "nj=4\n" in done.stdout
