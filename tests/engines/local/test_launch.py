"""What a thread of its own starts inherits neither the keys nor the control group of its caller."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from harness.engines.local.launch import JOIN_SESSION_KEYRING, KEYCTL, launch, leave_keyring

CALLS = {"x86_64": (248, 249), "aarch64": (217, 218)}
"""The numbers of add_key and request_key."""

SESSION = -3


def call(*arguments: object) -> int:
    """A system call, and what it gives."""
    libc = ctypes.CDLL(None)
    libc.syscall.restype = ctypes.c_long
    return int(
        libc.syscall(
            *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
        )
    )


def found(name: bytes) -> bool:
    """Whether the calling thread finds a key of this name."""
    return call(CALLS[platform.machine()][1], b"user", name, None, 0) > 0


@pytest.fixture
def secret() -> Iterator[bytes]:
    """The name of a key in the session of this thread, which gets one of its own for that."""
    if platform.machine() not in CALLS:
        pytest.skip("the numbers of the calls are not known here")
    if call(KEYCTL[platform.machine()], JOIN_SESSION_KEYRING, None) < 0:
        pytest.skip("the kernel has no keyrings, or this container may not use them")
    name = b"harness-test-secret"
    assert call(CALLS[platform.machine()][0], b"user", name, b"x", 1, SESSION) > 0
    yield name
    leave_keyring()


def test_keys_of_the_session_stay_behind(secret: bytes) -> None:
    """The caller has them still, and so do its other threads."""
    assert found(secret)
    assert not launch(lambda: found(secret))
    assert found(secret)


SEARCH = """
import ctypes, sys
print(ctypes.CDLL(None).syscall(int(sys.argv[1]), b"user", sys.argv[2].encode(), None, 0) > 0)
"""


def test_a_launched_process_finds_no_keys(secret: bytes) -> None:
    """One that is started as usual finds them."""
    command = [sys.executable, "-c", SEARCH, str(CALLS[platform.machine()][1]), secret.decode()]
    assert subprocess.check_output(command) == b"True\n"
    assert launch(lambda: subprocess.check_output(command)) == b"False\n"


def test_it_enters_before_it_starts_and_is_gone_afterwards() -> None:
    """In one thread, which is not the caller's."""
    seen: list[int] = []
    started = launch(threading.get_ident, lambda: seen.append(threading.get_ident()))
    assert seen == [started]
    assert started != threading.get_ident()
    assert "harness-launch" not in [each.name for each in threading.enumerate()]


def test_what_goes_wrong_is_the_callers_to_know() -> None:
    def fail() -> None:
        raise ProcessLookupError(3, "No such process")

    with pytest.raises(ProcessLookupError):
        launch(fail)
    with pytest.raises(ProcessLookupError):
        launch(lambda: None, fail)
