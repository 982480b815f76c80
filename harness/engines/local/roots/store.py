"""The cache of roots: the root file systems of images, each unpacked once and then only read.

It is in the user's cache folder. A root has the digest of its image for a name; the names of images
point to digests. A root appears whole, by a rename, and what a crash leaves has a name that
`harness clean` looks for. Processes that unpack take turns; one that uses a root holds a lock on
it, so that no other removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from harness.engines.docker.images.recipe import ReportProgress
from harness.engines.folders import Shelf
from harness.engines.local.bubblewrap import HOSTNAME, unshare
from harness.engines.local.roots.archive import (
    MOST_BYTES,
    MOST_NAMES,
    StoredImage,
    StoredLayer,
    is_variable,
    pump,
    sha256,
)
from harness.inside.disk import remove_tree
from harness.inside.errors import ImageError

ROOT, SETTINGS = "root", "image.json"
"""What the folder of an image holds: its root file system, and its settings."""

NAMES, LOCK = "names.json", "lock"
"""The file with the names of images, and the one that is locked by who writes to the cache."""

MOST_AT_TOP = 256
"""How many names the root folder of an image may hold, because a run mounts each by itself."""

HOSTS = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)
"""What Docker writes to /etc/hosts of a container without network."""


@dataclass(frozen=True)
class Root:
    """The root file system of an image, ready for runs."""

    digest: str
    """The digest of the image, "sha256:..."."""

    folder: Path
    """The root file system. Only read it."""

    variables: tuple[str, ...]
    """The variables of the image, each NAME=VALUE."""


@dataclass(frozen=True)
class NamedRoot:
    """What a name stands for."""

    digest: str
    """The digest of the image."""

    source: str = ""
    """Where it came from: the host of a Docker engine, or empty."""

    identity: str = ""
    """What that engine called it, so that a newer one is noticed."""

    recipe: str = ""
    """The digest of the recipe that it was made by, if the harness made it."""


def canonical(name: str) -> str:
    """Return the full name of an image, as Docker takes it.

    >>> canonical("gcc"), canonical("docker.io/library/gcc:13"), canonical("ghcr.io/me/it")
    ('gcc:latest', 'gcc:13', 'ghcr.io/me/it:latest')
    """
    for beginning in ("docker.io/", "library/"):
        name = name.removeprefix(beginning)
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def roots_home() -> Path:
    """Return the folder of the cache."""
    return platformdirs.user_cache_path("harness") / "roots"


class RootStore:
    """The roots of this user."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the cache in a folder, which need not exist. None: the user's."""
        self.path = path or roots_home()
        self._held: dict[str, int] = {}

    def close(self) -> None:
        """Let others remove the roots that this object has found."""
        while self._held:
            os.close(self._held.popitem()[1])

    def names(self) -> Mapping[str, NamedRoot]:
        """Return what each name stands for."""
        try:
            kept: dict[str, dict[str, str]] = json.loads((self.path / NAMES).read_bytes())
            return {name: NamedRoot(**about) for name, about in kept.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ImageError(
                f"{self.path / NAMES} cannot be read ({error}); remove {self.path} and import the "
                "images again"
            ) from error

    def find(self, name: str) -> Root | None:
        """Return the root of a name or digest, and hold it. None: it is not in the cache."""
        known = self.names()
        about = known.get(canonical(name))
        digest = about.digest if about else name
        if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
            return None
        return self._root(digest) if self._hold(digest) else None

    def add(
        self,
        image: StoredImage,
        names: Sequence[str],
        about: NamedRoot | None = None,
        *,
        report: ReportProgress = lambda line: None,
    ) -> Root:
        """Unpack an image unless the cache has it, and give it these names.

        Raises ImageError, and leaves nothing then.
        """
        if why := unpack_problem():
            raise ImageError(f"no image can be unpacked here: {why}")
        with self.alone(report), self._explained():
            root = self._root(image.digest) if self._hold(image.digest) else None
            if root is None:
                with self.workshop() as workshop:
                    self._unpack(image, workshop)
                    os.rename(workshop, self._folder(image.digest))
                self._hold(image.digest)
                root = self._root(image.digest)
            given = about or NamedRoot(image.digest)
            self._write_names({**self.names(), **{canonical(name): given for name in names}})
            self.remove_unnamed()
        return root

    def forget(self, name: str) -> bool:
        """Forget a name, and remove the root unless it has another. Returns False if none has it.

        A root that is in use stays until its runs have ended, and `unnamed` returns it then.
        """
        with self.alone(), self._explained():
            known = dict(self.names())
            about = known.pop(canonical(name), None)
            if about is None:
                return False
            self._write_names(known)
            self.remove_unnamed()
        return True

    def unnamed(self) -> list[str]:
        """Return the digests of roots without a name that nobody uses."""
        with self._unnamed() as folders:
            return [digest for digest, _ in folders]

    def remove_unnamed(self) -> list[str]:
        """Remove those, and return them. The caller holds `alone`."""
        with self._unnamed() as folders, Shelf(self.path) as shelf:
            for _, folder in folders:
                shelf.remove(folder.name)
            return [digest for digest, _ in folders]

    def sweep(self) -> list[str]:
        """Do the same for `harness clean`, unless a process is unpacking now, which does so too."""
        if not self.path.exists():
            return []
        with self._locked() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return []
            return self.remove_unnamed()

    @contextlib.contextmanager
    def _unnamed(self) -> Iterator[list[tuple[str, Path]]]:
        """Give the block the roots without a name, each locked for it alone."""
        named = {about.digest for about in self.names().values()}
        found = []
        with contextlib.ExitStack() as stack:
            for folder in sorted(self.path.iterdir()) if self.path.exists() else ():
                digest = f"sha256:{folder.name}"
                if not re.fullmatch("[0-9a-f]{64}", folder.name) or digest in named:
                    continue
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, lock)
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append((digest, folder))
            yield found

    @contextlib.contextmanager
    def alone(self, report: ReportProgress = lambda line: None) -> Iterator[None]:
        """Wait until no other process of this user writes to the cache. `report` is told so."""
        with self._locked() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("waiting for another process that unpacks an image")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Give the block the open file to lock."""
        with self._explained():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield lock
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Path]:
        """Give the block a folder of its own in the cache. It is removed unless it was renamed."""
        with self._explained():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with Shelf(self.path) as shelf:
                name = shelf.name_under_way("making")
            folder = self.path / name
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            with contextlib.suppress(FileNotFoundError):
                remove_tree(folder)

    def _folder(self, digest: str) -> Path:
        return self.path / digest.removeprefix("sha256:")

    def _root(self, digest: str) -> Root:
        folder = self._folder(digest)
        try:
            settings = json.loads((folder / SETTINGS).read_bytes())
            return Root(digest, folder / ROOT, tuple(settings["Env"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ImageError(
                f"{folder} is damaged ({error}); remove it, and import the image again"
            ) from error

    def _hold(self, digest: str) -> bool:
        """Lock a root against removal. Returns False if there is none."""
        if digest in self._held:
            return True
        try:
            folder = os.open(self._folder(digest), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
            there = os.stat(self._folder(digest)).st_ino == os.fstat(folder).st_ino
        except (BlockingIOError, FileNotFoundError):
            there = False  # it is being removed
        if not there:
            os.close(folder)
            return False
        self._held[digest] = folder
        return True

    def _write_names(self, names: Mapping[str, NamedRoot]) -> None:
        with self.workshop() as workshop:
            file = workshop / NAMES
            kept = {name: asdict(about) for name, about in sorted(names.items())}
            file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            os.rename(file, self.path / NAMES)

    def _unpack(self, image: StoredImage, workshop: Path) -> None:
        root = workshop / ROOT
        root.mkdir(mode=0o755)
        for layer in [*image.layers, docker_s_own()]:
            _unpack_layer(layer, root, workshop)
        if len(os.listdir(root)) > MOST_AT_TOP:
            raise ImageError(f"the image has more than {MOST_AT_TOP} names in its root folder")
        variables = image.settings().get("Env") or []
        if not isinstance(variables, list) or not all(map(is_variable, variables)):
            raise ImageError("the image has variables that are no text")
        (workshop / SETTINGS).write_text(json.dumps({"Env": variables}), encoding="utf-8")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ImageError(
                f"the cache of images in {self.path} cannot be written: {error.strerror or error}; "
                "set XDG_CACHE_HOME to a folder of your own with room"
            ) from error


def unpack_problem() -> str:
    """Say why no image can be unpacked here. Empty: one can."""
    if os.geteuid() == 0 or unshare():
        return ""
    return "it takes root, or user namespaces, and this machine allows none (see harness doctor)"


def docker_s_own() -> StoredLayer:
    """Return the layer that Docker adds to each container's root, without network."""
    files = {"hosts": HOSTS, "hostname": f"{HOSTNAME}\n", "resolv.conf": ""}
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"etc/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("etc/mtab")
        link.type, link.linkname = tarfile.SYMTYPE, "/proc/mounts"
        tar.addfile(link)
    return StoredLayer(sha256(whole.getvalue()), lambda: io.BytesIO(whole.getvalue()))


def _unpack_layer(layer: StoredLayer, root: Path, workshop: Path) -> None:
    """Unpack a layer, and check it. Raises ImageError."""
    owners = ["owners"] if os.geteuid() == 0 else []
    program = str(Path(__file__).with_name("unpacker.py"))
    command = [sys.executable, "-I", "-X", "utf8", program, str(root)]
    process = subprocess.Popen(
        [*unshare(), *command, str(MOST_BYTES), str(MOST_NAMES), *owners],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath)},
    )
    assert process.stdin is not None
    assert process.stderr is not None
    with process:
        try:
            pump(layer, process.stdin.write, workshop)
            process.stdin.close()
        except BrokenPipeError:
            pass
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        why = said.partition("\n")[0] or f"the unpacker ended with {process.returncode}"
        raise ImageError(f"the image cannot be unpacked: {why}")


def disk_usage(root: Path) -> int:
    """Return the bytes that a root takes on the disk."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_blocks * 512
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    )
