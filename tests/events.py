"""Test events without an engine: what a run does to the sandbox is a function of the test's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness.engines.local.engine import LocalEngine
from harness.inside import tarpipe
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.inside.saving import SavedFile
from harness.inside.store import Acceptance, Event, Increment, Katas, SendPlan
from harness.inside.tree import Entry
from harness.katas import commits
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.katas.volume_katas import VolumeKatas

LION, SPIDER = Avatar("4A6C1FBFE1", "lion"), Avatar("4A6C1FBFE1", "spider")

Files = Mapping[str, str | bytes] | VisibleFiles
Run = Callable[[Path], object]

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="there is no git here")


def git(history: Path | str, *words: str) -> str:
    """What the real git says of a history; it must succeed."""
    command = [
        "git",
        f"--git-dir={history}",
        "-c",
        "safe.directory=*",
        "-c",
        "core.quotePath=false",
        *words,
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="surrogateescape")


def visible(files: Files) -> VisibleFiles:
    return files if isinstance(files, VisibleFiles) else VisibleFiles(files)


def to_save(name: bytes, file: VisibleFile) -> SavedFile:
    return SavedFile(name, file.mode, file.blob, file.age, file.pieces())


def save(event: Event, files: Files) -> SendPlan:
    """The first step of a test event: what changed is copied into the katas."""
    sent = visible(files)
    comparison = event.compare(sent.manifest())
    delta = comparison.delta
    event.save([to_save(name, sent[name]) for name in delta.written], delta, owner=None)
    return comparison


def packed(event: Event) -> list[bytes]:
    chunks: list[bytes] = []
    event.pack(chunks.append)
    return chunks


def stage(event: Event, run: Run) -> None:
    """The tree goes out, the run changes it, and it comes back beside the sandbox."""
    with TemporaryDirectory(prefix="harness-test-") as folder:
        tarpipe.unpack(folder, packed(event))
        run(Path(folder))
        event.stage(chunks_of(folder))


def chunks_of(folder: str | Path) -> Iterator[bytes]:
    chunks: list[bytes] = []
    tarpipe.pack(str(folder), chunks.append)
    return iter(chunks)


def acceptance(
    files: Files, comparison: SendPlan, *, stdout: bytes = b"", seconds: int = 1
) -> Acceptance:
    increment = Increment(comparison.tag + 1, "2016-11-01T12:00:00.000+00:00", "completed", 0)
    return commits.build_commit(
        visible(files), comparison, stdout=stdout, stderr=b"", increment=increment, seconds=seconds
    )


def play(
    katas: Katas,
    avatar: Avatar,
    files: Files,
    run: Run | None = None,
    *,
    stdout: bytes = b"",
    durable: bool = False,
) -> SendPlan:
    """A whole test event, accepted; without a run nothing is piped back."""
    with closing(katas.event(avatar, durable=durable)) as event:
        comparison = save(event, files)
        if run:
            stage(event, run)
        event.accept(acceptance(files, comparison, stdout=stdout))
    return comparison


def time_out(katas: Katas, avatar: Avatar, files: Files) -> SendPlan:
    """A test event that is not accepted: the visible files were copied in, and that is all."""
    with closing(katas.event(avatar)) as event:
        return save(event, files)


def tree(katas: Katas, avatar: Avatar = LION) -> Mapping[bytes, Entry]:
    """The avatar's sandbox, contents included."""
    with closing(katas.event(avatar)) as event:
        return event.snapshot(contents=True)


def holds(katas: Katas, avatar: Avatar = LION) -> set[str]:
    """The names of what is in the avatar's sandbox."""
    return {path.decode() for path in tree(katas, avatar)} - {"."}


@contextmanager
def opened(kind: str, home: Path) -> Iterator[Katas]:
    """Empty katas: in a "folder", or in a "volume" of the local engine's, behind keepers."""
    if kind == "folder":
        yield FolderKatas(folder_of(kind, home))
        return
    if not sys.executable:
        pytest.skip("there is no Python that this user may run")
    with (
        closing(LocalEngine(home, bubblewrap=False)) as engine,
        closing(VolumeKatas(engine, "katas")) as katas,
    ):
        yield katas


def settle(katas: Katas) -> None:
    """Until every keeper has cleaned up after its last test event, which nobody else waits for."""
    for link in katas.idle if isinstance(katas, VolumeKatas) else ():
        link.settle()


def folder_of(kind: str, home: Path) -> Path:
    """Where such katas lie on this disk."""
    return home / "katas" if kind == "folder" else home / "volumes" / "katas" / "katas"
