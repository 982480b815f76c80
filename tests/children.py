"""What happens in a child of the test's process: life without privileges, and sudden death."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest

from harness.engines.local import bubblewrap, cgroups
from harness.inside import journal

STRANGER = 65533
"""A uid and gid that own nothing on this machine."""

PASSED, FAILED, SKIPPED = range(3)

CHANGES = {
    os: ("rename", "unlink", "rmdir", "mkdir", "link", "symlink", "utime", "chmod", "chown"),
    journal: ("exchange",),
}
"""The calls by which a sandbox and what is beside it change, once the contents of files are
written.
"""


def unprivileged(test: Callable[..., None]) -> Callable[..., None]:
    """The test runs as a user without privileges: where this process is root's, in a child.
    `tmp_path` is then a folder of that user's, and the only fixture that may have been made by
    root.
    """

    @functools.wraps(test)
    def run(*instance: object, tmp_path: Path, **arguments: Any) -> None:
        if os.geteuid() != 0:
            test(*instance, tmp_path=tmp_path, **arguments)
            return
        # pytest's own folder is closed to all but its owner.
        folder = Path(tempfile.mkdtemp(prefix="harness-test-"))
        os.chown(folder, STRANGER, STRANGER)
        try:
            with tempfile.TemporaryFile() as told:
                outcome = _in_a_child(told, lambda: test(*instance, tmp_path=folder, **arguments))
                told.seek(0)
                said = told.read().decode(errors="replace")
        finally:
            shutil.rmtree(folder)
        if outcome == SKIPPED:
            pytest.skip(said)
        if outcome != PASSED:
            pytest.fail(said or "the child died", pytrace=False)

    return run


def killed_before(step: int, call: Callable[[], object]) -> bool:
    """Call it in a child that is killed just before its change number `step`, from 0, to the disk;
    False if it did not come so far.
    """
    child = _fork()
    if not child:
        _die_before(step, call)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (PASSED, -signal.SIGKILL), "the call failed in the child"
    return status != PASSED


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of a fork where there are threads: none locks
        return os.fork()


def _in_a_child(told: IO[bytes], test: Callable[[], None]) -> int:
    child = _fork()
    if not child:
        _run(told, test)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(told: IO[bytes], test: Callable[[], None]) -> NoReturn:
    outcome = FAILED
    try:
        os.setgroups([])
        os.setresgid(STRANGER, STRANGER, STRANGER)
        os.setresuid(STRANGER, STRANGER, STRANGER)
        for found in (bubblewrap.unshare, cgroups.cgroup_place, cgroups.cgroup_problem):
            found.cache_clear()  # for root
        if not os.access(sys.executable, os.X_OK):
            sys.executable = (
                shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath) or ""
            )
        test()
        outcome = PASSED
    except pytest.skip.Exception as reason:
        told.write(str(reason).encode())
        outcome = SKIPPED
    except BaseException:
        told.write(traceback.format_exc().encode(errors="replace"))
    finally:
        told.flush()
        os._exit(outcome)


def _die_before(step: int, call: Callable[[], object]) -> NoReturn:
    left = step

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **options: object) -> object:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*arguments, **options)

        return run

    outcome = FAILED
    try:
        for module, names in CHANGES.items():
            for name in names:
                setattr(module, name, counted(getattr(module, name)))
        call()
        outcome = PASSED
    finally:
        os._exit(outcome)
