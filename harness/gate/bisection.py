"""The search for the commit that made a runner slower, without I/O: it asks, a gate answers.

The first gate compares the last commit with the first one. If it is slower, each further gate plays
the commit in the middle of those that may have made it so, always beside the first one, until one
is left. The last gate plays that one beside the commit before it.

A commit that a gate is unsure of, and one that cannot be timed, is left out, and the next gate
plays another one, as `git bisect skip` does. If no other is left, the answer is a range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from harness.gate.revision import Commit
from harness.measure.stats import Interval, VerdictState


class BisectOutcome(StrEnum):
    """What a bisection came to."""

    COMMIT = "commit"
    """One commit made the runner slower, and is slower than the commit before it."""
    RANGE = "range"
    """One of several commits did; those between could not be told apart."""
    GRADUAL = "gradual"
    """The search ended at one commit, which does not differ clearly from the one before it."""
    NOT_SLOWER = "not slower"
    """The last commit is not slower than the first one."""
    UNSURE = "unsure"
    """It takes more blocks to tell whether the last commit is slower than the first one."""


@dataclass(frozen=True)
class Question:
    """What the next gate is to tell: whether a commit is slower than a base."""

    commit: Commit
    """The commit."""
    base: Commit
    """What it is played beside."""
    limit: float
    """The ratio that separates slower from not slower."""


@dataclass(frozen=True)
class Answer:
    """What a gate says of a question."""

    question: Question
    """What was asked."""
    interval: Interval | None
    """The ratio of the commit to the base; None: the commit could not be timed."""
    why: str = ""
    """Why it could not be timed."""

    @property
    def slower(self) -> bool | None:
        """Whether the commit is slower; None: the gate cannot tell.

        A ratio that straddles the limit and yet lies wholly above 1 is a step on the way. The
        commit is slower than the base, so the first step is at this commit or before it.
        """
        if self.interval is None:
            return None
        state = self.interval.against(self.question.limit)
        if state is VerdictState.PASSED:
            return False
        return True if self.interval.low > 1 else None


class Bisection:
    """Ask `question` and give the `answer` until there is no question; then see `outcome`."""

    def __init__(self, good: Commit, commits: tuple[Commit, ...], limit: float) -> None:
        """`commits` are those after `good`, the oldest first.

        The last one is slower than `good` if its ratio is above the limit.
        """
        self.good, self.commits, self.limit = good, commits, limit
        self.answers: list[Answer] = []
        self._fast = -1  # the newest that is not slower; -1: `good`
        self._slow: int | None = None  # the oldest that is slower
        self._slower: Answer | None = None  # which says so
        self._untold: set[int] = set()
        self._own: Answer | None = None

    def question(self) -> Question | None:
        """Return what to ask next; None: the search is over."""
        if not self.answers:
            return Question(self.commits[-1], self.good, self.limit)
        if self._slow is None or self.own is not None:
            return None
        if (middle := self._middle()) is not None:
            return Question(self.commits[middle], self.good, self._between())
        return Question(self.commits[self._slow], self.before, self._between())

    def answer(self, answer: Answer) -> None:
        """Take the answer to the question asked last."""
        self.answers.append(answer)
        if answer.question.base != self.good:
            self._own = answer
            return
        place = self.commits.index(answer.question.commit)
        if answer.slower:
            self._slow, self._slower = place, answer
        elif answer.slower is None:
            self._untold.add(place)
        elif len(self.answers) > 1:
            self._fast = place

    @property
    def suspects(self) -> tuple[Commit, ...]:
        """The commits that may have made the runner slower, the oldest first."""
        last = len(self.commits) - 1 if self._slow is None else self._slow
        return self.commits[self._fast + 1 : last + 1]

    @property
    def before(self) -> Commit:
        """The newest commit that is not slower."""
        return self.good if self._fast < 0 else self.commits[self._fast]

    @property
    def own(self) -> Answer | None:
        """The ratio of the last suspect to the commit before all suspects; None: not known yet."""
        if self._fast < 0 and self._slow is not None and self._middle() is None:
            return self._slower  # which was played beside that one
        return self._own

    @property
    def gates_left(self) -> int:
        """How many gates the search is likely to take."""
        if not self.answers:
            return 2 + math.ceil(math.log2(len(self.commits))) if len(self.commits) > 1 else 1
        if self.question() is None:
            return 0
        return 1 + math.ceil(math.log2(max(len(self.suspects), 1)))

    @property
    def outcome(self) -> BisectOutcome:
        """What the search came to, once it is over."""
        if self._slow is None:
            told = self.answers[0].slower is False
            return BisectOutcome.NOT_SLOWER if told else BisectOutcome.UNSURE
        if len(self.suspects) > 1:
            return BisectOutcome.RANGE
        assert self.own is not None
        return BisectOutcome.COMMIT if self.own.slower else BisectOutcome.GRADUAL

    def _between(self) -> float:
        """Return a limit between the two levels: that of `good`, 1, and that of the slow commits.

        Halfway between them, each is told with the fewest blocks. It stays below the interval of
        the slow level, since with few blocks the estimate may be too high.
        """
        assert self._slower is not None
        assert self._slower.interval is not None
        level = self._slower.interval
        return min(math.sqrt(level.estimate), level.low)

    def _middle(self) -> int | None:
        """Return the middle of the longest run of commits that were not asked of; None: none left.

        Neighbours of a commit that cannot be installed often cannot be either, so a search that
        tried them one by one would take long.
        """
        assert self._slow is not None
        runs: list[list[int]] = [[]]
        for place in range(self._fast + 1, self._slow):
            if place in self._untold:
                runs.append([])
            else:
                runs[-1].append(place)
        longest = max(runs, key=len)
        return longest[len(longest) // 2] if longest else None
