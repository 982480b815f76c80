"""The runners: one interface, and one file for each that reads like the notes' numbered steps."""

from __future__ import annotations

from importlib.metadata import entry_points

from harness.inside.errors import UsageError
from harness.runners.base import BaseRunner
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.katas_subpath import KatasSubpath
from harness.runners.katas_volume import KatasVolume
from harness.runners.tmp import Tmp
from harness.runners.variant import Variant

NOTES = (Tmp, KatasVolume, KatasDataContainer)
"""The runners of the notes, in their order of growing isolation from the katas."""

BUILT_IN = (*NOTES, KatasSubpath, KatasOverlay)
"""Those, and what the notes could not have."""

NOTES_NAMES = tuple(each.name for each in NOTES)

GROUP = "harness.runners"


def runner_names() -> list[str]:
    """All runners that are installed, the built-in ones first."""
    return [each.name for each in BUILT_IN] + sorted(
        each.name for each in entry_points(group=GROUP)
    )


def parse_variant(text: str) -> Variant:
    """The runner that is named `NAME` or `NAME:option=value,...`. Raises UsageError for an unknown name or
    option, and for a plug-in that cannot be loaded.
    """
    name, _, options = text.partition(":")
    return Variant.of(find(name), options)


def find(name: str) -> type[BaseRunner]:
    """The kind of runner of this name; raises UsageError for an unknown one, or a plug-in that cannot be
    loaded.
    """
    for each in BUILT_IN:
        if each.name == name:
            return each
    for point in entry_points(group=GROUP, name=name):
        try:
            found: type[BaseRunner] = point.load()
        except Exception as error:
            raise UsageError(
                f"the runner {name} from {point.value} cannot be loaded: {error}"
            ) from error
        return found
    raise UsageError(f"there is no runner {name}; there are: {', '.join(runner_names())}")
