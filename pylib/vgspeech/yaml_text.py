"""YAML as our files are written: plain values, and no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError: not YAML, or a key stands twice in one section (PyYAML alone would silently take the later one).
    """
    return yaml.load(text, _Loader)  # derived from the safe loader


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key, _ in node.value:
            name, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            if isinstance(name, Hashable) and seen.setdefault(name, line) != line:
                problem = f"the key {name!r} stands twice in one section, first in line {seen[name]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)
