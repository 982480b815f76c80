"""The runners: one interface, and a file for each that reads like the notes' numbered steps."""

from __future__ import annotations

from harness.engines.plug_ins import load_plug_in, plug_in_names
from harness.inside.errors import not_among
from harness.runners.base import BaseRunner
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.katas_subpath import KatasSubpath
from harness.runners.katas_volume import KatasVolume
from harness.runners.tmp import Tmp
from harness.runners.variant import Variant

NOTES = (Tmp, KatasVolume, KatasDataContainer)
"""The runners of the notes, in their order."""

BUILT_IN = (*NOTES, KatasSubpath, KatasOverlay)
"""The runners of the notes, and those that need newer engines and kernels."""

NOTES_NAMES = tuple(runner.name for runner in NOTES)

GROUP = "harness.runners"
"""The entry point group by which other packages add runners."""


def runner_names() -> list[str]:
    """Return the names of all installed runners, the built-in ones first."""
    return [*(runner.name for runner in BUILT_IN), *plug_in_names(GROUP)]


def parse_variant(text: str) -> Variant:
    """Parse `NAME` or `NAME:option=value,...`.

    Raises UsageError for an unknown name or option, and for a plug-in that cannot be loaded.
    """
    name, _, options = text.partition(":")
    return Variant.of(find(name), options)


def find(name: str) -> type[BaseRunner]:
    """Return the runner's class.

    Raises UsageError for an unknown name, and for a plug-in that cannot be loaded.
    """
    for runner in BUILT_IN:
        if runner.name == name:
            return runner
    if plug_in := load_plug_in(GROUP, name, "runner"):
        kind: type[BaseRunner] = plug_in.thing
        return kind
    raise not_among("runner", name, runner_names())
