"""Sessions of test events in layers, against the same in one plain folder: what the layers show is
what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from harness.engines.local.mounts import own_mounts
from harness.engines.overlays import overlay_options
from harness.engines.spec import Overlay
from harness.inside import journal
from harness.inside.delta import Delta
from harness.inside.folder_event import FolderEvent
from harness.inside.layered_event import LayeredEvent
from harness.inside.layout import SANDBOX
from harness.inside.tree import Entry
from tests.events import acceptance, save
from tests.inside.kernel import Deed, Kernel
from tests.inside.mounted import needs_overlays
from tests.support import on_disk

pytestmark = needs_overlays

VISIBLE = ("a", "d/b", "d/e/c")
PATHS = (*VISIBLE, "d", "d/e", "m", "n", "n/x", "n/y")

ACCEPTED, THROWN_AWAY, DIED, DECIDED = "accepted", "thrown away", "died", "died once it was decided"


@dataclass(frozen=True)
class Press:
    """One test event."""

    files: dict[str, str]
    deeds: Sequence[Deed]
    end: str
    then_settle: bool


deeds = st.one_of(
    st.tuples(st.sampled_from(["write", "append"]), st.sampled_from(PATHS), st.sampled_from("123")),
    st.tuples(
        st.sampled_from(["remove", "folder", "close", "open", "future", "pipe"]),
        st.sampled_from(PATHS),
        st.just(""),
    ),
    st.tuples(
        st.sampled_from(["rename", "link", "symlink"]),
        st.sampled_from(PATHS),
        st.sampled_from(PATHS),
    ),
)
presses = st.builds(
    Press,
    files=st.dictionaries(st.sampled_from(VISIBLE), st.sampled_from("12"), min_size=1),
    deeds=st.lists(deeds, max_size=5),
    end=st.sampled_from([ACCEPTED] * 5 + [THROWN_AWAY, DIED, DECIDED]),
    then_settle=st.sampled_from([False] * 6 + [True]),
)
sessions = st.lists(presses, min_size=1, max_size=12)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel(own_mounts()) as kernel:
        yield kernel


@settings(on_disk)
@given(sessions, st.sampled_from([2, 3, 10]))
def test_layers_show_what_a_plain_folder_holds(
    kernel: Kernel, session: list[Press], depth: int
) -> None:
    """Kinds, contents, modes and hard links of all, and the stamps of whatever did not change."""
    for press in session:
        event(press.end)
    compare(session, depth, kernel)


def compare(session: list[Press], depth: int, kernel: Kernel) -> None:
    with TemporaryDirectory() as root:
        layers, plain = Player(Path(root) / "layers", kernel), Player(Path(root) / "plain", kernel)
        before = (layers.tree(depth), plain.tree(depth))
        for press in session:
            met = layers.press(press, depth)
            if press.end in (ACCEPTED, DECIDED):
                there = plain.press_in_place(press, met)
                assert met == there, f"{met} is not {there}"
            if press.then_settle:
                FolderEvent(layers.folder).close()
            after = (layers.tree(depth), plain.tree(depth))
            found = differences(
                *({path: timeless(each) for path, each in tree.items()} for tree in after)
            )
            assert not found, str(found)
            same = {path for path, each in after[1].items() if before[1].get(path) == each}
            found = differences(
                *({path: tree[0][path] for path in same} for tree in (before, after))
            )
            assert not found, str(found)
            before = after


def differences(one: Mapping[bytes, object], other: Mapping[bytes, object]) -> dict[bytes, object]:
    return {
        path: (one.get(path), other.get(path))
        for path in sorted({*one, *other})
        if one.get(path) != other.get(path)
    }


def timeless(entry: Entry) -> tuple[str, int, bytes, str, bytes]:
    return entry.kind, entry.mode, entry.target, entry.digest, entry.link


class Player:
    """One avatar."""

    def __init__(self, folder: Path, kernel: Kernel) -> None:
        self.folder, self._kernel = folder / "01" / "lion", kernel
        self._merged = folder / "merged"
        self._merged.mkdir(parents=True)

    def press(self, press: Press, depth: int) -> tuple[list[str], Delta]:
        """With layers."""
        event = LayeredEvent(self.folder, depth=depth)
        try:
            stack = event.stack(None)
            comparison = save(event, press.files)
            options = overlay_options(
                str(self.folder), Overlay("", stack.lower, stack.upper, stack.work)
            )
            met = self._kernel.do(str(self._merged), press.deeds, options)
            with pytest.MonkeyPatch.context() as patch:
                if press.end == DECIDED:
                    patch.setattr(journal, "recover", lambda avatar: None)
                if press.end in (ACCEPTED, DECIDED):
                    event.accept(acceptance(press.files, comparison))
        finally:
            if press.end in (ACCEPTED, THROWN_AWAY):
                event.close()
            else:
                event.lock.close()
        return met, comparison.delta

    def press_in_place(self, press: Press, met: tuple[list[str], Delta]) -> tuple[list[str], Delta]:
        """As katas-volume does it."""
        with closing(FolderEvent(self.folder)) as event:
            comparison = save(event, press.files)
            found = self._kernel.do(str(self.folder / SANDBOX), press.deeds, like=met[0])
            event.accept(acceptance(press.files, comparison))
        return found, comparison.delta

    def tree(self, depth: int) -> dict[bytes, Entry]:
        with closing(LayeredEvent(self.folder, depth=depth)) as event:
            return event.snapshot(contents=True)
