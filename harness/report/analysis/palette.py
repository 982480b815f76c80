"""One colour and marker for each runner, the same in every picture.

The colours are from Okabe and Ito, "Color Universal Design" (2008): people with any common kind of
colour blindness can tell them apart. A runner's options change its marker, never its colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.measure.trials.arms import FLOOR
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.katas_subpath import KatasSubpath
from harness.runners.katas_volume import KatasVolume
from harness.runners.tmp import Tmp

FLOOR_COLOUR = "#4d4d4d"

RUNNER_COLOURS = {
    FLOOR: FLOOR_COLOUR,
    Tmp.name: "#d55e00",
    KatasVolume.name: "#0072b2",
    KatasDataContainer.name: "#009e73",
    KatasOverlay.name: "#cc79a7",
    # From Tol's "muted" scheme: the yellow of Okabe and Ito is too light for lines on white.
    KatasSubpath.name: "#661100",
}

OTHERS = ("#7b3294", "#1b7837", "#8c510a", "#2166ac", "#b2182b", "#35978f")
"""Colours of third-party runners, chosen by name: the same in every picture on every machine."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

MARKER_OF = {
    "": "o",
    ":standby=warm": "s",
    ":standby=seeded": "^",
    # The same runner again, which shows the noise.
    "#2": "D",
    ":granularity=kata": "v",
    ":granularity=avatar": "P",
    ":durable=yes": "X",
}
"""Markers by what comes after the name of a runner; any other variant has one by its name."""

PHASE_COLOURS = {
    "open": "#bbbbbb",
    "save": "#e69f00",
    "start": "#56b4e9",
    "pipe_in": "#009e73",
    "run": "#4d4d4d",
    "pipe_out": "#0072b2",
    "commit": "#cc79a7",
}
"""Colour of each kind of phase."""


@dataclass(frozen=True)
class Style:
    """How a runner is drawn."""

    colour: str
    """As #rrggbb."""
    marker: str
    """As matplotlib names it."""


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """Choose a style for each label: one colour for a runner, one marker for each of its variants.

    A label has the same style in every picture, unless it happens to share a marker with another
    variant of its runner that is in the picture and has none of MARKER_OF.

    >>> drawn = styles(["tmp", "katas-data-container", "katas-data-container:standby=seeded"])
    >>> drawn["tmp"].colour
    '#d55e00'
    >>> [style.marker for style in drawn.values()]
    ['o', 'o', '^']
    """
    labels = list(labels)
    markers: dict[str, str] = {}
    # Those of MARKER_OF choose first; the order is that of the names, not that of the picture.
    for label in sorted(labels, key=lambda label: (_variant(label) not in MARKER_OF, label)):
        kind = _kind(label)
        taken = {marker for other, marker in markers.items() if _kind(other) == kind}
        wanted = MARKER_OF.get(_variant(label)) or _by_name(_variant(label), MARKERS)
        place = MARKERS.index(wanted)
        free = [marker for marker in MARKERS[place:] + MARKERS[:place] if marker not in taken]
        markers[label] = (free or [wanted])[0]
    return {label: Style(colour(_kind(label)), markers[label]) for label in labels}


def _kind(label: str) -> str:
    return label.partition(":")[0].partition("#")[0]


def _variant(label: str) -> str:
    """Return what comes after the kind of runner in a label."""
    return label.removeprefix(_kind(label))


def _by_name(name: str, choices: Sequence[str]) -> str:
    """Choose by a hash of the name, the same on every machine."""
    return choices[hashlib.sha256(name.encode()).digest()[0] % len(choices)]


def colour(kind: str) -> str:
    """Return the colour of a kind of runner."""
    if kind in RUNNER_COLOURS:
        return RUNNER_COLOURS[kind]
    return _by_name(kind, OTHERS)
