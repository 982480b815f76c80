"""Recipes: the root file system of each of the harness's own images, built once and kept.

`fixtures/images/rootfs.sh` builds it from a list of Debian packages. Two engines on one machine
share the result, which is in the user's cache folder; its name changes with the recipe and the
release.
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
"""Seconds between two lines of progress."""

MB = 10**6

ReportProgress: TypeAlias = Callable[[str], None]

_STAGE = re.compile(r"^I: (.*)\.\.\.$", re.MULTILINE)
_REASON = re.compile(r"^(?:E|rootfs\.sh): (.*)$", re.MULTILINE)
"""What mmdebstrap prints when a stage begins, and what it or rootfs.sh prints when it fails."""


@dataclass(frozen=True)
class ImageRecipe:
    """How to build one image."""

    image: str
    """Its name, such as "harness-gcc"."""

    target: str
    """The name of its package list and of its target in the Dockerfile, such as "gcc"."""

    @property
    def packages(self) -> Path:
        """The list of its packages."""
        return fixture(f"images/{self.target}.packages")

    def digest(self) -> str:
        """Return what `cat TARGET.packages rootfs.sh | sha256sum` prints.

        When it changes, the image is outdated.
        """
        try:
            recipe = self.packages.read_bytes() + fixture("images/rootfs.sh").read_bytes()
        except OSError as error:
            raise ImageError(
                f"the recipe of {self.image} cannot be read ({error}); install the harness again"
            ) from error
        return hashlib.sha256(recipe).hexdigest()

    def root_tar(self, report: ReportProgress) -> Path:
        """Return the root file system's tar file, and build it unless it is kept.

        Building takes mmdebstrap, about 15 s and 200 MB. Hold `alone` around it. Raises ImageError
        if it cannot be built. A kept file is always complete: it gets its name at the end.
        """
        release = f"{self.image}-{_suite()}"
        kept = _folder() / f"{release}-{self.digest()[:16]}.tar"
        if kept.exists():
            report(f"{self.image}: taking {kept}; remove it to make it anew")
            return kept
        # The name is always the same, so that the next build overwrites what a crash left.
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
        """Wait until no other process of this user builds the image. A dead one loses its lock."""
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
            # The first line is the cause; mmdebstrap then adds that it failed.
            why, *_ = [*_find_all(_REASON, log), f"rootfs.sh ended with status {making.returncode}"]
            raise ImageError(
                f"{recipe.image} cannot be made from packages: {why}; try `apt-get update`, or "
                f"build {fixture('images/Dockerfile')}"
            )


def _still_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(REPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _find_all(pattern: re.Pattern[str], log: IO[bytes]) -> list[str]:
    """Find every match in the log. pread, because the process that writes it shares the offset."""
    said = os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0)
    return pattern.findall(said.decode(errors="replace"))


def _suite() -> str:
    """Return the Debian release that rootfs.sh takes the packages from."""
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
            f"{image} cannot be made in {_folder()}: {error.strerror or error}; set XDG_CACHE_HOME "
            "to a folder with 200 MB free"
        ) from error
