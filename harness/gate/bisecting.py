"""Plays the gates of a bisection: two versions of a runner in one shuffled comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness.gate import early_stop, judge
from harness.gate.against import environment_of, installed
from harness.gate.bisection import Answer, Question
from harness.gate.budgets import Budget, budget
from harness.gate.evidence import Evidence
from harness.gate.revision import Commit, Revision
from harness.inside.disk import remove_tree
from harness.inside.errors import UsageError
from harness.measure.compare import Comparison, compare
from harness.measure.git import GitError
from harness.measure.results import ResultFile
from harness.measure.trials import Sample, Step
from harness.measure.trials.remote import Opening, RemoteArm, RemoteArmError


class Environments:
    """The virtual environments of the commits."""

    def __init__(self, folder: Path | None, report: Callable[[str], None]) -> None:
        """The commits are those of the repository around `folder` (None: the current folder)."""
        self._folder, self._report = folder, report
        self._made: dict[Commit, Path] = {}

    def python(self, commit: Commit) -> Path:
        """Return the Python with this commit. Raises UsageError if it cannot be installed."""
        try:
            revision = Revision.find(commit.id, self._folder)
        except GitError as error:
            raise UsageError(f"{commit.short} cannot be checked out: {error}") from error
        home = environment_of(revision)
        if not home.exists():
            self._made[commit] = home
        return installed(replace(revision, name=str(commit)), self._report)

    def remove_all_but(self, kept: Sequence[Commit]) -> None:
        """Remove those that were made here: each takes as much room as all of its packages."""
        for commit, home in self._made.items():
            if commit not in kept:
                remove_tree(home)


@dataclass(frozen=True)
class CommitGate:
    """How each gate is played."""

    comparison: Comparison
    """Without runners."""
    runner: str
    """The runner, as `harness.open_runner` takes it."""
    scenario: str
    """One of SCENARIOS."""
    engine: str
    """As on the command line."""
    most: int
    """The most blocks of a gate."""

    def arm(self, commit: Commit) -> str:
        """Return the name of its arm."""
        return f"{self.runner}@{commit.short}"

    def play(
        self,
        question: Question,
        pythons: tuple[Path, Path],
        out: Path,
        about_to: Callable[[Step], None],
    ) -> Answer:
        """Play the commit beside its base with these Pythons, and write the samples to `out`.

        Stops at the first test event of the commit that fails. Raises UsageError if one of them
        cannot be played at all, and if there are too few blocks.
        """
        mine, other = self.arm(question.commit), self.arm(question.base)
        comparison = replace(
            self.comparison, created=datetime.now(UTC).isoformat(timespec="seconds")
        )
        limit = budget(
            mine,
            self.scenario,
            "seconds",
            f"at most {question.limit:.6f} times the baseline",
            question.commit.short,
        )
        samples: list[Sample] = []
        facts = comparison.facts()
        project = {**facts["project"], "commit": question.commit.id}
        facts |= {"runners": [mine, other], "against": other, "project": project}
        try:
            with ResultFile(out, facts) as result:
                for sample in self._samples(comparison, (mine, other), pythons, limit, about_to):
                    samples.append(sample)
                    result.add(sample)
        except RemoteArmError as error:
            if error.arm != mine:
                raise
            return Answer(question, None, f"a test event failed: {error}")
        if failed := next(filter(partial(_failed, mine), samples), None):
            how = "a wrong answer" if failed.outcome == "completed" else failed.outcome
            why = f"{how}: {failed.reason}" if failed.reason else how
            return Answer(question, None, f"a test event failed: {why.replace('_', ' ')}")
        verdict = judge(Evidence([samples], against=other), [limit])
        return Answer(question, verdict.rulings[-1].interval)

    def _samples(
        self,
        comparison: Comparison,
        arms: tuple[str, str],
        pythons: tuple[Path, Path],
        limit: Budget,
        about_to: Callable[[Step], None],
    ) -> Iterator[Sample]:
        mine, other = arms
        settled = early_stop([limit], against=other, most=self.most)
        opening = Opening(
            self.runner,
            self.engine,
            comparison.image,
            comparison.command,
            comparison.limits,
        )
        yield from compare(
            comparison,
            about_to,
            lambda samples: any(_failed(mine, each) for each in samples) or settled(samples),
            [
                partial(RemoteArm, arm, python, opening)
                for arm, python in zip(arms, pythons, strict=True)
            ],
        )


def _failed(arm: str, sample: Sample) -> bool:
    return sample.runner == arm and (sample.outcome != "completed" or sample.right is False)
