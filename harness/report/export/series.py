"""The completed samples of a frame as series, for tools that know nothing of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.inside.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Series:
    """One runner and one kind of build on one engine and tree."""

    runner: str
    build: str
    engine: str
    tree: str
    rows: pd.DataFrame  # its samples, in the order in which they were taken

    @property
    def seconds(self) -> list[float]:
        """Wall time of each sample."""
        return [float(each) for each in self.rows["seconds"]]

    @property
    def name(self) -> str:
        """`BUILD/RUNNER`."""
        return f"{self.build}/{self.runner}"


def frame_series(frame: pd.DataFrame) -> Iterator[Series]:
    """A series for each runner and kind of build, of each engine and tree. Raises UsageError where no sample
    has completed.
    """
    done = frame[frame["outcome"] == "completed"]
    if done.empty:
        raise UsageError("no sample in these results has completed: there is nothing to export")
    for (engine, tree, build, runner), rows in done.groupby(
        ["engine", "tree", "build", "runner"], sort=True
    ):
        yield Series(str(runner), str(build), str(engine), str(tree), rows)
