#!/usr/bin/env python3
"""The stage ledger: is a stage's result there, and does it still belong to its inputs? Called by utils/recipe.sh.

Beside each result lies a folder of stamps, one JSON file per finished stage. A stamp holds what the stage depended on
(content hashes of its inputs, its options, the VERSION of the verbs it ran) and what it made. A stage is

    fresh    the stamp agrees with reality and the outputs are there     -> skipped with a line
    absent   never finished, or outputs are gone                         -> run
    stale    inputs, options or verbs changed since                      -> stop and say what (exit 3), or as --on-drift

Git revision, host and times are recorded and not compared. Locks are explained in stage_lock.py. Standard library only:
a call must take tens of milliseconds.

Exit status of `check`: 0 run the stage, 10 skip it; else an error (3 drift, 4 missing input, 75 locked).
"""

from __future__ import annotations

import argparse
import fnmatch
import glob
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from stage_files import FULL, digest, file_hash, no_space, read_json, remove_leftovers, write_json
from stage_forecast import bytes_written, clock, forecast, records_read, spoken
from stage_lock import busy, note_owner, share, take_lock

ROOT = Path(__file__).resolve().parents[1]
RUN, SKIP, DRIFT, DATA = 0, 10, 3, 4

def stop(message: str, status: int) -> NoReturn:
    """Print an error and exit."""
    print(message, file=sys.stderr)
    sys.exit(status)


def expand(patterns: list[str]) -> tuple[dict[str, str], list[str]]:
    """Expand glob patterns: {path: pattern}, sorted, and the patterns without a match. Existing names are literal."""
    found: dict[str, str] = {}
    missing = []
    for pattern in patterns:
        paths = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        found.update((path, pattern) for path in paths)
        if not paths:
            missing.append(pattern)
    return dict(sorted(found.items())), missing


def output_size(path: str) -> int:
    """Size in bytes; of a folder, the number of entries."""
    return len(os.listdir(path)) if os.path.isdir(path) else os.path.getsize(path)


