"""The proof that a test event is accepted whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.engines import Engine
from harness.inside import folder_katas, increments, objects, tarpipe
from harness.inside.changes import Changes
from harness.inside.folder_event import FolderEvent
from harness.inside.store import Acceptance, Katas
from harness.katas.places import open_folder_katas
from harness.runners.claims import Property
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.run import Run
from harness.runners.tmp import Tmp
from harness.verify.proofs import Status
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    """Whatever dies at whatever moment, the harness itself included."""
    found = examined(runner, Property.ATOMIC)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples >= 14


@on_bubblewrap
def test_a_volume_mount_is_left_half_done(examined: Examine) -> None:
    """By one fault, which the token plants again."""
    found = examined("katas-volume", Property.ATOMIC)
    assert found.counterexample is not None
    assert "the test event was not accepted, but 'product' differs" in found.counterexample.words
    again = examined("katas-volume", Property.ATOMIC, replay=found.counterexample.token)
    assert again.counterexample is not None
    assert again.counterexample.token == found.counterexample.token


@contextmanager
def events_are(kind: type[FolderEvent]) -> Iterator[None]:
    """Of katas in a folder, in this process or the one that plays for it."""
    folder_katas.FolderEvent = kind  # type: ignore[misc]
    try:
        yield
    finally:
        folder_katas.FolderEvent = FolderEvent  # type: ignore[misc]


class ExtractsInPlace(FolderEvent):
    """The mistake: what comes back is unpacked over what is there, with no folder beside it."""

    def stage(self, chunks: Iterable[bytes]) -> int:
        return tarpipe.unpack(self._sandbox, chunks)


class WithoutAStage(KatasDataContainer):
    """Whose katas are in a folder, where this test can reach them."""

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
        return open_folder_katas(place)

    def run(self, *arguments: object, **options: object) -> Run:  # type: ignore[override]
        with events_are(ExtractsInPlace):
            return super().run(*arguments, **options)  # type: ignore[arg-type]


@on_plain_processes
def test_an_extraction_over_the_old_tree(examined: Examine) -> None:
    """No fault is needed: a folder does not take the place of a file. The token searches anew."""
    found = examined(WithoutAStage, Property.ATOMIC)
    assert found.counterexample is not None
    assert "a test event was faulty: tar could not unpack" in found.counterexample.words
    again = examined(WithoutAStage, Property.ATOMIC, replay=found.counterexample.token)
    assert again.status is Status.REFUTED


class CommitsInPlace(FolderEvent):
    """The mistake: nothing is written down before it is carried out."""

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
        for name, content in acceptance.objects:
            objects.write_object(os.path.join(str(self._folder), ".git"), name, content)
        history = self._folder / ".git"
        tag = str(acceptance.increment.tag)
        (history / "refs" / "tags" / tag).write_text(f"{acceptance.commit}\n")
        (history / "refs" / "heads" / "main").write_text(f"{acceptance.commit}\n")
        increments.add(
            str(self._folder.parent / "increments.json"),
            self._folder.name,
            {**acceptance.increment.__dict__},
        )


class WithoutAJournal(Tmp):
    """Whose katas are accepted step by step."""

    def run(self, *arguments: object, **options: object) -> Run:  # type: ignore[override]
        with events_are(CommitsInPlace):
            return super().run(*arguments, **options)  # type: ignore[arg-type]


@on_plain_processes
def test_an_acceptance_in_several_steps(examined: Examine) -> None:
    """A harness that is killed between two of them leaves a tag that increments.json does not
    know.
    """
    found = examined(WithoutAJournal, Property.ATOMIC)
    assert found.counterexample is not None
    assert found.counterexample.words.startswith("the harness is ")
    assert "increments.json" in found.counterexample.words or "head" in found.counterexample.words
