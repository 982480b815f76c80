"""Mutants: small wrong variants of a runner, a tar-pipe or an engine, each with the history of the mistake in its docstring.

The proofs must refute every one of them, else they have no teeth. `python -m tests.mutants` measures which property kills
which, and docs/reference/mutants.md keeps the table.
"""

from __future__ import annotations
