"""The search for a counterexample: Hypothesis draws examples, a loop tries listed ones."""

from __future__ import annotations

import base64
import contextlib
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, reproduce_failure, settings
from hypothesis.control import current_build_context
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import DidNotReproduce, FlakyFailure, HypothesisWarning, InvalidArgument
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test
from hypothesis.strategies import SearchStrategy

from harness.engines.folders import state_home
from harness.inside.errors import HarnessError, UsageError
from harness.verify.proofs.shared.counts import Tally
from harness.verify.proofs.shared.verdict import Counterexample, Refuted, Untried

_Example = TypeVar("_Example")

BLOB = re.compile(r"@reproduce_failure\('([^']+)', b'([^']+)'\)")
"""How Hypothesis prints an example to reproduce (`print_blob`)."""


@dataclass(frozen=True)
class Effort:
    """How hard to search; see PROFILES."""

    # Multiplies the examples that a proof asks for by default.
    factor: float
    # Whether to draw the same examples each time.
    deterministic: bool
    # Seconds that making a counterexample smaller may take.
    shrink_seconds: float = 15.0


PROFILES = {
    "dev": Effort(1.0, deterministic=False),
    "ci": Effort(0.3, deterministic=True),
    "thorough": Effort(17.0, deterministic=False, shrink_seconds=120.0),
}


RACES = 5
"""How often a replayed race is run, so as to lose it once."""


class CounterexampleFound(Exception):
    """Raised with a counterexample, once it is as small as possible."""

    def __init__(self, counterexample: Counterexample) -> None:
        super().__init__(counterexample.words)
        self.counterexample = counterexample


