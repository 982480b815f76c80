"""One name, one thing: a public name of a module is defined once in the package."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import harness

ROOT = Path(harness.__file__).parent

VERBS = {
    "add",  # a command's, which adds its parser
    "examine",  # a group of the doctor's
    "export",  # a format's
    "main",  # a program's
    "prove",  # a property's
    "render",  # a view's
}
"""What every plug-in of a kind has under the same name."""


def public_names(tree: ast.Module) -> set[str]:
    """Classes, functions and constants that a module defines, without those that are private."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_each_public_name_is_defined_once() -> None:
    """The verbs of plug-ins apart: whoever reads a name knows which thing it is."""
    counts = Counter(
        name for path in ROOT.rglob("*.py") for name in public_names(ast.parse(path.read_text()))
    )
    assert len(counts) > 500
    assert {name for name, count in counts.items() if count > 1} == VERBS
