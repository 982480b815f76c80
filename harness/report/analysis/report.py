"""Everything that a report on recorded results shows, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.measure.results import incomplete, read_result, to_frame
from harness.measure.trials.arms import FLOOR
from harness.report.analysis import plots, svg
from harness.report.analysis.findings import load_findings
from harness.report.analysis.tradeoffs import trade_offs, verdict

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One picture with its title and caption."""

    title: str
    """The heading above the picture."""
    caption: str
    """What a reader needs to know to read the picture."""
    svg: str
    """An `svg` element, to stand within a page."""


@dataclass(frozen=True)
class Report:
    """The parts of a report, in the order of the page."""

    verdict: str
    """One sentence."""
    trade_offs: pd.DataFrame
    """The table of `harness.report.analysis.tradeoffs.trade_offs`."""
    pictures: Sequence[Picture]
    """In the order of the page."""
    findings: pd.DataFrame
    """From `load_findings`; empty without proofs."""
    environments: Mapping[str, Mapping[str, str]]
    """Each result file with the facts recorded of its run."""
    incomplete: Sequence[str]
    """The files of runs that were cut short."""


def make_report(results: Sequence[Path], proofs: Sequence[Path] = ()) -> Report:
    """Read the files and make the report.

    Raises UsageError for a file that is not a result or not a matrix of findings, and for results
    without a completed incremental build.
    """
    recordings = [read_result(path) for path in results]
    frame = to_frame(recordings)
    findings = load_findings(*proofs)
    table = trade_offs(_usual(frame), findings)
    return Report(
        verdict=verdict(table),
        trade_offs=table,
        pictures=_pictures(frame),
        findings=findings,
        environments={
            str(recording.path): _environment(recording.facts) for recording in recordings
        },
        incomplete=incomplete(frame),
    )


def _pictures(frame: pd.DataFrame) -> list[Picture]:
    pictures: list[Picture] = []

    def add(title: str, caption: str, figure: Figure) -> None:
        pictures.append(Picture(title, caption, svg.inline(figure, f"picture-{len(pictures)}")))

    for engine, whole in frame.groupby("engine"):
        part = _usual(whole)
        builds = [name for name in ("incremental", "full") if (part["build"] == name).any()]
        for build in builds:
            add(
                f"Where the time goes: {build} builds, {engine}",
                "Each bar stacks the medians of a runner's phases. The figure at its end is the "
                "median of "
                "the whole test event.",
                plots.phases(part, build=build),
            )
            add(
                f"Every sample: {build} builds, {engine}",
                "Each point is one test event; none is left out. Bars mark the medians.",
                plots.distribution(part, build=build),
            )
            if (part["runner"] == FLOOR).any() and (part["runner"] != FLOOR).any():
                add(
                    f"Ratios to bare make, block by block: {build} builds, {engine}",
                    "Each point is a runner's time over bare make's in the same block. Bars are "
                    "95 % confidence intervals.",
                    plots.ratios(part, build=build),
                )
        for _, rows in _alone(whole).groupby("file"):
            for of in (name for name in plots.AXES if plots.grows(rows, name)):
                add(
                    f"Cost against the {plots.AXES[of][0]} of the tree: "
                    f"incremental builds, {engine}",
                    "Both axes are logarithmic. The exponent is that of a power law: with 0 the "
                    "cost "
                    "does not grow, with 1 it grows in proportion.",
                    plots.scaling(rows, of=of),
                )
        for _, rows in whole.groupby("file"):
            if rows["avatars"].nunique() > 1:
                add(
                    f"Many at once: incremental builds, {engine}",
                    "Each avatar presses the test button again as soon as it has its output.",
                    plots.load(rows),
                )
    return pictures


def _usual(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep, on each engine, the tree with the most samples, played by one avatar.

    The other samples belong in the pictures of sizes and loads.
    """
    alone = _alone(frame)
    usual = alone.groupby("engine")["tree"].agg(lambda trees: trees.mode()[0])
    return alone[alone["tree"] == alone["engine"].map(usual)]


def _alone(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop the files in which several avatars play at once, unless there are no others."""
    crowded = frame.groupby("file")["avatars"].transform("max") > 1
    return frame if crowded.all() else frame[~crowded]


def _environment(facts: Mapping[str, object]) -> dict[str, str]:
    """Flatten the facts of a run: each nested fact gets its own entry."""
    flat: dict[str, str] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= {
                f"{key}: {name}": str(item)
                for name, item in value.items()
                if not isinstance(item, Mapping)
            }
        elif isinstance(value, list):
            flat[key] = ", ".join(map(str, value))
        elif value is not None and key not in ("kind", "schema"):
            flat[key] = str(value)
    return flat
