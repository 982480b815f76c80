"""No test reaches into another module: what it needs is public, or shows in what the module does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

FILES = sorted(path for folder in ("tests", "scenarios") for path in (ROOT / folder).rglob("*.py"))

ALLOWED = {
    "_exit",  # of os, which documents it
    "_actions",  # of argparse, which has no other way to list its commands
    "_SubParsersAction",
}

SPOIL = (ROOT / "tests" / "mutants", ROOT / "tests" / "verify" / "proofs" / "test_atomic.py")
"""Where classes inherit from those that they spoil, and use what these have to themselves."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def own_names(tree: ast.Module) -> set[str]:
    """What the classes and functions of the file define themselves."""
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                own.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    return own


def reached(tree: ast.Module, *, inherits: bool = False) -> Iterator[str]:
    """The private names of others that the file imports, reads or replaces, with their lines."""
    own = own_names(tree) | ALLOWED
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [part for each in node.names for part in each.name.split(".")]
        elif isinstance(node, ast.Attribute):
            mine = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if inherits and mine else [node.attr]
        elif isinstance(node, ast.Call):
            names = list(replaced(node))
        yield from (
            f"{name} in line {node.lineno}"
            for name in names
            if is_private(name) and name not in own
        )


def replaced(call: ast.Call) -> Iterator[str]:
    """What a call such as `monkeypatch.setattr(module, "name", value)` names."""
    called = call.func
    if getattr(called, "attr", getattr(called, "id", "")) in ("setattr", "getattr", "object"):
        for word in call.args[:2]:
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                yield from word.value.split(".")


@pytest.mark.parametrize("path", FILES, ids=[str(each.relative_to(ROOT)) for each in FILES])
def test_no_test_uses_a_private_name_of_another_module(path: Path) -> None:
    """Else a change inside a module breaks tests of what has not changed."""
    inherits = any(path.is_relative_to(each) for each in SPOIL)
    assert list(reached(ast.parse(path.read_text()), inherits=inherits)) == []


def test_each_way_in_is_found() -> None:
    """And what is the file's own, or public, is left alone."""
    text = """
from harness.one import _a
from harness._b import c
module._d()
sandbox.stream._e.f
monkeypatch.setattr(module, "_g", None)
monkeypatch.setattr("harness.one._h", None)
os._exit(0)

class Own:
    def __init__(self):
        self._i = self._j()

    def _j(self): ...

Own()._i.__class__
"""
    found = [each.split()[0] for each in reached(ast.parse(text))]
    assert sorted(found) == ["_a", "_d", "_e", "_g", "_h"]
