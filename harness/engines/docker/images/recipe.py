"""Recipes: the root file system of each of the harness's own images, made once on a machine and kept.

`fixtures/images/rootfs.sh` makes it from a list of Debian packages. Two engines on one machine share the
result: it lies in the user's cache folder, under a name that changes with the recipe and the release.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import platformdirs

from harness.engines.fixtures import fixture
from harness.inside.errors import ImageError

REPORT_SECONDS = 1.5
"""Between two lines of progress."""

MB = 10**6

ReportProgress: TypeAlias = Callable[[str], None]

_STAGE = re.compile(r"^I: (.*)\.\.\.$", re.MULTILINE)
_REASON = re.compile(r"^(?:E|rootfs\.sh): (.*)$", re.MULTILINE)
"""What mmdebstrap says when a stage begins, and what it or rootfs.sh says when it gives up."""


@dataclass(frozen=True)
class ImageRecipe:
    """How one image is made."""

    image: str  # "harness-gcc"
    target: str  # the name of its list of packages, and of its target in the Dockerfile: "gcc"

    @property
    def packages(self) -> Path:
        return fixture(f"images/{self.target}.packages")

    def digest(self) -> str:
        """What `cat TARGET.packages rootfs.sh | sha256sum` prints: when it changes, the image is outdated."""
        try:
            recipe = self.packages.read_bytes() + fixture("images/rootfs.sh").read_bytes()
        except OSError as error:
            raise ImageError(
                f"the recipe of {self.image} cannot be read ({error}); install the harness again"
            ) from error
        return hashlib.sha256(recipe).hexdigest()

    def root_tar(self, report: ReportProgress) -> Path:
        """The root file system, made unless it is kept already; needs mmdebstrap, some 15 s and 200 MB.

        Hold `alone` around it. Raises ImageError when it cannot be made. What is kept is always whole: it
        gets its name in the end.
        """
        release = f"{self.image}-{_suite()}"
        kept = _folder() / f"{release}-{self.digest()[:16]}.tar"
        if kept.exists():
            report(f"{self.image}: taking {kept}; remove it to make it anew")
            return kept
        # Of one name always, so that the next build overwrites what a crash left.
        partial = _folder() / f"{self.image}.partial"
        with _writing_to_the_cache(self.image):
            try:
                with partial.open("wb") as output:
                    _make(self, output, report)
                partial.rename(kept)
            finally:
                partial.unlink(missing_ok=True)
            for outdated in set(_folder().glob(f"{release}-*.tar")) - {kept}:
                outdated.unlink(missing_ok=True)
        return kept

    @contextlib.contextmanager
    def alone(self, report: ReportProgress) -> Iterator[None]:
        """Wait until no other process of this user makes the image; one that dies loses its lock."""
        with contextlib.ExitStack() as stack:
            with _writing_to_the_cache(self.image):
                _folder().mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((_folder() / f"{self.image}.lock").open("wb"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    report(f"{self.image}: waiting for another build of it")
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _make(recipe: ImageRecipe, output: IO[bytes], report: ReportProgress) -> None:
    """Run rootfs.sh into `output`, with a line of progress every REPORT_SECONDS."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        making = subprocess.Popen(
            ["sh", str(fixture("images/rootfs.sh")), str(recipe.packages)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
        )
        try:
            while _still_running(making):
                size = os.fstat(output.fileno()).st_size
                amount = f", {size / MB:.0f} MB" if size else ""
                stages = _find_all(_STAGE, log) or ["starting"]
                report(f"{recipe.image}: {stages[-1]} ({time.monotonic() - started:.0f} s{amount})")
        except BaseException:
            making.terminate()  # mmdebstrap then removes its temporary folder
            making.wait()
            raise
        if making.returncode:
            # The first is the cause; mmdebstrap goes on to say that it failed.
            why, *_ = [*_find_all(_REASON, log), f"rootfs.sh ended with status {making.returncode}"]
            raise ImageError(
                f"{recipe.image} cannot be made from packages: {why}; try `apt-get update`, or build "
                f"{fixture('images/Dockerfile')}"
            )


def _still_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(REPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _find_all(pattern: re.Pattern[str], log: IO[bytes]) -> list[str]:
    """Every match in the log; read by its descriptor, whose offset the process that writes it shares."""
    said = os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0)
    return pattern.findall(said.decode(errors="replace"))


def _suite() -> str:
    """The release that rootfs.sh takes the packages from."""
    if suite := os.environ.get("SUITE"):
        return suite
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    return "unknown"


def _folder() -> Path:
    return platformdirs.user_cache_path("harness") / "images"


@contextlib.contextmanager
def _writing_to_the_cache(image: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageError(
            f"{image} cannot be made in {_folder()}: {error.strerror or error}; set XDG_CACHE_HOME to a folder with 200 MB free"
        ) from error
