"""Histories on a terminal: a line of bars each, and each change of level in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from harness.gate.history import FEWEST, History

BARS = "▁▂▃▄▅▆▇█"


def render(several: Sequence[History]) -> RenderableType:
    """Show under each subject the runners with their scenarios, bars and changes of level."""
    return Group(*_lines(several))


def _lines(several: Sequence[History]) -> Iterator[Text]:
    subject = None
    for history in several:
        if history.subject != subject:
            subject = history.subject
            yield Text(subject, "bold")
        last = history.points[-1].ratio
        yield Text(
            f"  {history.runner}, {history.scenario}: {last:.2f} times bare make, "
            f"{len(history.points)} results"
        )
        yield Text(f"    {bars([point.ratio for point in history.points])}")
        if len(history.points) < FEWEST:
            yield Text(f"    too few to see a change; at least {FEWEST} are needed", "dim")
        for change in history.changes:
            point = history.points[change.place]
            how = "slower" if change.ratio > 1 else "faster"
            style = "bold red" if change.ratio > 1 else "green"
            yield Text(
                f"    {abs(change.ratio - 1):.0%} {how} since {point.created} ({point.file})", style
            )


def bars(values: Sequence[float]) -> str:
    """Return a bar for each value, the lowest for the least and the highest for the largest."""
    least, most = min(values), max(values)
    span = most - least or 1.0
    return "".join(BARS[round((value - least) / span * (len(BARS) - 1))] for value in values)
