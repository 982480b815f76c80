"""What does an overlay cost? See the README beside this file."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from harness import runners
from harness.compare import Comparison, compare
from harness.engines import Engine
from harness.engines.choose import choose
from harness.engines.spec import Overlay
from harness.runners.base import COMMAND
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.katas_volume import KatasVolume
from harness.trees import TypicalTree
from harness.trials import FLOOR, INCREMENTAL, Plan, Sample

BLOCKS = 9
OVERLAY, VOLUME = KatasOverlay.name, KatasVolume.name


def measure(engine: Engine, tree: TypicalTree, *names: str) -> list[Sample]:
    """The incremental samples of these runners and the floor, whose counters are right."""
    variants = tuple(runners.parse(name) for name in names)
    plan = Plan(budget_seconds=0, blocks=BLOCKS)
    found = [
        each
        for each in compare(Comparison(tree, variants, engine, None, COMMAND, 300, plan, seed=1))
        if each.build == INCREMENTAL
    ]
    assert all(each.outcome == "completed" and each.right for each in found)
    assert {each.recompiled for each in found} == {1}
    assert {each.mtimes_changed for each in found} <= {0, None}
    return found


def paired(samples: Sequence[Sample], one: str, other: str) -> list[tuple[float, float]]:
    """Seconds of two arms, block by block."""
    times = {(each.runner, each.block): each.seconds for each in samples}
    return [(seconds, times[other, block]) for (name, block), seconds in times.items() if name == one]


def ratio(samples: Sequence[Sample], one: str, other: str) -> float:
    return statistics.median(mine / theirs for mine, theirs in paired(samples, one, other))


def added(samples: Sequence[Sample], one: str) -> float:
    """Seconds over bare make."""
    return statistics.median(mine - theirs for mine, theirs in paired(samples, one, FLOOR))


def test_the_overlay_on_docker(docker: Engine, figure: Callable[[str], None]) -> None:
    """Against the volume mount, both cold; and as the tree grows."""
    small = measure(docker, TypicalTree(), OVERLAY, VOLUME)
    large = measure(docker, TypicalTree("size=160MB,files=2000"), OVERLAY)
    figure(f"docker, incremental, {OVERLAY} to {VOLUME}: {ratio(small, OVERLAY, VOLUME):.2f}, at most 1.1")
    growth = added(large, OVERLAY) / added(small, OVERLAY)
    figure(f"docker, what {OVERLAY} adds to bare make, 160 MB to 1.6 MB: {growth:.2f}, at most 1.2")


def test_the_overlay_on_the_local_engine(figure: Callable[[str], None]) -> None:
    """Against bare make, which waits in a shell; a fresh process start is what is left."""
    with closing(choose("local").engine) as engine:
        if why := engine.refusal(Overlay):
            pytest.skip(why)
        samples = measure(engine, TypicalTree(), OVERLAY)
    figure(f"local, incremental, {OVERLAY} to {FLOOR}: {ratio(samples, OVERLAY, FLOOR):.2f}, at most 1.2")
