"""Trying variants: a copy of the project, and a forked pytest on it for each variant."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("harness", "tests", "results", "fixtures", "docs", "scenarios", "pyproject.toml")
"""What tests read."""

SLOW = ("numpy", "scipy.stats", "pandas", "rich.console", "rich.table", "dulwich.repo")
"""What most tests import, and no variant changes: it is imported once, before the forks."""

OPTIONS = (
    *("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning", "--hypothesis-profile=mutation"),
)
SAID = "said.txt"
"""The file in the copy with what pytest printed last."""

ROOM = 4 << 30
"""Bytes of address space for one try; a wrong loop may ask for all there is."""


class Trial:
    """A copy of the project in which one variant after another takes the place of its module."""

    def __init__(self, folder: Path) -> None:
        """Copy the project into `folder`, which must not hold one."""
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, folder / part)
        (folder / "README.md").touch()
        for name in SLOW:
            importlib.import_module(name)

    def seconds(self, tests: Sequence[str]) -> float:
        """Return the processor time of these tests on the code as it is.

        Raises RuntimeError if they fail, or there are none: then they say nothing of variants.
        """
        passed, seconds = self._run(tests, 3600)
        if not passed:
            said = (self.folder / SAID).read_text(errors="replace")[-2000:]
            raise RuntimeError(f"without any change these fail: {' '.join(tests)}\n{said}")
        return seconds

    def survives(self, module: str, code: str, tests: Sequence[str], limit: float) -> bool:
        """Whether the tests pass with `code` as the module.

        They fail too if they take more than `limit` seconds of processor time, or many times as
        long by the clock, as a loop without an end does.
        """
        path = self.folder / module
        stat, source = path.stat(), path.read_bytes()
        path.write_text(code)
        try:
            return self._run(tests, limit)[0]
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its bytecode stays valid

    def _run(self, tests: Sequence[str], limit: float) -> tuple[bool, float]:
        child = os.fork()
        if child == 0:
            self._child(tests, limit)
        deadline = time.monotonic() + 30 * limit
        while True:
            ended, status, used = os.wait4(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what the tests left running
        return status == 0, used.ru_utime + used.ru_stime

    def _child(self, tests: Sequence[str], limit: float) -> None:
        """Run pytest on the copy and end the process."""
        status: int = pytest.ExitCode.INTERNAL_ERROR
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
            resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
            said = os.open(self.folder / SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream, end in enumerate((os.open(os.devnull, os.O_RDONLY), said, said)):
                os.dup2(end, stream)
            os.chdir(self.folder)
            os.environ["PYTHONPATH"] = str(self.folder)
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            sys.dont_write_bytecode = True
            here = {str(ROOT), ""}
            sys.path[:] = [str(self.folder), *(path for path in sys.path if path not in here)]
            for name in [
                name for name in sys.modules if name.split(".")[0] in ("harness", "tests")
            ]:
                del sys.modules[name]
            importlib.invalidate_caches()
            hypothesis.settings.register_profile(
                "mutation",
                derandomize=True,
                database=None,
                deadline=None,
                phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            )
            status = pytest.main([*OPTIONS, *tests])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
