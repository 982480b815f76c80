"""The notes' typical tree of 1.6 MB, and larger ones, made by the generator in the fixtures."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from harness.engines.fixtures import fixture
from harness.inside.errors import TreeError, UsageError
from harness.measure.trees.source import TreeEdit


class TypicalTree:
    """A generated C project whose answer depends on every module."""

    def __init__(self, parameters: str = "") -> None:
        """`parameters` is `size=16MB,files=1000,fanout=50,cost=1,seed=7`. Raises UsageError."""
        self.name = f"typical:{parameters}" if parameters else "typical"
        self._generator = _generator()
        try:
            self._parameters = self._generator.Parameters.parse(parameters)
        except ValueError as error:
            raise UsageError(f"the tree {self.name}: {error}") from error
        self.answer: str | None = self._generator.answer(self._parameters)

    def write(self, folder: Path) -> None:
        """Write it to an empty or missing folder. Raises TreeError."""
        try:
            self._generator.write(folder, self._parameters)
        except OSError as error:
            raise TreeError(
                f"the typical tree cannot be written to {folder}: {error.strerror}"
            ) from error

    def edit(self, number: int, *, headers: int = 0) -> TreeEdit:
        """Return edit 1, 2, 3, ... of the one module that is cheap to compile."""
        return self._edit(number, "source", source=number, header=headers)

    def edit_header(self, number: int, *, sources: int = 0) -> TreeEdit:
        """Return edit 1, 2, 3, ... of the header that `fanout` modules include."""
        return self._edit(number, "header", source=sources, header=number)

    def _edit(self, number: int, kind: str, **edits: int) -> TreeEdit:
        made = self._generator.edit(self._parameters, number, kind)
        return TreeEdit(made.path, made.content, self._generator.answer(self._parameters, **edits))


@cache
def _generator() -> Any:
    """Load the generator by its path: the fixtures are not a package, so they shadow no other."""
    path = fixture("trees/typical.py")
    spec = importlib.util.spec_from_file_location("harness_typical", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    return module
