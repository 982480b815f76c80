"""A test event of an avatar in a volume: its keeper plays it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Concatenate, ParamSpec

from harness.inside import tarpipe, wire
from harness.inside.changes import Changes
from harness.inside.delta import Delta, Stamped
from harness.inside.errors import HarnessError
from harness.inside.journal import pack_changes
from harness.inside.keeper import (
    COPY_EVENT,
    LAYERED_EVENT,
    PLAIN_EVENT,
    Keeper,
)
from harness.inside.layered_event import Stack
from harness.inside.saving import SavedFile
from harness.inside.store import Acceptance, Held, SendPlan
from harness.inside.tree import Entry
from harness.inside.usage import DiskUsage
from harness.katas.keeper_link import KeeperLink

_P = ParamSpec("_P")


class VolumeEvent:
    """One test event of an avatar in a volume.

    `Event` in `harness.inside.store` describes its methods.
    """

    keeper_kind: ClassVar[str] = PLAIN_EVENT
    """What a keeper calls it."""

    def __init__(self, link: KeeperLink, give_back: Any, roots: tuple[int, ...] = ()) -> None:
        self._give_back, self._roots = give_back, roots
        self.link = link
        """The keeper that plays it."""

    @property
    def roots(self) -> tuple[int, ...]:
        return self._roots

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        return wire.unpack_send_plan(
            self.link.call(Keeper.do_compare, manifest=wire.pack_manifest(manifest))
        )

    def start_afresh(self) -> None:
        self.link.call(Keeper.do_start_afresh)

    def save(
        self,
        files: Iterable[SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        self.link.send_stream(
            wire.pack_files(files), Keeper.do_save, delta=wire.pack_delta(delta), owner=owner
        )

    def hold(self) -> Held:
        return wire.unpack_held(self.link.call(Keeper.do_hold))

    def resume(
        self,
        mark: str,
        files: Iterable[SavedFile],
        delta: Delta,
        *,
        latest: int,
    ) -> bool:
        resumed: bool = self.link.send_stream(
            wire.pack_files(files),
            Keeper.do_resume,
            mark=mark,
            delta=wire.pack_delta(delta),
            latest=latest,
        )
        return resumed

    def pack(self, write: tarpipe.Write, paths: Sequence[bytes] | None = None) -> int:
        names = None if paths is None else wire.pack_names(list(paths))
        return self.link.receive_stream(write, Keeper.do_pack, paths=names)

    def digests(self, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
        digests = self.link.call(
            Keeper.do_digests, paths=wire.pack_names(list(sizes)), sizes=list(sizes.values())
        )
        return {path: digest for path, digest in zip(sizes, digests, strict=True) if digest}

    def stage(self, chunks: Iterable[bytes]) -> int:
        count: int = self.link.send_stream(chunks, Keeper.do_stage)
        return count

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
        pieces = (name.encode() + content for name, content in acceptance.objects)
        self.link.send_stream(
            pieces,
            Keeper.do_accept,
            commit=acceptance.commit,
            increment=asdict(acceptance.increment),
            changes=None if changes is None else pack_changes(changes),
            mounted=mounted,
        )

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        return wire.unpack_snapshot(self.link.call(Keeper.do_snapshot, contents=contents))

    def usage(self) -> DiskUsage:
        return DiskUsage(**self.link.call(Keeper.do_weigh))

    def _with_roots(
        self, request: Callable[Concatenate[Keeper, _P], Any], /, *none: _P.args, **named: _P.kwargs
    ) -> tuple[Any, tuple[int, ...]]:
        answer, roots = self.link.call(request, *none, **named)
        return answer, tuple(roots)

    def close(self) -> None:
        # Do not wait: the keeper removes the old tree while the player reads the output. Whoever
        # wants a keeper meanwhile takes another.
        if not self.link.broken:
            with contextlib.suppress(HarnessError):
                self.link.call_later(Keeper.do_close)
        self._give_back(self.link)


class VolumeCopyEvent(VolumeEvent):
    """A test event in a copy of the sandbox; see CopyEvent."""

    keeper_kind = COPY_EVENT

    def place(self) -> str:
        """Make the folder for the copy."""
        folder: str
        folder, self._roots = self._with_roots(Keeper.do_place)
        return folder

    def copy(self, owner: tuple[int, int] | None) -> None:
        """Fill the copy."""
        self.link.call(Keeper.do_copy, owner=owner)


class VolumeLayeredEvent(VolumeEvent):
    """A test event in a layer of its own; see LayeredEvent."""

    keeper_kind = LAYERED_EVENT

    def stack(self, owner: tuple[int, int] | None) -> Stack:
        """Make the layer of the test event."""
        stack, self._roots = self._with_roots(Keeper.do_stack, owner=owner)
        return Stack(tuple(stack["lower"]), stack["upper"], stack["work"])
