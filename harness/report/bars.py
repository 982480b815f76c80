"""Ratios as bars on a terminal, for those who would rather look than read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from harness.measure.summary import Row
from harness.measure.trials.scenario import INCREMENTAL, SCENARIOS

WIDTH, LEAST = 48, 12
"""The most and the fewest characters for the longest bar. With less room there are no bars."""

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def ratio_bars(rows: Sequence[Row], about: str = INCREMENTAL) -> RatioBars:
    """Draw the ratio of each runner to bare make in this scenario."""
    ratios = {row.runner: row.ratios[about] for row in rows if about in row.ratios}
    return RatioBars(SCENARIOS[about].words, ratios)


@dataclass(frozen=True)
class RatioBars:
    """A bar for each runner, on a logarithmic scale; nothing if no ratio is above 1.

    So a runner that costs 1.2 times bare make can be seen beside one that costs 40 times. A ratio
    of at most 1 has a bar of no length.
    """

    title: str
    """What was measured."""

    ratios: Mapping[str, float]
    """Ratio to bare make by the name of the runner."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = max(map(len, self.ratios), default=0)
        figures = {name: f"{ratio:.2f}" for name, ratio in self.ratios.items()}
        digits = max(map(len, figures.values()), default=0)
        room = min(WIDTH, options.max_width - names - digits - 2)
        most = max(self.ratios.values(), default=0.0)
        if room < LEAST or len(self.ratios) < 2 or most <= 1:
            return
        yield Text(f"{self.title}: times bare make, on a logarithmic scale", style="dim")
        for name, ratio in self.ratios.items():
            length = room * math.log(max(ratio, 1.0)) / math.log(most)
            bar = _bar(length, ascii_only=options.ascii_only)
            yield Text(f"{name:<{names}} {figures[name]:>{digits}} {bar}".rstrip())
        yield ""


def _bar(length: float, *, ascii_only: bool) -> str:
    """Return a bar of this many characters, to an eighth of one where the terminal can show it."""
    if ascii_only:
        return "#" * round(length)
    whole, eighths = divmod(round(length * 8), 8)
    return "█" * whole + _EIGHTHS[eighths]
