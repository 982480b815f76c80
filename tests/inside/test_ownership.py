"""Whose a sandbox is: its own folder says whether everything in it was handed over."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from harness.inside import ownership
from harness.inside.changes import Changes, Folder
from harness.inside.descent import descend
from harness.inside.folder_event import FolderEvent
from harness.inside.layout import SANDBOX
from tests.children import killed_before
from tests.events import acceptance, chunks_of, to_save, visible

PLAYER = (65534, 65534)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "katas" / "01" / "23456789" / "lion"


def save(folder: Path, files: Mapping[str, str], owner: tuple[int, int] | None) -> None:
    """Begin a test event, as one that mounts the sandbox if there is an owner, and end it there."""
    sent = visible(files)
    with closing(FolderEvent(folder)) as event:
        delta = event.compare(sent.manifest()).delta
        event.save([to_save(name, sent[name]) for name in delta.written], delta, owner=owner)


def bring(folder: Path) -> None:
    """Accept a test event of which only what its run made comes back."""
    with closing(FolderEvent(folder)) as event:
        comparison = event.compare(visible({"a": "1"}).manifest())
        made = folder.parent / "made"
        (made / "new").mkdir(parents=True, exist_ok=True)
        (made / "new" / "product").write_text("x")
        event.stage(chunks_of(made))
        changes = Changes(
            gone=(), brought=(b"new/product",), folders=(Folder(b"new", 0o755, 10**18),)
        )
        event.accept(acceptance({"a": "1"}, comparison), changes)


CHANGES: Mapping[str, Callable[[Path], None]] = {
    "sent": lambda folder: save(folder, {"a": "1", "new/b": "1"}, None),
    "sent to be mounted": lambda folder: save(folder, {"a": "1", "new/b": "1"}, PLAYER),
    "brought back": bring,
}


def owners(folder: Path) -> dict[bytes, int]:
    return {met.path: met.status.st_uid for met in descend(folder / SANDBOX)}


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_changed_the_tree_the_next_run_that_mounts_it_owns_it(
    folder: Path, change: str
) -> None:
    save(folder, {"a": "1"}, PLAYER)
    CHANGES[change](folder)
    save(folder, {"a": "2", "new/b": "1"}, PLAYER)
    assert set(owners(folder)) > {b"a", b"new"}
    assert set(owners(folder).values()) == {PLAYER[0]}


@pytest.mark.parametrize("change", CHANGES)
def test_wherever_it_died(folder: Path, change: str) -> None:
    """At any of its steps."""
    for step in itertools.count():
        save(folder, {"a": "1"}, PLAYER)
        killed = killed_before(step, lambda: CHANGES[change](folder))
        save(folder, {"a": "2", "new/b": "1"}, PLAYER)
        assert set(owners(folder).values()) == {PLAYER[0]}, step
        if not killed:
            break
        with closing(FolderEvent(folder)) as event:
            event.start_afresh()
    assert step > 5


def test_a_tree_that_was_handed_over_is_not_looked_through(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what an ordinary press finds."""
    save(folder, {"a": "1", "b/c": "1"}, PLAYER)
    monkeypatch.setattr(ownership, "hand_over", None)
    save(folder, {"a": "2", "d/e": "1"}, PLAYER)
    assert set(owners(folder).values()) == {PLAYER[0]}
