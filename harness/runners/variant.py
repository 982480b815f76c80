"""A runner as a user names it: `NAME`, or `NAME:option=value,option=value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines import Engine
from harness.inside.errors import UsageError
from harness.runners.base import BaseRunner
from harness.runners.claims import NEEDS_BOUNDS, NEEDS_ISOLATION, Property


@dataclass(frozen=True)
class Variant:
    """A kind of runner with its options, ready to be opened on an engine."""

    kind: type[BaseRunner]
    options: Mapping[str, str]  # only those that were given

    @classmethod
    def of(cls, kind: type[BaseRunner], text: str = "") -> Variant:
        """`text` as `option=value,option=value`. Raises UsageError for what the runner does not take."""
        options: dict[str, str] = {}
        for each in text.split(",") if text else ():
            name, equals, value = each.partition("=")
            allowed = kind.OPTIONS.get(name)
            if allowed is None:
                has = f"; it has: {', '.join(kind.OPTIONS)}" if kind.OPTIONS else " at all"
                raise UsageError(f"{kind.name} has no option {name or 'without a name'}{has}")
            if not equals or value not in allowed:
                raise UsageError(
                    f"{kind.name}: {name} is one of {', '.join(allowed)}, not {value or 'nothing'}"
                )
            options[name] = value
        kind.check(options)
        return cls(kind, options)

    @property
    def label(self) -> str:
        """What stands in tables and results, and can be parsed again."""
        given = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.kind.name}:{given}" if given else self.kind.name

    def claims(self, engine: Engine) -> frozenset[Property]:
        """What it claims there."""
        claimed = self.kind.claims(self.options)
        if not engine.isolates:
            return claimed - NEEDS_ISOLATION
        return claimed - NEEDS_BOUNDS if engine.gaps else claimed

    def open(self, engine: Engine, place: str | Path | None = None, **arguments: Any) -> BaseRunner:
        """The runner with its katas in this place (None: a temporary one), which are closed with it; the
        arguments are BaseRunner's. Raises what these two raise.
        """
        katas = self.kind.open_katas(engine, place, **self.options)
        try:
            return self.kind(engine, katas, **{**arguments, **self.options})
        except BaseException:
            katas.close()
            raise
