"""The variants of a module, as cosmic-ray makes them, one for each place and kind of change."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

SIGNATURES = ("parameters", "param")
"""What cosmic-ray takes for an operator there separates parameters."""

Place = tuple[int, int]
"""A line, from 1, and a column, from 0."""


@dataclass(frozen=True)
class Variant:
    """One wrong variant of a module."""

    module: str
    """The path of the module in the project."""
    operator: str
    """What cosmic-ray calls the change."""
    occurrence: int
    """Which of the places that this operator could change."""
    start: Place
    """Where the change begins."""

    def code(self, source: str) -> str:
        """Return the module with the change."""
        changed = mutate_code(source, get_operator(self.operator)(), self.occurrence)
        assert isinstance(changed, str)
        return changed

    def diff(self, source: str) -> str:
        """Return the change as a unified diff."""
        name = self.module
        lines = unified_diff(
            source.splitlines(), self.code(source).splitlines(), f"a/{name}", f"b/{name}", "", "", 1
        )
        return "\n".join(line.rstrip("\n") for line in lines)

    @property
    def family(self) -> str:
        """The kind of change, without what it changes to."""
        return self.operator.rpartition("/")[2].partition("_")[0]


def variants(module: str, source: str, *, seed: int, sample: int | None) -> list[Variant]:
    """Draw `sample` variants of a module, all if None, in the order of the code.

    A place that one kind of change can turn into several things, such as an operator that becomes
    any other, counts once, with one of them; so the many ways to misspell a `+` weigh no more than
    a loop that is left out.
    """
    drawn = random.Random(f"{seed} {module}")
    places: dict[tuple[str, Place], list[Variant]] = {}
    for each in _all(module, source):
        places.setdefault((each.family, each.start), []).append(each)
    one_each = [drawn.choice(choices) for choices in places.values()]
    if sample is not None and sample < len(one_each):
        one_each = drawn.sample(one_each, sample)
    return sorted(one_each, key=lambda each: (each.start, each.operator))


def _all(module: str, source: str) -> Iterator[Variant]:
    tree = get_ast(source)
    declared = list(_declarations(ast.parse(source)))
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments() or _changes_nothing(name):
            continue
        operator = operator_class()
        starts = (
            (start, node)
            for node in ast_nodes(tree)
            for start, _ in operator.mutation_positions(node)
        )
        for occurrence, (start, node) in enumerate(starts):
            parent = node.parent.type if node.parent else ""
            if parent not in SIGNATURES and not any(
                begin <= start < end for begin, end in declared
            ):
                yield Variant(module, name, occurrence, start)


def _changes_nothing(operator: str) -> bool:
    """Whether what it changes is not computed, as decorators, or whether equal values are one."""
    name, _, change = operator.partition("/")[2].partition("_")
    before, _, after = change.partition("_")
    identity = {"Is", "IsNot"}
    swapped = "Comparison" in name and (before in identity) != (after in identity)
    return name == "RemoveDecorator" or swapped


def _declarations(tree: ast.Module) -> Iterator[tuple[Place, Place]]:
    """Yield where annotations, decorators and imports for them begin and end."""
    for node in ast.walk(tree):
        told: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign | ast.arg):
            told.append(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            told.append(node.returns)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            told += node.decorator_list
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            told.append(node)
        for part in told:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)  # type: ignore[attr-defined]
