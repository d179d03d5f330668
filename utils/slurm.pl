#!/usr/bin/env python3
"""Run a command, or a numbered set of them, as jobs of a Slurm cluster, each with its log. Kaldi's calling convention.

Usage: slurm.pl [options] [JOB=1:N] <log-file> <command> [arguments]
 e.g.: slurm.pl --mem 4G --max-jobs-run 20 JOB=1:100 exp/log/count.JOB.log wc -l data/split100/JOB/wav.scp

JOB=1:N becomes one array job. The rules for JOB, for quoting and for logs are those of run.pl (see run.pl --help). It
returns when all jobs have ended, and takes their failures as run.pl does.

Options, before or after JOB=1:N:
  --config FILE             how sbatch is called (default: $VGS_SLURM_CONF, else conf/slurm.conf, else built in):
                            which options there are and what becomes of them. Usual: --mem 4G, --time 4:00:00,
                            --gpu N, --num-nodes N, --name NAME
  --num-threads N           threads of each job: exported as OMP_NUM_THREADS and its relatives
  --max-jobs-run N, -tc N   run at most N jobs of the array at once
  --num-tries N             submit a job up to N times (default 1) when it could not end for reasons that are not its
                            own: a lost node, preemption, a job that Slurm has lost; or when it was interrupted and
                            can be resumed (status 85). Only such jobs, not the whole array.
  --pick all|failed|incomplete
                            run all jobs; or those whose log says that they failed; or those that are not known to have
                            succeeded
  -x VALUE                  a short option is handed to sbatch as it is

Jobs get the present directory, path.sh (of this directory, or of vgspeech), and from the environment what the software
here needs: paths of programs and libraries, caches of models, NCCL_*, GLOO_*, VGS_*; further names in $VGS_EXPORT.
Scratch files are in q/ beside the logs: <step>.sh (what was submitted), <step>.log (what Slurm says), <step>.N.rc.

A signal cancels the jobs. The exit status is that of run.pl.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kaldi_job
from kaldi_job import PICKS, one_of, whole_number
from slurm_array import ArrayRun, Settings
from slurm_config import read_config


@dataclass
class Options:
    """slurm.pl's own options, and the site's."""

    config: str = ""
    max_jobs: int = 0
    tries: int = 1
    pick: str = "all"
    site: dict[str, str] = field(default_factory=dict)
    sbatch: list[str] = field(default_factory=list)

    def set(self, name: str, value: str) -> None:
        """Take an option from the command line."""
        if name in ("--max-jobs-run", "-tc"):
            self.max_jobs = whole_number(name, value)
        elif name == "--num-tries":
            self.tries = whole_number(name, value)
        elif name == "--config":
            self.config = value
        elif name == "--pick":
            self.pick = one_of(name, value, PICKS)
        elif name.startswith("--"):
            if name in ("--num-threads", "--num-nodes", "--gpu"):
                whole_number(name, value, least=0 if name == "--gpu" else 1)
            self.site[name[2:].replace("-", "_")] = value
        else:
            self.sbatch += [name, value]


def default_config() -> str:
    """The configuration file when none is given; empty for the built-in one."""
    if named := os.environ.get("VGS_SLURM_CONF"):
        return named
    return "conf/slurm.conf" if os.path.isfile("conf/slurm.conf") else ""


def main() -> int:
    options = Options()
    call = kaldi_job.parse(sys.argv[1:], __doc__ or "", options.set)
    config = read_config(options.config or default_config())
    command = [*config.command, *config.arguments(options.site), *options.sbatch]
    if any(word == "-d" or word.startswith("--dependency") for word in command):
        command.append("--kill-on-invalid-dep=yes")  # or it stays in the queue for ever when what it depends on has failed
    threads = int(options.site.get("num_threads") or config.defaults.get("num_threads") or 1)
    jobs = kaldi_job.picked(call, options.pick)
    if not jobs:
        return 0
    return ArrayRun(call, jobs, Settings(command, threads, options.max_jobs, options.tries)).run()


if __name__ == "__main__":
    sys.exit(main())
