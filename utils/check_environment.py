"""Does this Python have what vgspeech needs? Arguments: optional groups of pyproject.toml that are needed as well.

Prints what is missing, one line each; exit 1 if anything is.

Compares installed versions with the ranges in pyproject.toml without importing the packages (torch alone takes
seconds).
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

LOWEST, HIGHEST = (3, 11), (3, 13)


def numbers(version: str) -> tuple[int, ...]:
    """``2.11.0+cu130`` -> (2, 11, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def problem(requirement: str) -> str | None:
    """Why ``name>=1.2`` or ``name==1.2`` is not met; None if it is."""
    match = re.fullmatch(r"([\w.-]+)\s*(?:(>=|==)\s*([\w.]+))?", requirement)
    if not match:
        return f"{requirement}: not understood (pyproject.toml)"
    name, relation, wanted = match.groups()
    try:
        have = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{requirement}: not installed"
    if wanted and not (numbers(have) >= numbers(wanted) if relation == ">=" else numbers(have) == numbers(wanted)):
        return f"{requirement}: {have} is installed"
    return None


def main() -> int:
    if not LOWEST <= sys.version_info[:2] <= HIGHEST:
        print(f"Python 3.11 to 3.13: this is {sys.version.split()[0]}")
        return 1
    import tomllib

    with open(Path(__file__).resolve().parents[1] / "pyproject.toml", "rb") as stream:
        project = tomllib.load(stream)["project"]
    needed = project["dependencies"] + [
        item for group in sys.argv[1:] for item in project["optional-dependencies"][group]
    ]
    problems = [text for text in map(problem, needed) if text]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
