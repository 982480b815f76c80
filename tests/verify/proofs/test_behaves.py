"""The proof that a runner behaves as users of the original rely on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness import runners
from harness.engines import Engine, Execution
from harness.engines.guest import command_line
from harness.inside.errors import EngineError
from harness.inside.layout import Avatar
from harness.inside.store import Katas
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.event import TestEvent
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.run import Outcome, Run
from harness.runners.tmp import Tmp
from harness.verify.proofs import PROFILES, Status
from harness.verify.proofs.behaves import BOMBS, CASES, PRINTS, neighbours, words
from tests.support import make_runner
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@pytest.mark.parametrize(
    ("shared_engine", "kind"),
    [
        *(("local", kind) for kind in runners.BUILT_IN if kind.name not in runners.NOTES_NAMES),
        *(("local-plain", kind) for kind in runners.BUILT_IN if kind.name in runners.NOTES_NAMES),
    ],
    indirect=["shared_engine"],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_runner_is_proved(
    kind: type[BaseRunner], examined: Examine, shared_engine: Engine
) -> None:
    """Those of the notes are proved with bubblewrap by `harness verify`. What a runner does not
    claim to keep is not asked of it, nor bombs where nothing isolates.
    """
    try:
        make_runner(kind.name, shared_engine).close()
    except EngineError as error:
        pytest.skip(str(error))
    found = examined(kind, Property.BEHAVES)
    assert (found.counterexample, found.reason) == (None, "")
    assert found.status is Status.PROVED
    asked = sum(needed is None or kind is not Tmp for needed in CASES.values())
    assert found.examples == asked + round(len(PRINTS) * PROFILES["ci"].factor) + (
        len(BOMBS) if shared_engine.isolates else 0
    )


class ReadsAKillAsATimeOut(Tmp):
    """The mistake: the container's exit status 137 was taken for the limit's doing."""

    def play(self, event: TestEvent) -> None:
        execute = event.sandbox.execute

        def misread(*asked: Any) -> Execution:
            execution = execute(*asked)
            return (
                replace(execution, timed_out=True, status=None)
                if execution.status == 137
                else execution
            )

        event.sandbox.execute = misread  # type: ignore[method-assign]
        super().play(event)


class KeepsWhatTimedOut(KatasDataContainer):
    """The mistake: what a run did until its limit was thought worth keeping."""

    def run(
        self,
        avatar: Avatar,
        files: VisibleFiles | Mapping[str, str | bytes],
        *,
        max_seconds: float = 10.0,
    ) -> Run:
        run = super().run(avatar, files, max_seconds=max_seconds)
        if run.outcome is Outcome.TIMED_OUT:
            super().run(avatar, {"cyber-dojo.sh": "#!/bin/sh\necho 2 >made"})
        return run


@on_plain_processes
@pytest.mark.parametrize(
    ("runner", "case", "said"),
    [
        (ReadsAKillAsATimeOut, "completes", "a test event was timed_out"),
        (KeepsWhatTimedOut, "endless", "the next had the tag 3"),
    ],
)
def test_a_wrong_runner_is_found_out(
    runner: type[Tmp] | type[KatasDataContainer], case: str, said: str, examined: Examine
) -> None:
    """By the case that is about its mistake, in that case's words; and its token shows it again."""
    found = examined(runner, Property.BEHAVES)
    assert found.counterexample is not None
    about = next(words(each) for each in CASES if each.__name__ == case)
    assert found.counterexample.words.startswith(f"{about}: {said}")
    again = examined(runner, Property.BEHAVES, replay=found.counterexample.token)
    assert (again.counterexample, again.examples) == (found.counterexample, 1)


class SharesAndDoesNotSaySo(KatasDataContainer):
    """The mistake: a team's data-container is mounted, which holds the team mates' files, too."""

    SHARED: ClassVar[Mapping[str, str]] = {"granularity": "kata", "pipe": "none"}

    def __init__(self, engine: Engine, katas: Katas, **arguments: Any) -> None:
        super().__init__(engine, katas, **self.SHARED, **arguments)

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
        return super().open_katas(engine, place, **cls.SHARED)

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        return super().claims(cls.SHARED) | {Property.ISOLATED}


@on_bubblewrap
def test_a_team_mate_s_file_that_can_be_read_is_found_out(examined: Examine) -> None:
    """The case about neighbours reads what is there to be read."""
    found = examined(SharesAndDoesNotSaySo, Property.BEHAVES)
    assert found.counterexample is not None
    assert found.counterexample.words.startswith(f"{words(neighbours)}: it printed 'the first")


@on_plain_processes
def test_stamps_in_whole_seconds_are_found_out(
    examined: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two test events with no change."""
    default = [each for each in command_line.PACK if "format" not in each and "pax" not in each]
    monkeypatch.setattr(command_line, "PACK", default)
    found = examined("katas-data-container", Property.BEHAVES)
    assert found.counterexample is not None
    assert found.counterexample.words.startswith("After two test events without a change")


def test_every_case_says_what_must_be_true() -> None:
    """In one sentence of its own, which names it."""
    said = [words(case) for case in CASES]
    assert all(said)
    assert len(set(said)) == len(said)
