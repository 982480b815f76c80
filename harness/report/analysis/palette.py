"""One colour and marker for each runner, the same in every picture.

The colours are from Okabe and Ito, "Color Universal Design" (2008): people with any common kind of
colour blindness can tell them apart. A runner's options change its marker, never its colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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

    >>> drawn = styles(["tmp", "katas-data-container", "katas-data-container:standby=seeded"])
    >>> drawn["tmp"].colour
    '#d55e00'
    >>> [style.marker for style in drawn.values()]
    ['o', 'o', 's']
    """
    styles_by_label: dict[str, Style] = {}
    variants: dict[str, int] = {}
    for label in labels:
        kind = label.partition(":")[0].partition("#")[0]
        number = variants.setdefault(kind, 0)
        variants[kind] += 1
        styles_by_label[label] = Style(colour(kind), MARKERS[number % len(MARKERS)])
    return styles_by_label


def colour(kind: str) -> str:
    """Return the colour of a kind of runner."""
    if kind in RUNNER_COLOURS:
        return RUNNER_COLOURS[kind]
    return OTHERS[hashlib.sha256(kind.encode()).digest()[0] % len(OTHERS)]
