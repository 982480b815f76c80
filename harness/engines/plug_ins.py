"""What other packages add by an entry point: its name, and the thing that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from harness.inside.errors import UsageError


@dataclass(frozen=True)
class PlugIn:
    """Something of another package."""

    what: str
    """The kind of thing, in a word."""

    name: str
    """Its name."""

    source: str
    """Where it comes from, as in `package.module:Thing`."""

    thing: Any
    """The thing itself."""

    def broken(self, problem: str, error: BaseException | None = None) -> UsageError:
        """Return an error of one line for a plug-in that did not do what it must."""
        said = "" if error is None else f": {' '.join(str(error).split()) or type(error).__name__}"
        return UsageError(f"the {self.what} {self.name} from {self.source} {problem}{said}")


def plug_in_names(group: str) -> Sequence[str]:
    """Return the names of all plug-ins in a group of entry points, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load_plug_in(group: str, name: str, what: str) -> PlugIn | None:
    """Load the plug-in of this name; `what` is the kind of thing, for errors.

    Returns None if there is none. Raises UsageError if it cannot be loaded.
    """
    for point in entry_points(group=group, name=name):
        try:
            return PlugIn(what, name, point.value, point.load())
        except Exception as error:
            unloaded = PlugIn(what, name, point.value, None)
            raise unloaded.broken("cannot be loaded", error) from error
    return None
