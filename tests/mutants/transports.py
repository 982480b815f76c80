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
    """Pipe the katas' sandbox into the run-container, packed by another program."""
    stream: list[bytes] = []
    event.katas.pack(stream.append)
    chunks = list(repacked(stream, pack))
    event.sandbox.unpack(lambda write: [write(chunk) for chunk in chunks])


class DefaultFormatIn(Honest):
    """tar's default format is used into the container, as `tar -cf -` does.

    Stamps are cut to whole seconds: what was built in the second of an edit looks as old as the
    edit, or older. The notes' own script had it in both directions.
    """

    name = "default-format-in"

    def pipe_in(self, event: TestEvent) -> None:
        pipe_in(event, DEFAULT)


class DefaultFormatOut(Honest):
    """tar's default format is used out of the container.

    After a build, an edit in the same second and another build, make says "up to date", and the old
    program runs for ever: 11 of 12 times, with an edit 100 ms later.
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
    """Python's tarfile is used, which writes PAX stamps from a float.

    Stamps come back 73 to 106 ns off. Two runs without an edit look right, since make does not
    care; how far a stamp drifts with each run is not known.
    """

    name = "python-tarfile"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(repacked(event.sandbox.pack(), python_tar))


class BusyboxTar(Honest):
    """busybox tar is in the image, as on Alpine: stamps are whole seconds, whatever tar reads."""

    name = "busybox-tar"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(
            repacked(event.sandbox.pack(), by("busybox", "tar", "-c", "-f", "-", "."))
        )


def no_busybox() -> str:
    return "" if shutil.which("busybox") else "busybox is not installed"


class DependenciesLeft(Honest):
    """`.d` files do not come back, as if a build did not need them.

    The next build does not know which headers its objects depend on, and misses an edited header.
    """

    name = "dependencies-left"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(repacked(event.sandbox.pack(), by(*tarpipe.PACK, "--exclude=*.d", ".")))


class CutTakenAsWhole(Honest):
    """A stream that is cut between two members is taken for whole.

    Every tar exits with 0 there. Without an end marker of one's own, half a tree is accepted.
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
    """Return the members that came whole, with an end that was never sent."""
    end = 0
    with (
        contextlib.suppress(tarfile.TarError),
        tarfile.open(fileobj=io.BytesIO(archive)) as members,
    ):
        for member in members:
            blocks = -(-member.size // tarfile.BLOCKSIZE) if member.isreg() else 0
            size = blocks * tarfile.BLOCKSIZE
            if member.offset_data + size > len(archive):
                break
            end = member.offset_data + size
    return archive[:end] + bytes(2 * tarfile.BLOCKSIZE)


class DockerArchive(Honest):
    """`docker cp`, or the engine's get_archive, is the transport.

    Since 2018 the engine cuts stamps to whole seconds on purpose; dates before 1970 become 0.
    """

    name = "docker-archive"

    def pipe_out(self, event: TestEvent) -> None:
        event.katas.stage(through_a_container(event.sandbox.pack()))


def through_a_container(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the tree after putting it into a container that never starts, and reading it back."""
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
