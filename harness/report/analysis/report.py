"""Everything that a report on recorded results shows, as one value: pure but for reading the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.measure.results import incomplete, read_result, to_frame
from harness.report.analysis import plots, svg
from harness.report.analysis.findings import load_findings
from harness.report.analysis.tradeoffs import trade_offs, verdict

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One picture with what is to be said of it."""

    title: str
    caption: str
    svg: str  # an element, to stand within a page


@dataclass(frozen=True)
class Report:
    """The parts of a report, in the order of the page."""

    verdict: str  # one sentence
    trade_offs: pd.DataFrame  # of `harness.report.analysis.tradeoffs.trade_offs`
    pictures: Sequence[Picture]
    findings: pd.DataFrame  # of `load_findings`; empty without proofs
    environments: Mapping[str, Mapping[str, str]]  # file to what was recorded of its machine
    incomplete: Sequence[str]  # files of runs that were cut short


def make_report(results: Sequence[Path], proofs: Sequence[Path] = ()) -> Report:
    """Raises UsageError for a file that is no result or no matrix of findings, and for results without a
    completed incremental build.
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
        environments={str(each.path): _environment(each.facts) for each in recordings},
        incomplete=incomplete(frame),
    )


def _pictures(frame: pd.DataFrame) -> list[Picture]:
    found: list[Picture] = []

    def add(title: str, caption: str, figure: Figure) -> None:
        found.append(Picture(title, caption, svg.inline(figure, f"picture-{len(found)}")))

    for engine, whole in frame.groupby("engine"):
        part = _usual(whole)
        builds = [each for each in ("incremental", "full") if (part["build"] == each).any()]
        for build in builds:
            add(
                f"Where the time goes: {build} builds, {engine}",
                "The median of each phase, one bar a runner; the figure behind a bar is the median of the whole test event.",
                plots.phases(part, build=build),
            )
            add(
                f"Every sample: {build} builds, {engine}",
                "Each point is one test event; none is left out. Medians are bars.",
                plots.distribution(part, build=build),
            )
        for _, each in _alone(whole).groupby("file"):
            for of in (name for name in plots.AXES if plots.grows(each, name)):
                add(
                    f"Cost against the {plots.AXES[of][0]} of the tree: incremental builds, {engine}",
                    "Both axes are logarithmic; the exponent is of a power law: 0 where cost does not grow, 1 in proportion.",
                    plots.scaling(each, of=of),
                )
        if whole["avatars"].nunique() > 1:
            add(
                f"Many at once: incremental builds, {engine}",
                "Each avatar presses again as soon as it has its output.",
                plots.load(whole),
            )
    return found


def _usual(frame: pd.DataFrame) -> pd.DataFrame:
    """On each engine the samples of the tree that has most, of one avatar: others are of the pictures of sizes and loads."""
    alone = _alone(frame)
    usual = alone.groupby("engine")["tree"].agg(lambda trees: trees.mode()[0])
    return alone[alone["tree"] == alone["engine"].map(usual)]


def _alone(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the results in which many avatars play at once, also as one of them plays; all, if there are no others."""
    crowded = frame.groupby("file")["avatars"].transform("max") > 1
    return frame if crowded.all() else frame[~crowded]


def _environment(facts: Mapping[str, object]) -> dict[str, str]:
    """What was recorded of a run, in a flat list: nested facts get their own lines."""
    flat: dict[str, str] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= {
                f"{key}: {name}": str(each)
                for name, each in value.items()
                if not isinstance(each, Mapping)
            }
        elif isinstance(value, list):
            flat[key] = ", ".join(map(str, value))
        elif value is not None and key not in ("kind", "schema"):
            flat[key] = str(value)
    return flat
