"""Mistakes in how a tree is carried."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images import RUN_IMAGE
from harness.engines.owner import OWNER_LABEL, Owner
from harness.inside import tarpipe
from harness.inside.disk import remove_tree
from harness.inside.errors import HarnessError
from harness.runners.event import TestEvent
from tests.mutants.mutant import Honest, by, repacked

DEFAULT = by("tar", "--create", "--file=-", ".")


def pipe_in(event: TestEvent, pack: Callable[[str], bytes]) -> None:
    """The katas' sandbox into the run-container, packed by another program."""
    stream: list[bytes] = []
    event.katas.pack(stream.append)
    chunks = list(repacked(stream, pack))
    event.sandbox.unpack(lambda write: [write(chunk) for chunk in chunks])


class DefaultFormatIn(Honest):
    """tar's default format into the container, as `tar -cf -` gives it: stamps are cut to whole seconds, so that what was
    built in the second of an edit looks older than it is, or as old. The notes' own script had it in both directions.
    """

    name = "default-format-in"

    def pipe_in(self, event: TestEvent) -> None:
        pipe_in(event, DEFAULT)


class DefaultFormatOut(Honest):
    """tar's default format out of the container: after a build, an edit in the same second and a build, make says "up to
    date", and the old program runs for ever; 11 of 12 times when the edit came 100 ms later.
    """

    name = "default-format-out"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(repacked(event.sandbox.pack(), DEFAULT))


def python_tar(folder: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(folder, ".")
    return out.getvalue()


class PythonTarfile(Honest):
    """Python's tarfile, whose PAX headers are written from a float: stamps come back 73 to 106 ns off. Two runs with no edit
    between them look right, since make does not care; nothing says how many times the next one is off again.
    """

    name = "python-tarfile"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(repacked(event.sandbox.pack(), python_tar))


class BusyboxTar(Honest):
    """busybox tar in the image, as on Alpine: whole seconds, whatever tar is at the other end, and no option to change it."""

    name = "busybox-tar"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(
            repacked(event.sandbox.pack(), by("busybox", "tar", "-c", "-f", "-", "."))
        )


def no_busybox() -> str:
    return "" if shutil.which("busybox") else "busybox is not installed"


class DependenciesLeft(Honest):
    """`.d` files left behind, as by a pipe that takes "only what a build needs": the next build does not know which headers
    its objects depend on, and an edited header is missed.
    """

    name = "dependencies-left"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(repacked(event.sandbox.pack(), by(*tarpipe.PACK, "--exclude=*.d", ".")))


class CutTakenAsWhole(Honest):
    """A stream cut at a member boundary, taken as whole: every tar exits 0 there, and without a marker of its own at the end
    of the stream half a tree is accepted as the tree.
    """

    name = "cut-taken-as-whole"

    def pipe_out(self, event: TestEvent) -> None:
        archive = bytearray()
        try:
            for chunk in event.sandbox.pack():
                archive += chunk
        except HarnessError:
            archive = bytearray(whole_members(bytes(archive)))
        event.katas.stage([bytes(archive)])


def whole_members(archive: bytes) -> bytes:
    """The members that came whole, and an end that was never sent."""
    end = 0
    with (
        contextlib.suppress(tarfile.TarError),
        tarfile.open(fileobj=io.BytesIO(archive)) as members,
    ):
        for each in members:
            size = -(-each.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if each.isreg() else 0
            if each.offset_data + size > len(archive):
                break
            end = each.offset_data + size
    return archive[:end] + bytes(2 * tarfile.BLOCKSIZE)


class DockerArchive(Honest):
    """`docker cp`, or the engine's get_archive, as transport: the engine cuts stamps to whole seconds on purpose, since 2018,
    and turns dates before 1970 into 0.
    """

    name = "docker-archive"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(through_a_container(event.sandbox.pack()))


def through_a_container(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The tree, put into a container that is never started and got back from it."""
    with tempfile.TemporaryDirectory() as folder, closing(DockerEngine()) as engine:
        tree = Path(folder, "tree")
        tree.mkdir(mode=0o755)
        tarpipe.unpack(str(tree), chunks)
        whole: list[bytes] = []
        tarpipe.pack(folder, whole.append, what=("tree",))
        container = engine.api.create_container(
            RUN_IMAGE, "true", labels={OWNER_LABEL: str(Owner.current())}
        )["Id"]
        try:
            engine.api.put_archive(container, "/", b"".join(whole))
            archive = b"".join(engine.api.get_archive(container, "/tree")[0])
        finally:
            engine.api.remove_container(container, force=True)
        remove_tree(tree)
        subprocess.run(
            ["tar", "-xp", "--warning=no-timestamp", "-C", folder], input=archive, check=True
        )
        whole.clear()
        tarpipe.pack(str(tree), whole.append)
    yield from whole
