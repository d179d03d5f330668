"""A copy of the recipe engine with a small recipe on top, in a folder whose path has spaces. For test_engine_*.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "utils"

RUN_SH = r"""#!/usr/bin/env bash
# A recipe for tests.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# begin options
source_dir=       # folder of the corpus
work_command=:    # what the jobs of stage 1 do
seed=1            # the recipe's own words for a common option
# end options
path_options="source_dir"
declare -A corpus_of=([source_dir]=real)
declare -A default_config=([mini]=conf/mini.yaml [real]=conf/real.yaml)
. "$root/utils/recipe.sh"

if stage 0 data "the corpus" --stamp "$data/.stages" --out "$data/a.scp" --verb prepare_x; then
  mkdir -p "$data"
  echo "hello $seed" >"$data/a.scp"
  stage_done
fi
if stage 1 features "features" --stamp "$data/.stages" --in "$data/a.scp" --in "$conf/fbank.yaml" \
  --maybe "$data/segments" --out "$data/feats.scp" --opt "max_bad set" --verb "make_x"; then
  echo ran >>"$work/ran"
  $train_cmd JOB=1:2 "$data/log/x.JOB.log" bash -c "$work_command" \&\& cp "$data/a.scp" "$data/f.JOB"
  cat "$data"/f.[12] >"$data/feats.scp"
  stage_done
fi
if stage 2 train "a model" --stamp "$model_dir/.stages" --in "$data/feats.scp" --out "$model_dir/best.pt" \
  --aside "$model_dir"; then
  mkdir -p "$model_dir"
  cp "$data/feats.scp" "$model_dir/best.pt"
  stage_done
fi
printf '%s\n' "model_dir=$model_dir" "result_dir=$result_dir" "source_dir=$source_dir" "corpus=$corpus" "cwd=$PWD" \
  "config=$train_config"
"""


class Recipe:
    """The copy, and how to run it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a copy of it"
        self.dir = self.root / "egs" / "small"
        (self.dir / "conf").mkdir(parents=True)
        shutil.copytree(UTILS, self.root / "utils", ignore=shutil.ignore_patterns("__pycache__"))
        verbs = self.root / "pylib" / "vgspeech" / "bin"
        verbs.mkdir(parents=True)
        for verb in ("prepare_x", "make_x"):
            (verbs / f"{verb}.py").write_text("VERSION = 1\n")
        for name in ("mini", "real", "fbank"):
            (self.dir / "conf" / f"{name}.yaml").write_text(f"name: {name}\n")
        # The environment is the subject of test_engine_path.py; here the one that runs the tests serves.
        (self.root / "path.sh").write_text(
            'export LC_ALL=C PYTHONUTF8=1\nPATH="$root/utils:' + str(Path(sys.executable).parent) + ':$PATH"\n'
        )
        self.script = self.dir / "run.sh"
        self.script.write_text(RUN_SH)
        self.script.chmod(0o755)

    def start(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.script), *arguments], cwd=cwd or self.root, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**clean_environment(), **environment},
        )  # fmt: skip

    def run(self, *arguments: str, expect: int = 0, cwd: Path | None = None, **environment: str) -> str:
        """Run it; standard output followed by standard error."""
        process = self.start(*arguments, cwd=cwd, **environment)
        out, err = process.communicate(timeout=60)
        assert process.returncode == expect, f"exit {process.returncode}, expected {expect}\n{out}\n{err}"
        return out + err

    def times_run(self) -> int:
        ran = self.dir / "ran"
        return len(ran.read_text().splitlines()) if ran.exists() else 0


def clean_environment() -> dict[str, str]:
    """The environment without what an enclosing recipe or job would have left there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VGS_")}
