"""A runner as a user names it: `NAME`, or `NAME:option=value,option=value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines import Engine
from harness.inside.errors import UsageError, closest
from harness.runners.base import BaseRunner
from harness.runners.claims import NEEDS_BOUNDS, NEEDS_ISOLATION, Property


@dataclass(frozen=True)
class Variant:
    """A runner's class with options, ready to be opened on an engine."""

    kind: type[BaseRunner]
    """The class."""

    options: Mapping[str, str]
    """The options that were given, without defaults."""

    @classmethod
    def of(cls, kind: type[BaseRunner], text: str = "") -> Variant:
        """Parse `option=value,option=value`. Raises UsageError for an unknown option or value."""
        options: dict[str, str] = {}
        for option in text.split(",") if text else ():
            name, equals, value = option.partition("=")
            allowed = kind.OPTIONS.get(name)
            if allowed is None:
                has = f"it has: {', '.join(kind.OPTIONS)}" if kind.OPTIONS else "it has none"
                if close := closest(name, kind.OPTIONS):
                    has = f"did you mean {close}? It has: {', '.join(kind.OPTIONS)}"
                raise UsageError(f"{kind.name} has no option {name or 'without a name'}; {has}")
            if not equals or value not in allowed:
                raise UsageError(
                    f"{kind.name}: {name} is one of {', '.join(allowed)}, not {value or 'nothing'}"
                )
            options[name] = value
        kind.check(options)
        return cls(kind, options)

    @property
    def label(self) -> str:
        """The variant in tables and results, as `parse_variant` reads it."""
        given = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.kind.name}:{given}" if given else self.kind.name

    def claims(self, engine: Engine) -> frozenset[Property]:
        """Return the properties that it claims on this engine."""
        claimed = self.kind.claims(self.options)
        if not engine.isolates:
            return claimed - NEEDS_ISOLATION
        return claimed - NEEDS_BOUNDS if engine.gaps else claimed

    def open(self, engine: Engine, place: str | Path | None = None, **arguments: Any) -> BaseRunner:
        """Open the runner and its katas; closing the runner closes both.

        `place` None is a temporary one. `arguments` are those of BaseRunner. Raises what
        `open_katas` and BaseRunner raise.
        """
        katas = self.kind.open_katas(engine, place, **self.options)
        try:
            return self.kind(engine, katas, **{**arguments, **self.options})
        except BaseException:
            katas.close()
            raise
