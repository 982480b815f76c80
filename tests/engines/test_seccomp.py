"""Which system calls a run may make: the table is one, and every engine that isolates refuses
alike.
"""

from __future__ import annotations

import ctypes
import errno
import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from harness.engines import Engine, SandboxSpec, seccomp
from harness.engines.system_calls import ALLOWED, NAMESPACES, REFUSED, RULES
from harness.inside.errors import EngineError
from tests.support import PATIENCE, fill

LONGEST = 4096
"""Instructions that the kernel takes."""

needs_library = pytest.mark.skipif(bool(seccomp.filter_problem()), reason=seccomp.filter_problem())


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without libseccomp."""
    monkeypatch.setattr(seccomp, "LIBRARY", "libnowhere.so.0")
    for each in (seccomp.filter_problem, seccomp.program):
        each.cache_clear()
    yield
    for each in (seccomp.filter_problem, seccomp.program):
        each.cache_clear()


def test_no_call_is_both_allowed_and_refused() -> None:
    """Nor told twice; what has conditions is in neither list."""
    conditional = ("clone", "clone3", "personality", "socket", "socketcall", "socketpair")
    names = [*ALLOWED, *REFUSED, *conditional]
    assert len(set(names)) == len(names)
    assert {name for rule in RULES for name in rule.names} == set(names)


@needs_library
def test_the_table_becomes_a_filter() -> None:
    """Of a size that every kernel takes; the library knows nearly all of the names, the older the
    fewer.
    """
    program = seccomp.program()
    assert len(program) % 8 == 0
    assert 100 < len(program) // 8 < LONGEST
    library = ctypes.CDLL(seccomp.LIBRARY)
    unknown = [
        name
        for name in (*ALLOWED, *REFUSED)
        if library.seccomp_syscall_resolve_name(name.encode()) == -1
    ]
    assert len(unknown) < 20, unknown


def test_docker_gets_the_same_table() -> None:
    """Rule by rule, in its own words."""
    profile = json.loads(seccomp.profile())
    assert profile["defaultErrnoRet"] == errno.ENOSYS
    told = profile["syscalls"]
    assert [tuple(each["names"]) for each in told] == [rule.names for rule in RULES]
    assert [each.get("errnoRet", 0) for each in told] == [rule.error for rule in RULES]
    masks = [
        each["args"][0]["value"]
        for each in told
        if each["args"] and each["args"][0]["op"] == "SCMP_CMP_MASKED_EQ"
    ]
    assert masks == [sum(NAMESPACES), *NAMESPACES]


def test_without_the_library_it_is_told(no_library: None) -> None:
    assert seccomp.filter_problem() == "libnowhere.so.0 is not installed"
    with pytest.raises(EngineError, match="is not installed"):
        seccomp.program()


TRIED = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define TRY(call) (errno = 0, (call) < 0 ? errno : 0)
static void *nothing(void *given) { return given; }
int main(void) {
    int pair[2]; pthread_t thread;
    int traced = 1;
    if (fork() == 0) _exit(ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
    wait(&traced);
    printf("thread %d traced %d pair %d which %d\n", pthread_create(&thread, 0, nothing, 0), traced,
           TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)), TRY(personality(0xffffffff)));
    long beyond = 1L << 32; /* the kernel reads 32 bits of a family, and a filter sees 64 */
    printf("netlink %d %d %d packet %d tcp %d %d udp %d unix %d\n", TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)),
           TRY(socketpair(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, pair)),
           TRY(syscall(SYS_socket, beyond | AF_NETLINK, SOCK_RAW, 0)), TRY(socket(AF_PACKET, SOCK_RAW, 0)),
           TRY(socket(AF_INET, SOCK_STREAM, 0)), TRY(socket(AF_INET6, SOCK_STREAM, 0)),
           TRY(socket(AF_INET, SOCK_DGRAM, 0)), TRY(socket(AF_UNIX, SOCK_DGRAM, 0)));
    printf("clone3 %d unshare %d clone %d keyctl %d io_uring %d vsock %d %d\n", TRY(syscall(SYS_clone3, 0, 0)),
           TRY(unshare(CLONE_NEWUSER)), TRY(syscall(SYS_clone, CLONE_NEWUTS | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)),
           TRY(syscall(SYS_keyctl, 0, -3, 0)), TRY(syscall(425, 1, 0)), TRY(socket(AF_VSOCK, SOCK_STREAM, 0)),
           TRY(syscall(SYS_socket, beyond | AF_VSOCK, SOCK_STREAM, 0)));
    return 0;
}
"""


@needs_library
@pytest.mark.parametrize("shared_engine", ["local", "docker", "docker26", "podman"], indirect=True)
def test_every_engine_refuses_alike(shared_engine: Engine) -> None:
    """What programs need works, tracing too; clone3 is not there, which every C library stands; the
    rest is not permitted.
    """
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        fill(sandbox, {"tried.c": TRIED})
        execution = sandbox.execute("gcc -w -o tried tried.c -lpthread && ./tried", PATIENCE)
    no_family = errno.EAFNOSUPPORT
    assert execution.stdout.decode().splitlines() == [
        "thread 0 traced 0 pair 0 which 0",
        f"netlink {no_family} {no_family} {no_family} packet {no_family} tcp 0 0 udp 0 unix 0",
        f"clone3 {errno.ENOSYS} unshare {errno.EPERM} clone {errno.EPERM} keyctl {errno.EPERM} "
        f"io_uring {errno.EPERM} vsock {no_family} {no_family}",
    ], execution