class Search:
    """One search, by one proof of one subject; it counts the examples that were tried."""

    def __init__(self, effort: Effort, *, replay: str | None = None) -> None:
        """`replay` is the token of a counterexample: only that is tried."""
        self.effort, self.examples, self.tally = effort, 0, Tally()
        self._replay = replay
        # The first time, on the monotonic clock.
        self._failed_at: float | None = None

    def drawn(
        self,
        name: str,
        strategy: SearchStrategy[_Example],
        check: Callable[[_Example], None],
        *,
        most: int,
        weigh: Callable[[_Example], int] = lambda example: 1,
    ) -> None:
        """Check up to `most` drawn examples; raise CounterexampleFound with the smallest refuted.

        An example may stand for several, side by side in one sandbox; `weigh` counts them.
        """

        def counted(example: _Example) -> None:
            with self.attempt() as wanted:
                if wanted:
                    self.examples += weigh(example)
                    check(example)

        self._run(name, lambda options: settings(options)(given(strategy)(counted)), most)

    def played(
        self, name: str, machine: Callable[[], RuleBasedStateMachine], *, most: int, steps: int
    ) -> None:
        """Play `most` sessions of at most `steps` steps of a state machine whose rules may refute.

        Raises CounterexampleFound. Whatever is dear in a step belongs into an `attempt`.
        """

        def counted() -> RuleBasedStateMachine:
            self.examples += 1
            return machine()

        def test(options: settings) -> Callable[[], None]:
            return get_state_machine_test(
                counted,  # type: ignore[arg-type]  # it takes any callable
                settings=settings(options, stateful_step_count=steps),
            )

        self._run(name, test, most)

    def listed(
        self,
        name: str,
        cases: Iterable[_Example],
        check: Callable[[_Example], None],
        *,
        show: Callable[[_Example], str] = str,
        parse: Callable[[str], _Example] | None = None,
        weigh: Callable[[_Example], int] = lambda example: 1,
    ) -> None:
        """Check listed cases, the simplest first; raise CounterexampleFound with the first refuted.

        `show` describes a case, and `weigh` counts the examples in it. If the list differs each
        time, `parse` makes the case from its description; a replay then tries it more than once,
        since it may be a race.
        """
        wanted = self._wanted(name)
        listed = iter([parse(wanted)] * RACES if parse and wanted else cases)
        while True:
            try:
                case = next(listed, None)
            except Refuted as refuted:  # by what had to be played to list the cases
                raise CounterexampleFound(
                    Counterexample(str(refuted), token(name, ""))
                ) from refuted
            if case is None:
                return
            if wanted is None or (wanted and wanted != show(case)):
                continue
            self.examples += weigh(case)
            try:
                check(case)
            except Refuted as refuted:
                words = f"{show(case)}: {refuted}"
                raise CounterexampleFound(
                    Counterexample(words, token(name, show(case)))
                ) from refuted

    def some(self, cases: Iterable[_Example]) -> list[_Example]:
        """Return the cases that there is time for, evenly spread; all, unless the effort is low."""
        every = list(cases)
        most = max(1, round(len(every) * min(1, self.effort.factor)))
        return [every[number * len(every) // most] for number in range(most)]

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Surround the dear part of an example; False: skip it, the time to shrink is over."""
        late = (
            self._failed_at is not None
            and time.monotonic() > self._failed_at + self.effort.shrink_seconds
        )
        try:
            # The smallest counterexample is always shown.
            yield not late or current_build_context().is_final
        except (Refuted, Untried, HarnessError):
            self._failed_at = self._failed_at or time.monotonic()
            raise

    def wants(self, name: str) -> bool:
        """Whether anything of the search `name` is to be tried, so that it must be prepared."""
        return self._wanted(name) is not None

    def _wanted(self, name: str) -> str | None:
        """Return what to try of the search `name`: all for "", nothing for None, or one case."""
        if self._replay is None:
            return ""
        search, what = untoken(self._replay)
        return what if search == name else None

    def _run(self, name: str, make: Callable[[settings], Callable[[], None]], most: int) -> None:
        wanted = self._wanted(name)
        if wanted is None:
            return
        options = settings(
            max_examples=max(1, round(most * self.effort.factor)),
            derandomize=self.effort.deterministic,
            database=None if self.effort.deterministic else _database(),
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        )
        test, before = make(options), self.examples
        if wanted:
            version, _, blob = wanted.partition(" ")
            test = reproduce_failure(version, blob.encode())(test)
        try:
            with warnings.catch_warnings():
                # Hypothesis warns of examples that are long to print; nobody prints them.
                warnings.simplefilter("ignore", HypothesisWarning)
                test()
        except Refuted as error:
            blob = next(
                (
                    " ".join(blob.groups())
                    for note in getattr(error, "__notes__", ())
                    for blob in BLOB.finditer(note)
                ),
                wanted,
            )
            raise CounterexampleFound(Counterexample(str(error), token(name, blob))) from error
        except FlakyFailure as flaky:
            # A race that is lost now and then is still lost; a replay searches for it again.
            refuted = next(
                (error for error in flaky.exceptions if isinstance(error, Refuted)), None
            )
            if refuted is None:
                raise
            raise CounterexampleFound(
                Counterexample(f"{refuted} (not every time)", token(name, ""))
            ) from refuted
        except DidNotReproduce as error:
            if self.examples == before:
                raise UsageError(f"this counterexample cannot be reproduced: {error}") from error
        except InvalidArgument as error:
            if not wanted:
                raise
            raise UsageError(f"this counterexample cannot be replayed: {error}") from error


def alone_too(check: Callable[[Sequence[_Example]], None]) -> Callable[[Sequence[_Example]], None]:
    """Return a check that, if it fails for several examples, reports one that fails alone."""

    def run(examples: Sequence[_Example]) -> None:
        try:
            check(examples)
        except Refuted:
            if len(examples) > 1:
                for example in examples:
                    check([example])
            raise

    return run


def token(search: str, what: str) -> str:
    """Return one word for a shell, which stands for a case of a search."""
    encoded = base64.urlsafe_b64encode(what.encode(errors="surrogateescape"))
    return f"{search}.{encoded.decode().rstrip('=')}"


def untoken(word: str) -> tuple[str, str]:
    """Return the search and the case of a token. Raises UsageError for any other word."""
    search, _, what = word.partition(".")
    with contextlib.suppress(ValueError):
        return search, base64.urlsafe_b64decode(what + "=" * (-len(what) % 4)).decode(
            errors="surrogateescape"
        )
    raise UsageError(f"{word} is not the token of a counterexample: copy it whole")


def _database() -> DirectoryBasedExampleDatabase:
    """Return the database of failed examples, which are tried first next time."""
    return DirectoryBasedExampleDatabase(state_home() / "examples")