def verb_version(verb: str) -> int:
    """The VERSION that a command of pylib/vgspeech/bin declares."""
    path = ROOT / "pylib" / "vgspeech" / "bin" / f"{verb}.py"
    try:
        match = re.search(r"^VERSION = (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    except FileNotFoundError:
        stop(f"ledger: no such verb: {verb} ({path})", 1)
    if not match:
        stop(f"ledger: {path} declares no VERSION", 1)
    return int(match[1])


def portable(value: str, work: str) -> str:
    """A value with the places that may move (work directory, project) replaced by names."""
    for name, place in (("@work", work), ("@project", str(ROOT))):
        if value == place or value.startswith(place + "/"):
            return name + value[len(place) :]
    return value


@dataclass
class Stage:
    """What run.sh declares about a stage."""

    number: int
    name: str
    stamps: Path
    inputs: list[str]
    optional: list[str]
    outputs: list[str]
    options: dict[str, str]
    verbs: list[str]
    makers: list[tuple[str, str]]  # ("1 (features)", output pattern) of the stages before
    read: str = ""  # file in which the stage says what else it read: JSON, path -> SHA-256

    @property
    def title(self) -> str:
        return f"stage {self.number} {self.name}"

    @property
    def stamp(self) -> Path:
        return self.stamps / f"{self.number:02}-{self.name}.json"

    @property
    def running(self) -> Path:
        """State of the stage while it runs; stays behind if it is killed or fails."""
        return self.stamps / f"{self.number:02}-{self.name}.running"

    def maker(self, path: str) -> str | None:
        """The earlier stage that makes ``path`` (a file or a pattern)."""
        for stage, pattern in reversed(self.makers):
            if path == pattern or fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(pattern, path):
                return stage
        return None

    def missing_inputs(self) -> list[str]:
        return expand(self.inputs)[1]

    def dependencies(self) -> dict[str, dict[str, Any]]:
        """What the result depends on, as it is now."""
        paths = expand(self.inputs + self.optional)[0]
        return {
            "inputs": {path: digest(path) for path in paths},
            "read": {path: "sha256:" + file_hash(path) for path in self.files_read() if os.path.isfile(path)},
            "options": self.options,
            "verbs": {verb: verb_version(verb) for verb in self.verbs},
        }

    def files_read(self) -> dict[str, str]:
        """What the stage read besides its inputs when it last ran, and the hash that each file had then ("": not there)."""
        return (self.read and read_json(Path(self.read))) or {}

    def lost_outputs(self, stamp: dict[str, Any]) -> list[str]:
        """Outputs that are gone or have another size than when the stage finished."""
        lost = [f"{pattern} is missing" for pattern in expand(self.outputs)[1]]
        for path, size in stamp.get("outputs", {}).items():
            if not os.path.exists(path):
                lost.append(f"{path} is missing")
            elif output_size(path) != size:
                lost.append(f"{path} has changed (size {size} -> {output_size(path)})")
        return sorted(set(lost))


def differences(stamp: dict[str, Any], now: dict[str, dict[str, Any]]) -> list[str]:
    """What changed between a stamp and now, one line each."""
    lines = []
    before, after = ({**one.get("inputs", {}), **one.get("read", {})} for one in (stamp, now))
    gone = {path: value for path, value in before.items() if path not in after}
    new = {path: value for path, value in after.items() if path not in before}
    for path, value in list(gone.items()):
        # A file of the same name and content elsewhere was moved, not changed.
        twin = next((p for p, v in new.items() if v == value and os.path.basename(p) == os.path.basename(path)), None)
        if twin:
            del gone[path], new[twin]
    for path in list(gone):
        # Of the only two files of one name the one has taken the other's place.
        twins = [p for p in new if os.path.basename(p) == os.path.basename(path)]
        if len(twins) == 1 and [os.path.basename(p) for p in gone].count(os.path.basename(path)) == 1:
            lines.append(f"input {twins[0]}: other content than {path} had")
            del gone[path], new[twins[0]]
    lines += [f"input {path}: gone" for path in gone]
    lines += [f"input {path}: new" for path in new]
    lines += [
        f"input {path}: content changed ({before[path][:15]} -> {after[path][:15]})"
        for path in before.keys() & after.keys()
        if before[path] != after[path]
    ]
    for kind, word in (("options", "option --{}"), ("verbs", "VERSION of {}")):
        old, current = stamp.get(kind, {}), now[kind]
        for name in sorted(old.keys() | current.keys()):
            if old.get(name) != current.get(name):
                label = word.format(name.replace("_", "-") if kind == "options" else name)
                lines.append(f"{label}: {old.get(name, '(none)')!s} -> {current.get(name, '(none)')!s}")
    return sorted(lines)


def git_revision() -> str:
    """Revision of the project, with + if files were changed; empty outside a clone."""
    import subprocess  # here, because most calls do not come this way

    try:
        head = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip()


def begin(stage: Stage, now: dict[str, Any], arguments: argparse.Namespace, reason: str) -> NoReturn:
    """Enter the stage as running and tell the shell to run it."""
    # Read before anything is moved.
    cut_short = read_json(stage.running) or {}
    previous = read_json(stage.stamp) or cut_short.get("before") or {}
    if arguments.dry_run:
        print(f"{stage.title}: would run ({reason}), {spoken(forecast(stage.stamp, previous, now), arguments.stamp)}")
        sys.exit(RUN)
    for old, new in move_aside(arguments.aside) if arguments.force else ():
        print(f"{stage.title}: moved the old {old} to {new}")
        keep_lock(stage, old, new)
    record = {
        "stage": stage.number,
        "name": stage.name,
        "reason": reason,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "started_s": time.time(),
        "first_s": (not arguments.force and cut_short.get("first_s")) or time.time(),
        "host": os.uname().nodename,
        "pid": arguments.pid,
        "command": arguments.command,
        "stages": arguments.stages,
        "before": {name: previous[name] for name in ("seconds", "bytes", "records", "ended", "host") if name in previous},
        **now,
    }
    if cut_short:
        remove_leftovers(stage.outputs)
    write_json(stage.running, record)
    # The outputs are about to change: the old stamp must not vouch for them, whatever happens from here on.
    stage.stamp.unlink(missing_ok=True)
    usual = f", took {clock(previous['seconds'])} last time" if "seconds" in previous else ""
    print(f"{stage.title}: {arguments.title} ({reason}{usual})")
    sys.exit(RUN)


def keep_lock(stage: Stage, old: str, new: str) -> None:
    """Keep the lock file that this run holds where other runs look for it, when its folder is moved from old to new."""
    stamps = os.path.normpath(stage.stamps)
    moved = os.path.join(new, os.path.relpath(stamps, old), "lock")
    if (stamps + "/").startswith(os.path.normpath(old) + "/") and os.path.exists(moved):
        stage.stamps.mkdir(parents=True, exist_ok=True)
        os.rename(moved, stage.stamps / "lock")


def move_aside(patterns: list[str]) -> list[tuple[str, str]]:
    """Rename existing results to NAME.old, NAME.old2, ...; old and new name of each."""
    moved = []
    for path in expand(patterns)[0]:
        number = 1
        while os.path.lexists(target := f"{path}.old{number if number > 1 else ''}"):
            number += 1
        os.rename(path, target)
        moved.append((path, target))
    return moved


def check(arguments: argparse.Namespace) -> NoReturn:
    """Decide whether the stage must run; see the module's text for the exit status."""
    stage = declared(arguments)
    exclusive = take_lock(stage.title, stage.stamps, arguments.fd) if arguments.fd >= 0 else True
    stamp = read_json(stage.stamp)
    if arguments.mode == "before":
        check_before(stage, stamp, arguments)
    missing = stage.missing_inputs()
    waiting = [pattern for pattern in missing if any(_overlaps(pattern, made) for made in arguments.planned)]
    if waiting or any(_overlaps(pattern, made) for pattern in stage.inputs for made in arguments.planned):
        begin(stage, {}, arguments, "stages before it would run")  # only in a dry run
    if missing:
        report_missing(stage, missing)
    now = stage.dependencies()
    reason = why_run(stage, stamp, now, arguments)
    if reason is None:
        assert stamp is not None
        print(f"{stage.title}: up to date ({clock(stamp.get('seconds', 0))}, {stamp.get('ended', '')[:16]})")
        if exclusive and not arguments.dry_run:
            stage.running.unlink(missing_ok=True)  # of a run that was stopped in the moment after it wrote the stamp
        if arguments.fd >= 0:
            share(arguments.fd)
        sys.exit(SKIP)
    if not exclusive:
        busy(stage.title, stage.stamps, arguments.fd)
    if arguments.fd >= 0:
        note_owner(arguments.fd, arguments.pid)
    begin(stage, now, arguments, reason)


def _overlaps(pattern: str, made: str) -> bool:
    return pattern == made or fnmatch.fnmatch(pattern, made) or fnmatch.fnmatch(made, pattern)


def check_before(stage: Stage, stamp: dict[str, Any] | None, arguments: argparse.Namespace) -> NoReturn:
    """A stage before --stage: never run, but a result that no longer belongs to its inputs must not be built upon."""
    if stamp and not stage.missing_inputs() and (lines := differences(stamp, stage.dependencies())):
        if arguments.on_drift == "ignore" or arguments.dry_run:
            print(f"{stage.title}: changed since it ran, ignored ({'; '.join(lines)})")
        else:
            report_drift(stage, stamp, lines, before=True)
    if arguments.fd >= 0:
        share(arguments.fd)
    sys.exit(SKIP)


def why_run(
    stage: Stage, stamp: dict[str, Any] | None, now: dict[str, Any], arguments: argparse.Namespace
) -> str | None:
    """The reason to run the stage, None if it is fresh; exits 3 if it is stale and the user has not decided."""
    if arguments.force:
        return "--force"
    if arguments.mode == "explicit":
        return "--stage"
    if stamp is None:
        return "interrupted before" if stage.running.exists() else "not done yet"
    if lines := differences(stamp, now):
        if arguments.on_drift == "rerun" or arguments.dry_run:
            return "changed: " + "; ".join(lines)
        if arguments.on_drift == "ignore":
            print(f"{stage.title}: changed since it ran, ignored ({'; '.join(lines)})")
            return None
        report_drift(stage, stamp, lines)
    if lost := stage.lost_outputs(stamp):
        return lost[0] + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
    return None


def report_drift(stage: Stage, stamp: dict[str, Any], lines: list[str], before: bool = False) -> NoReturn:
    """Exit 3: what changed, and the ways on."""
    print(f"{stage.title}: something changed since it ran on {stamp.get('ended', '?')}:", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)
    if before:
        print(f"  Start at it (--stage {stage.number}), or keep its old result (--on-drift ignore),", file=sys.stderr)
    else:
        print("  Run it again (--on-drift rerun; --force for everything), keep the old result (--on-drift ignore),",
              file=sys.stderr)  # fmt: skip
    stop("  or keep both: another --tag for another experiment, another --dir for other data.", DRIFT)


def report_missing(stage: Stage, missing: list[str]) -> NoReturn:
    """Exit 4: which inputs are missing, and the one stage to start with: the first whose results are not there."""
    makers = [maker for pattern in missing if (maker := stage.maker(pattern))]
    first = next((maker for maker, pattern in stage.makers if expand([pattern])[1]), None)
    start = min(([first] if first and makers else []) + makers, key=lambda maker: int(maker.split()[0]), default="")
    for pattern in missing:
        maker = stage.maker(pattern)
        print(f"{stage.title}: missing input {pattern}{f', made by stage {maker}' if maker else ''}", file=sys.stderr)
    stop(f"  Start with --stage {start}." if start else "  No stage makes it: check the options.", DATA)


def done(arguments: argparse.Namespace) -> None:
    """Close a stage: its outputs must be there; write the stamp."""
    stage = declared(arguments)
    record = read_json(stage.running)
    if record is None:
        stop(f"{stage.title}: {stage.running} has vanished while the stage ran", 1)
    outputs, missing = expand(stage.outputs)
    if missing:
        stop(f"{stage.title}: finished without making {', '.join(missing)}", 1)
    seconds = time.time() - record.pop("started_s")
    record.pop("before", None)
    record.update(
        ended=time.strftime("%Y-%m-%d %H:%M:%S"),
        seconds=round(seconds, 2),
        git=git_revision(),
        outputs={path: output_size(path) for path in outputs},
        read={path: f"sha256:{value}" for path, value in stage.files_read().items() if value},
        bytes=bytes_written(list(outputs), record.pop("first_s")),
        records=records_read(list(record.get("inputs", {}))),
    )
    write_json(stage.stamp, record)
    stage.running.unlink(missing_ok=True)
    if arguments.fd >= 0:
        share(arguments.fd)
    print(f"{stage.title}: done in {clock(seconds)}")


def ended(arguments: argparse.Namespace) -> None:
    """A stage failed or was stopped: leave how it ended, with the log and the error, for show_progress."""
    stage = declared(arguments)
    record = read_json(stage.running)
    if record is not None:
        log, _, error = arguments.told.partition("\n")
        end = {"status": arguments.status, "ended_s": time.time(), "log": log, "error": error.strip()}
        write_json(stage.running, record | end)


def declared(arguments: argparse.Namespace) -> Stage:
    """The stage as the command line describes it."""
    work = os.getcwd()
    return Stage(
        number=arguments.number,
        name=arguments.name,
        stamps=Path(arguments.stamp),
        inputs=arguments.inputs,
        optional=arguments.maybe,
        outputs=arguments.outputs,
        options={name: portable(value, work) for name, _, value in (item.partition("=") for item in arguments.opt)},
        verbs=[verb for item in arguments.verb for verb in item.split()],
        read=arguments.read,
        makers=[(stage, pattern) for stage, _, pattern in (item.partition("\t") for item in arguments.maker)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="stage ledger; called by utils/recipe.sh", allow_abbrev=False)
    parser.add_argument("action", choices=["check", "done", "ended"])
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--title", default="")
    parser.add_argument("--stamp", required=True, help="folder of the stamps")
    for name, text in (
        ("--in", "input file or pattern, must exist"),
        ("--maybe", "input that need not exist"),
        ("--out", "output file or pattern, exists afterwards"),
        ("--opt", "name=value of an option the result depends on"),
        ("--verb", "command of pylib/vgspeech/bin whose VERSION counts"),
        ("--aside", "result that --force moves aside"),
        ("--maker", "NUMBER (NAME)<tab>PATTERN of an earlier stage's output"),
        ("--planned", "output of an earlier stage that would run (dry run)"),
    ):
        dest = {"--in": "inputs", "--out": "outputs"}.get(name, name[2:])
        parser.add_argument(name, action="append", default=[], help=text, dest=dest)
    parser.add_argument("--read", default="", help="file in which the stage says what else it read, and the hashes")
    parser.add_argument("--mode", choices=["auto", "explicit", "before"], default="auto")
    parser.add_argument("--on-drift", choices=["stop", "rerun", "ignore"], default="stop")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--fd", type=int, default=-1, help="the shell's descriptor of the stamp folder's lock file")
    parser.add_argument("--pid", type=int, default=0, help="process id of the run")
    parser.add_argument("--command", default="")
    parser.add_argument("--stages", default="", help="the recipe's stages, for those who look at the stamps")
    parser.add_argument("--status", type=int, default=1, help="exit status of a stage that has ended")
    parser.add_argument("--told", default="", help="log and error of a stage that has ended, on a line each")
    arguments = parser.parse_args()
    {"check": check, "done": done, "ended": ended}[arguments.action](arguments)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        if error.errno not in FULL:
            raise
        stop(no_space(error), DATA)
