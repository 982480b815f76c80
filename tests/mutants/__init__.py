"""Mutants: a runner, tar-pipe or engine with one mistake; a docstring tells the history of each.

The proofs must refute every one of them, or they have no teeth. `python -m tests.mutants` measures
which property kills which mutant; docs/reference/mutants.md holds the table.
"""

from __future__ import annotations
