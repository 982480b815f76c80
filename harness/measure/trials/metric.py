"""What is known of a figure in a result: its unit, what it may be, and its meaning.

Each field of a Sample has a Metric in its annotation. Columns, schema, units, budgets and reference
all come from these fields; `harness.measure.metrics` has what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


class Kind(StrEnum):
    """What a figure is, and so how a budget may bound it."""

    FACT = "fact"
    """Which test event it was and how it went: no budget bounds it."""
    TIME = "time"
    """It depends on the machine: it is only compared, by ratios with an interval."""
    COUNTER = "counter"
    """It has no noise: every single sample must keep to the budget."""
    MEMORY = "memory"
    """It may have a bound of its own, like a counter, and be compared by intervals, like a time."""


@dataclass(frozen=True)
class Metric:
    """One figure or fact of a test event. Name, type and default come from the annotated field."""

    meaning: str
    """What it is, in a line for the reference; in Markdown."""
    kind: Kind = Kind.FACT
    """How it may be bounded."""
    unit: str = ""
    """`s`, `B`, or empty for a number or words."""
    values: tuple[str, ...] = ()
    """All that it may be, or all the keys that it may have; empty: anything."""
    least: int | None = 0
    """The least number that it may be; None: it may be negative."""
    since: int = 2
    """The version of the schema that has it."""
    shown: str = ""
    """Its words in the table of a comparison, in the section of what was used; empty: no row."""
    name: str = ""
    """The name of the field or column."""
    type: type = str
    """`str`, `int`, `float`, `bool`, or `dict` for a figure of each key."""
    missing: bool = False
    """Whether it may be unknown, as None."""
    required: bool = False
    """Whether every line must have it; else the field has a default, for older lines."""

    @property
    def dtype(self) -> str | None:
        """The dtype of its column in a frame; None for words, which pandas may keep as it likes."""
        if self.type is float:
            return "float64"
        if self.type is int:
            return "Int64" if self.missing else "int64"
        if self.type is bool:
            return "boolean" if self.missing else "bool"
        return None


def metrics_of(sample: type) -> Iterator[Metric]:
    """Yield the metrics of a dataclass, in the order of its fields.

    Raises TypeError for a field without a Metric in its annotation.
    """
    hints = get_type_hints(sample, include_extras=True)
    for known in fields(sample):
        kind, *notes = get_args(hints[known.name]) or (hints[known.name],)
        metric = next((note for note in notes if isinstance(note, Metric)), None)
        if metric is None:
            raise TypeError(f"{sample.__name__}.{known.name} has no Metric")
        types = get_args(kind) if isinstance(kind, UnionType) else (kind,)
        (plain,) = (each for each in types if each is not NoneType)
        yield replace(
            metric,
            name=known.name,
            type=_plain(plain),
            missing=NoneType in types,
            required=known.default is MISSING and known.default_factory is MISSING,
        )


def _plain(kind: Any) -> type:
    """Drop the parameters of a generic type."""
    plain: type = get_origin(kind) or kind
    return plain
