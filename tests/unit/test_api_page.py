"""docs/api.md names everything that the stable interface has."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

import vgspeech
from vgspeech.loaded import Caption, LoadedModel, Part, Picture

PAGE = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text(encoding="utf-8")


def signature_as_written(name: str, call: object) -> str:
    """``model.parts(caption, picture, unrelated=(), count=5)``"""
    parameters = [p for p in inspect.signature(call).parameters.values() if p.name != "self"]  # type: ignore[arg-type]
    written = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    return f"`{name}({', '.join(written).replace(chr(39), chr(34))})`"


def public_names(kind: type) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_")]


def test_every_call_is_there_as_it_is() -> None:
    assert signature_as_written("vgspeech.load", vgspeech.load) in PAGE
    for name in public_names(LoadedModel):
        value = vars(LoadedModel)[name]
        if isinstance(value, property):
            assert f"`model.{name}`" in PAGE, name
        else:
            assert signature_as_written(f"model.{name}", value) in PAGE, name


@pytest.mark.parametrize("kind", [Caption, Picture, Part])
def test_every_field_is_there(kind: type) -> None:
    table = PAGE.split(f"| of a `{kind.__name__}` |", 1)[1].split("\n\n", 1)[0]
    fields = {field.name for field in dataclasses.fields(kind)} | set(public_names(kind))
    assert fields and all(f"`{name}`" in table for name in fields), fields
