"""What the caller of a runner asked for when the test button was pressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.katas.visible import VisibleFiles
from harness.runners.run import Output


@dataclass(frozen=True)
class EventRequest:
    """What one press of the test button asks for."""

    files: VisibleFiles
    """All visible files, as the player sent them."""

    command: str = ""
    """The command line to run."""

    max_seconds: float = 0.0
    """The time limit of the command."""

    on_output: Callable[[Output], object] | None = None
    """Gets the output once the command has ended in time."""

    observe: bool = False
    """Whether to look at the sandbox before and after the command."""

    products: bool = False
    """Whether to find out what the run made, changed and deleted."""
