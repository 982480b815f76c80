"""The same colour for the same runner everywhere, and colours that everybody can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from harness import runners
from harness.report.analysis import palette

DEFICIENCIES = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}
"""How a colour looks to people without one kind of cone, in linear RGB: Machado, Oliveira and
Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
severity 1.0.
"""

NOTICEABLE = 10.0
"""Difference in CIE L*a*b* that is seen at a glance; 2.3 is just noticeable."""


def linear(colour: str) -> np.ndarray:
    """sRGB in hexadecimal to linear RGB (IEC 61966-2-1)."""
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB to CIE L*a*b*, white D65."""
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    relative = matrix @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    cubic = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * cubic[1] - 16, 500 * (cubic[0] - cubic[1]), 200 * (cubic[1] - cubic[2])])


@pytest.mark.parametrize("sight", [None, *DEFICIENCIES])
def test_colours_can_be_told_apart(sight: str | None) -> None:
    """Those of the built-in runners and those of the phases, each among themselves, by
    everybody.
    """
    change = np.array(DEFICIENCIES[sight]) if sight else np.eye(3)
    for colours in (palette.RUNNER_COLOURS, palette.PHASE_COLOURS):
        for one, other in combinations(colours, 2):
            seen = (lab(change @ linear(colours[each])) for each in (one, other))
            assert np.linalg.norm(np.subtract(*seen)) > NOTICEABLE, (sight, one, other)


def test_lines_stand_out_from_white() -> None:
    """The colours of runners have a contrast of at least 2.5 to white, for points and lines on a
    page.
    """
    for name, colour in palette.RUNNER_COLOURS.items():
        luminance = float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour))
        assert 1.05 / (luminance + 0.05) > 2.5, name


def test_every_built_in_runner_has_its_own() -> None:
    """No runner of this package gets a colour by chance."""
    assert set(runners.NOTES_NAMES) <= set(palette.RUNNER_COLOURS)


def test_a_runner_has_one_colour_everywhere() -> None:
    """Whatever stands beside it; its options change the marker, so that two of a kind can be told
    apart.
    """
    alone = palette.styles(["mine"])["mine"]
    beside = palette.styles(["tmp", "mine", "mine:speed=fast", "mine#2"])
    assert {beside[label].colour for label in ("mine", "mine:speed=fast", "mine#2")} == {
        alone.colour
    }
    assert len({beside[label].marker for label in ("mine", "mine:speed=fast", "mine#2")}) == 3


def test_a_variant_has_one_marker_everywhere() -> None:
    """Whatever stands beside it, and in whatever order."""
    seeded, warm = (f"katas-data-container:standby={kind}" for kind in ("seeded", "warm"))
    alone = palette.styles([seeded])
    assert palette.styles([warm, "katas-data-container#2", seeded])[seeded] == alone[seeded]
    assert palette.styles([seeded, warm]) == palette.styles([warm, seeded])
    many = [f"mine:speed={number}" for number in range(len(palette.MARKERS))]
    assert len({style.marker for style in palette.styles(many).values()}) == len(many)
