"""Histories as one self-contained page: a picture for each subject, and the changes of level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.gate.history import FEWEST, History, Point
from harness.measure.stats import ChangePoint
from harness.measure.trials.scenario import SCENARIOS
from harness.report.analysis import svg
from harness.report.analysis.timeline import moved_words, timeline
from harness.report.html import template_of
from harness.report.links import commit_url

WIDE, NARROW = 8.0, 4.2
"""Inches; the page shows the narrow picture in a narrow window."""


@dataclass(frozen=True)
class Timeline:
    """The histories of one subject and scenario."""

    subject: str
    """The tree, the engine and the storage driver."""
    scenario: str
    """In words."""
    histories: Sequence[History]
    """One for each runner."""
    wide: str
    """An `svg` element, to stand within a page."""
    narrow: str
    """The same for a narrow window."""


@dataclass(frozen=True)
class LevelChange:
    """A change of level, with the result that first shows it and the one before."""

    history: History
    """Whose level it is."""
    change: ChangePoint
    """What changed."""

    @property
    def at(self) -> Point:
        return self.history.points[self.change.place]

    @property
    def before(self) -> Point:
        return self.history.points[self.change.place - 1]

    @property
    def words(self) -> str:
        return moved_words(self.change.ratio)


def render(several: Sequence[History], template: str | None = None) -> str:
    """Return the whole document; every text from a result is escaped.

    A commit leads to its page, by the template of `commit_url` if there is one.
    """
    changes = sorted(
        (LevelChange(each, change) for each in several for change in each.changes),
        key=lambda change: change.at.created,
        reverse=True,
    )
    results = {
        (point.created, point.file): point for history in several for point in history.points
    }
    return template_of("dashboard.html").render(
        timelines=list(_timelines(several, template)),
        changes=changes,
        results=[results[key] for key in sorted(results, reverse=True)],
        url=lambda point: commit_url(point.commit, point.remote, template),
        fewest=FEWEST,
        scenarios=SCENARIOS,
    )


def _timelines(several: Sequence[History], template: str | None) -> Iterator[Timeline]:
    keys = dict.fromkeys((each.subject, each.scenario) for each in several)
    for number, (subject, scenario) in enumerate(keys):
        mine = [each for each in several if (each.subject, each.scenario) == (subject, scenario)]
        drawn = [
            svg.inline(timeline(mine, width=width, template=template), f"{name}-{number}")
            for name, width in (("wide", WIDE), ("narrow", NARROW))
        ]
        yield Timeline(subject, SCENARIOS[scenario].words, mine, *drawn)
