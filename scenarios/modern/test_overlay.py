"""What does an overlay cost? See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from harness.engines import Engine
from harness.engines.choice import choose
from harness.engines.spec import Overlay
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.katas_volume import KatasVolume
from scenarios.measuring import growth, measure, ratios

OVERLAY, VOLUME = KatasOverlay.name, KatasVolume.name


def test_the_overlay_on_docker(docker: Engine, figure: Callable[[str], None]) -> None:
    """Compared with the volume mount, both without a head start, and on a growing tree."""
    small = measure(docker, TypicalTree(), OVERLAY, VOLUME)
    large = measure(docker, TypicalTree("size=160MB,files=2000"), OVERLAY)
    figure(f"docker, incremental, {ratios(small, OVERLAY, VOLUME)}; at most 1.1")
    figure(f"docker, {growth(large, small, OVERLAY)}; at most 1.2")


def test_the_overlay_on_the_local_engine(figure: Callable[[str], None]) -> None:
    """Compared with bare make, which waits in a shell: what remains is the start of a process."""
    with closing(choose("local").engine) as engine:
        if why := engine.refusal(Overlay):
            pytest.skip(why)
        samples = measure(engine, TypicalTree(), OVERLAY)
    figure(f"local, incremental, {ratios(samples, OVERLAY, FLOOR)}; at most 1.2")
