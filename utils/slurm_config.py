"""conf/slurm.conf: how a site's sbatch is called. The grammar is that of Kaldi's queue.conf and slurm.conf:

    command sbatch --export=PATH      what submits; options that every job gets
    default time=24:00:00             value of an option that is not given
    option time=* --time $0           what --time VALUE becomes; $0 is the value
    option gpu=* --gres=gpu:$0        --gpu N for any N ...
    option gpu=0                      ... but nothing for --gpu 0: an exact value wins over *

One item a line, # starts a comment. An option without arguments is accepted and ignored; one that is not described here is
an error. Dashes and underscores in names mean the same. --max-jobs-run, --num-tries and --pick are slurm.pl's own.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from kaldi_job import usage_error

BUILT_IN = """
command sbatch --export=PATH
option name=* --job-name=$0
option time=* --time=$0
option mem=* --mem=$0
option mem=0
option num_threads=* --cpus-per-task=$0
option num_nodes=1
option num_nodes=* --nodes=$0 --ntasks-per-node=1
option gpu=0
option gpu=* --gres=gpu:$0
"""


class SlurmConfig:
    """The parsed file: ``command`` (words), ``defaults`` (name -> value), ``options`` (name -> {value or *: words})."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.command: list[str] = []
        self.defaults: dict[str, str] = {}
        self.options: dict[str, dict[str, list[str]]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            if line:
                self._add(line, f"{where}:{number}")
        if not self.command:
            usage_error(f"{where}: has no line 'command sbatch ...'")

    def _add(self, line: str, where: str) -> None:
        kind, _, rest = line.partition(" ")
        try:
            words = shlex.split(rest)
        except ValueError as error:
            usage_error(f"{where}: {error}: {line}")
        if kind == "command" and words:
            self.command = words
            return
        match = re.fullmatch(r"([A-Za-z][\w-]*)=(\S*)", words[0]) if words else None
        if match is None or kind not in ("default", "option") or (kind == "default" and len(words) > 1):
            usage_error(
                f"{where}: expected 'command ...', 'default NAME=VALUE' or 'option NAME=VALUE ...', got: {line}"
            )
        name, value = match[1].replace("-", "_"), match[2]
        if kind == "default":
            self.defaults[name] = value
        else:
            self.options.setdefault(name, {})[value] = words[1:]

    def arguments(self, given: dict[str, str]) -> list[str]:
        """sbatch's arguments for the options that were given (name with underscores -> value), defaults filled in."""
        result: list[str] = []
        for name, value in {**self.defaults, **given}.items():
            variants = self.options.get(name, {})
            if value not in variants and "*" not in variants:
                shown = f"--{name.replace('_', '-')} {value}"
                described = ", ".join(f"--{known.replace('_', '-')}" for known in self.options)
                usage_error(f"option {shown} is not described in {self.where} (described: {described})")
            result.extend(word.replace("$0", value) for word in variants.get(value, variants.get("*", [])))
        return result


def read_config(path: str) -> SlurmConfig:
    """Read a configuration file; an empty path stands for the built-in one."""
    if not path:
        return SlurmConfig(BUILT_IN, "slurm.pl's built-in configuration")
    try:
        return SlurmConfig(Path(path).read_text(), path)
    except (OSError, UnicodeDecodeError) as error:
        usage_error(f"cannot read the configuration {path}: {error}")
