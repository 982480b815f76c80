"""A runner with options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from harness import runners
from harness.inside.errors import UsageError
from harness.runners.base import BaseRunner
from harness.runners.claims import NEEDS_ISOLATION, Property
from harness.runners.variant import Variant
from tests.support import one_line


class Adjustable(BaseRunner):
    """A runner that takes options."""

    name = "adjustable"
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "speed": ("slow", "fast"),
        "depth": ("1", "2"),
    }


def test_options_are_parsed_and_printed_alike() -> None:
    """The label of a variant names it again."""
    variant = Variant.of(Adjustable, "speed=fast,depth=2")
    assert variant.options == {"speed": "fast", "depth": "2"}
    assert variant.label == "adjustable:speed=fast,depth=2"
    assert runners.parse_variant("tmp").label == "tmp"


@pytest.mark.parametrize(
    "text", ["", "speed", "speed=", "speed=faster", "colour=red", "=", "speed=fast,"]
)
def test_what_a_runner_does_not_take_is_refused(text: str) -> None:
    """With one line that says what it does take; no option at all is fine."""
    if not text:
        assert Variant.of(Adjustable, text).options == {}
        return
    with pytest.raises(UsageError) as error:
        Variant.of(Adjustable, text)
    assert "speed" in one_line(error.value)


def test_a_runner_without_options_says_so() -> None:
    """`katas-volume:speed=fast` is an error, not a silent tmp."""
    with pytest.raises(UsageError, match="katas-volume has no option speed; it has none"):
        runners.parse_variant("katas-volume:speed=fast")


def test_what_is_asked_for_is_claimed_and_nothing_else_is(shared_engine: object) -> None:
    """A runner whose runs change the katas themselves is not even asked."""
    for name in ("tmp", "katas-data-container", "katas-subpath", "katas-overlay"):
        for value in ("yes", "no"):
            claimed = runners.parse_variant(f"{name}:durable={value}").claims(shared_engine)  # type: ignore[arg-type]
            assert (Property.DURABLE in claimed) == (value == "yes")
        assert Property.DURABLE not in runners.parse_variant(name).claims(shared_engine)  # type: ignore[arg-type]
    for text in ("katas-volume:durable=yes", "katas-data-container:granularity=avatar,durable=yes"):
        with pytest.raises(UsageError, match="durable"):
            runners.parse_variant(text)


def test_no_runner_claims_isolation_where_the_engine_has_none(shared_engine: object) -> None:
    """The data-container claims everything, if it is asked for what takes asking, on an engine that
    isolates.
    """
    claimed = runners.parse_variant("katas-data-container:durable=yes").claims(shared_engine)  # type: ignore[arg-type]
    isolates = shared_engine.isolates  # type: ignore[attr-defined]
    assert claimed == frozenset(Property) - (frozenset() if isolates else NEEDS_ISOLATION)
