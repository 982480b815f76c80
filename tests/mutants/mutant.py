"""The type of a mutant, and the honest runner that most of them spoil."""

from __future__ import annotations

import inspect
import io
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from unittest import mock

from harness.engines import Engine
from harness.engines.local.engine import LocalEngine
from harness.inside import tarpipe
from harness.inside.folder_event import FolderEvent
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.inside.store import EVENT_SECONDS, Katas
from harness.katas.places import FOLDER, TemporaryKatas
from harness.runners.base import BaseRunner
from harness.runners.claims import EVERYTHING, Property
from harness.runners.event import TestEvent
from harness.runners.variant import Variant
from harness.verify.proofs import Subject
from harness.verify.proofs.shared import waiting
from harness.verify.proofs.shared.search import token


class HonestEvent(FolderEvent):
    """A test event whose tree is staged correctly."""


class HonestKatas(TemporaryKatas):
    """Katas in a folder, in this process, where a mutant can reach them."""

    event_kind: ClassVar[type[FolderEvent]] = HonestEvent

    def __init__(self, place: str | Path | None = None) -> None:
        """Open katas in a folder, or in a temporary one that is removed with them."""
        self._stays = place is not None
        if place is None:
            super().__init__()
        else:
            FolderKatas.__init__(self, place)

    def close(self) -> None:
        if not self._stays:
            super().close()

    def event(
        self,
        avatar: Avatar,
        kind: Callable[..., FolderEvent] | None = None,
        *,
        seconds: float = EVENT_SECONDS,
    ) -> FolderEvent:
        return super().event(avatar, kind or self.event_kind, seconds=seconds)


class Honest(BaseRunner):
    """A correct two-way tar-pipe: a proof that refutes it is itself wrong."""

    name = "honest"
    katas_in = FOLDER
    katas_kind: ClassVar[type[HonestKatas]] = HonestKatas

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
        return cls.katas_kind(place)

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        return EVERYTHING

    def play(self, event: TestEvent) -> None:
        event.save("1st")
        event.start()
        with event.phase("pipe_in", "2nd"):
            self.pipe_in(event)
        if self.ran(event):
            with event.phase("pipe_out", "3rd"):
                self.pipe_out(event)
            event.commit("4th")

    def ran(self, event: TestEvent) -> bool:
        return event.run()

    def pipe_in(self, event: TestEvent) -> None:
        event.sandbox.unpack(event.katas.pack)

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(event.sandbox.pack())


@dataclass(frozen=True)
class Mutant:
    """One mistake."""

    name: str
    kind: type[BaseRunner]
    # A property whose proof must refute it, the cheapest one.
    killer: Property
    engine: Callable[[Path], Engine] = LocalEngine
    engine_name: str = "local"
    # Replaces the docstring of `kind`.
    history: str = ""
    # Returns why it cannot be tried here.
    needs: Callable[[], str] = lambda: ""
    # Whether to try all properties, to see that only the killer kills it, or just the cheap ones.
    whole: bool = False
    # Seconds to wait for what must disappear, if the mistake is that it stays.
    patience: float | None = None
    # The search that finds it, and the only case that has to be tried there.
    case: tuple[str, str] | None = None

    @property
    def words(self) -> str:
        """Return the mistake and its history, in one line."""
        return " ".join((self.history or inspect.getdoc(self.kind) or "").split())

    @property
    def replay(self) -> str | None:
        """Return what `examine` takes to play only the case that kills it."""
        return self.case and token(*self.case)

    @contextmanager
    def subject(self, home: Path) -> Iterator[Subject]:
        """Open the mutant, ready to be examined; `home` is for a local engine."""
        patience = waiting.PATIENCE if self.patience is None else self.patience
        with closing(self.engine(home)) as engine, mock.patch.object(waiting, "PATIENCE", patience):
            yield Subject(Variant.of(self.kind), engine, self.engine_name)


def repacked(chunks: Iterable[bytes], pack: Callable[[str], bytes]) -> Iterator[bytes]:
    """Yield a tar stream as `pack` packs it again: it gets the folder, and returns a stream."""
    with tempfile.TemporaryDirectory() as folder:
        tarpipe.unpack(folder, chunks)
        stream = io.BytesIO(pack(folder))
    yield from tarpipe.read_chunks(stream)


def by(*command: str) -> Callable[[str], bytes]:
    """Return a function that packs a folder by this command, which runs in the folder."""
    return lambda folder: (
        subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    )
