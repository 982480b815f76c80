"""The proof that an incremental build is one from nothing, and its oracle."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runners.claims import Property
from harness.runners.event import TestEvent
from harness.runners.katas_data_container import KatasDataContainer
from harness.verify.proofs import Status
from harness.verify.proofs.incremental_equals_full import GCC_SESSION
from harness.verify.proofs.shared.c_project import (
    EDITS,
    GCC,
    SCRIPT,
    Project,
    ProjectEdit,
    needs,
    sources,
    visible,
)
from harness.verify.testing.planting import scratch_folder
from tests.support import on_disk
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.INCREMENTAL)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples >= 4, "a session with gcc among them"


@on_bubblewrap
def test_tmp_compiles_everything_again(examined: Examine) -> None:
    """Though nothing was edited; and its token shows it again."""
    found = examined("tmp", Property.INCREMENTAL)
    assert found.counterexample is not None
    assert found.counterexample.words.endswith(
        "compiled again, and nothing that is included was edited"
    )
    again = examined("tmp", Property.INCREMENTAL, replay=found.counterexample.token)
    assert (again.counterexample, again.examples) == (found.counterexample, 1)


class LeavesDependenciesBehind(KatasDataContainer):
    """The mistake: only objects and programs were thought worth keeping, and an edit of a header is
    missed.
    """

    def play(self, event: TestEvent) -> None:
        pack = event.sandbox.pack

        def pack_without() -> object:
            event.sandbox.execute("find . -name '*.d' -delete", 10)
            return pack()

        event.sandbox.pack = pack_without  # type: ignore[method-assign, assignment]
        super().play(event)


class StampsAnew(KatasDataContainer):
    """The mistake: everything that goes in is stamped with now, sources and objects as they
    come.
    """

    def play(self, event: TestEvent) -> None:
        run = event.run

        def run_stamped() -> bool:
            event.sandbox.execute("find . -name '*.[ch]' -exec touch {} +", 10)
            return run()

        event.run = run_stamped  # type: ignore[method-assign]
        super().play(event)


@on_plain_processes
@pytest.mark.parametrize(
    ("runner", "words"),
    [
        (LeavesDependenciesBehind, "not compiled again"),
        (StampsAnew, "nothing that is included was edited"),
    ],
)
def test_a_wrong_runner_is_found_out(
    runner: type[KatasDataContainer], words: str, examined: Examine
) -> None:
    """By the first test event that compiled too little or too much."""
    found = examined(runner, Property.INCREMENTAL)
    assert found.counterexample is not None
    assert (
        words in found.counterexample.words or "a build from nothing" in found.counterexample.words
    )


def built(project: Project, compiler: bytes) -> subprocess.CompletedProcess[str]:
    """From nothing, here."""
    with scratch_folder() as folder:
        visible(project.files(), compiler, hang=False).write(folder)
        return subprocess.run(
            ["./cyber-dojo.sh"], cwd=folder, capture_output=True, text=True, check=False
        )


def edited(session: Sequence[Sequence[ProjectEdit]]) -> Project:
    project = Project()
    for edits in session:
        for each in edits:
            project, _ = each.apply(project)
    return project


def check_output(session: Sequence[Sequence[ProjectEdit]], compiler: bytes) -> None:
    project = edited(session)
    build, expected = built(project, compiler), project.output()
    assert (build.returncode == 0) == (expected is not None), build.stderr
    assert build.stdout == (expected or "")
    missing = [
        source for source in sources(project.files()) if needs(project.files(), source) is None
    ]
    assert bool(missing) == (expected is None)


@on_disk
@given(st.lists(EDITS, max_size=4))
def test_the_oracle_knows_what_a_build_from_nothing_prints(
    session: list[list[ProjectEdit]],
) -> None:
    """Or that it fails, whatever was edited; and then it is for an include of what is not there."""
    check_output(session, SCRIPT)


@settings(on_disk, max_examples=3)
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_gcc_builds_the_same(session: list[list[ProjectEdit]]) -> None:
    check_output(session, GCC)


def test_the_session_with_gcc_has_all_kinds_of_edit() -> None:
    """Each of them fits, a build fails in the middle, and the last one succeeds."""
    outputs = []
    for end in range(1, len(GCC_SESSION) + 1):
        before, after = edited(GCC_SESSION[: end - 1]), edited(GCC_SESSION[:end])
        assert (before != after) == bool(GCC_SESSION[end - 1])
        outputs.append(after.output())
    assert [output is None for output in outputs] == [False, False, False, False, True, False]
