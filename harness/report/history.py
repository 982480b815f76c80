"""The view of histories on a terminal: a line of bars, and each change in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from harness.gate.history import FEWEST, History

BARS = "▁▂▃▄▅▆▇█"


def render(found: Sequence[History]) -> RenderableType:
    """Under each subject, a runner and its scenario, its bars, and where its level changed."""
    return Group(*_lines(found))


def _lines(found: Sequence[History]) -> Iterator[Text]:
    subject = None
    for each in found:
        if each.subject != subject:
            subject = each.subject
            yield Text(subject, "bold")
        last = each.points[-1].ratio
        yield Text(
            f"  {each.runner}, {each.scenario}: {last:.2f} times bare make, {len(each.points)} results"
        )
        yield Text(f"    {bars([point.ratio for point in each.points])}")
        if len(each.points) < FEWEST:
            yield Text(f"    too few to see a change; it takes {FEWEST}", "dim")
        for change in each.changes:
            point = each.points[change.place]
            how = "slower" if change.ratio > 1 else "faster"
            style = "bold red" if change.ratio > 1 else "green"
            yield Text(
                f"    {abs(change.ratio - 1):.0%} {how} since {point.created} ({point.file})", style
            )


def bars(values: Sequence[float]) -> str:
    """A bar each, the lowest for the least and the highest for the most."""
    least, most = min(values), max(values)
    span = most - least or 1.0
    return "".join(BARS[round((value - least) / span * (len(BARS) - 1))] for value in values)
