"""The library's layering, as declared in pylib/vgspeech/layers.txt, holds for every import."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "pylib" / "vgspeech"


def read_layers(text: str) -> dict[str, int]:
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {name: level for level, names in enumerate(lines) for name in names}


def imported_modules(source: str) -> set[str]:
    """Names of vgspeech's top-level modules that a source text imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("vgspeech.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "vgspeech":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vgspeech."):
            found.add(node.module.split(".")[1])
    return found - {"__version__"}


def violations(module: str, source: str, layers: dict[str, int]) -> list[str]:
    return [
        f"{module} imports {other}"
        for other in sorted(imported_modules(source))
        if other != module and layers[other] >= layers[module]
    ]


def test_every_module_stands_in_the_list() -> None:
    layers = read_layers((PACKAGE / "layers.txt").read_text())
    modules = {
        p.stem if p.is_file() else p.name
        for p in PACKAGE.iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert modules - {"__init__"} == set(layers)


def test_modules_import_only_from_lower_layers() -> None:
    layers = read_layers((PACKAGE / "layers.txt").read_text())
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if top != "__init__":
            wrong += violations(top, path.read_text(), layers)
    assert not wrong


def test_a_violation_is_noticed() -> None:
    layers = read_layers("low\nmiddle other\nhigh\n")
    assert violations("middle", "from vgspeech.high import x", layers) == ["middle imports high"]
    assert violations("middle", "import vgspeech.other", layers) == ["middle imports other"]
    assert violations("middle", "from vgspeech import low", layers) == []
