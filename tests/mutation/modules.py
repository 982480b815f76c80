"""What is mutated: each module with the tests that must catch its variants."""

from __future__ import annotations

from dataclasses import dataclass

GATE = ("tests/gate/test_rulings.py", "tests/gate/test_gate.py")
LOCAL = ("-k", "not docker and not podman")


@dataclass(frozen=True)
class Equivalent:
    """A variant that no test can tell from the code."""

    module: str
    """Its path in the project."""
    line: str
    """The line of the code that it changes, or a part of it."""
    variant: str
    """The line, or the same part, as the variant has it."""
    reason: str
    """Why both do the same."""


MODULES: dict[str, tuple[str, ...]] = {
    "harness/measure/stats.py": ("tests/measure/test_formulas.py", "tests/measure/test_stats.py"),
    "harness/measure/summary.py": ("tests/measure/test_rows.py", "tests/measure/test_summary.py"),
    "harness/gate/__init__.py": GATE,
    "harness/gate/budgets.py": ("tests/gate/test_budgets.py",),
    "harness/gate/evidence.py": GATE,
    "harness/gate/history.py": ("tests/gate/test_history.py",),
    "harness/gate/verdict.py": GATE,
    "harness/inside/changes.py": ("tests/inside/test_changes.py",),
    "harness/inside/delta.py": ("tests/inside/test_delta.py",),
    "harness/inside/journal.py": ("tests/inside/test_journal.py",),
    "harness/inside/layout.py": ("tests/inside/test_layout.py",),
    "harness/inside/saving.py": ("tests/inside/test_saving.py",),
    "harness/inside/stamping.py": ("tests/runners/test_edits.py",),
    "harness/inside/stamps.py": ("tests/runners/test_edits.py",),
    "harness/inside/tree.py": ("tests/inside/test_tree.py",),
    "harness/katas/commits.py": ("tests/katas/test_commits.py",),
    "harness/katas/gather.py": ("tests/katas/test_visible.py",),
    "harness/katas/visible.py": ("tests/katas/test_visible.py",),
}
"""Paths of modules, each with arguments of pytest: files, the fastest first, and what narrows them."""

EQUIVALENT: tuple[Equivalent, ...] = ()
"""Variants that are found to change nothing; they count neither as caught nor as missed."""
