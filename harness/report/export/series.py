"""The completed samples of a frame as series, for tools that do not know blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.inside.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Series:
    """One runner and one kind of build on one engine and tree."""

    runner: str
    """The name of an arm."""
    build: str
    """The kind of build, which is a scenario."""
    engine: str
    """As the result file describes it."""
    tree: str
    """The name of the tree."""
    rows: pd.DataFrame
    """Its samples in the order in which they were taken."""

    @property
    def seconds(self) -> list[float]:
        """The wall time of each sample in seconds."""
        return [float(value) for value in self.rows["seconds"]]

    @property
    def name(self) -> str:
        """`BUILD/RUNNER`."""
        return f"{self.build}/{self.runner}"


def series_names(all_series: Iterable[Series]) -> list[tuple[str, Series]]:
    """Return each series with a name that is its own: with engine and tree if there are several."""
    known = list(all_series)
    several = len({(series.engine, series.tree) for series in known}) > 1
    return [
        (f"{series.engine}/{series.tree}/{series.name}" if several else series.name, series)
        for series in known
    ]


def frame_series(frame: pd.DataFrame) -> Iterator[Series]:
    """Yield a series for each runner and kind of build on each engine and tree.

    Raises UsageError if no sample completed.
    """
    done = frame[frame["outcome"] == "completed"]
    if done.empty:
        raise UsageError("no sample in these results completed, so there is nothing to export")
    for (engine, tree, build, runner), rows in done.groupby(
        ["engine", "tree", "build", "runner"], sort=True
    ):
        yield Series(str(runner), str(build), str(engine), str(tree), rows)
