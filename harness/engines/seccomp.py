"""The table of system calls as the two kinds of engine take it: a program for the kernel's filter, compiled by libseccomp, and a
profile in Docker's words.

libseccomp is called through ctypes: of its Python bindings one is of a distribution's own Python, and the others are not kept.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import platform

from harness.engines.system_calls import DEFAULT, RULES, SECOND_ABI, Rule, When
from harness.inside.errors import EngineError

LIBRARY = "libseccomp.so.2"

_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # seccomp.h: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO
_COMPARISONS = {"unequal": 1, "equal": 4, "masked": 7}  # SCMP_CMP_NE, _EQ, _MASKED_EQ
_UNKNOWN = -1  # __NR_SCMP_ERROR
_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE: a tree in place of a list

_DOCKER = {"unequal": "SCMP_CMP_NE", "equal": "SCMP_CMP_EQ", "masked": "SCMP_CMP_MASKED_EQ"}


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@functools.cache
def filter_problem() -> str:
    """Why no filter can be compiled here; empty when one can."""
    try:
        program()
    except EngineError as error:
        return str(error)
    return ""


@functools.cache
def program() -> bytes:
    """The filter for this machine's kernel, as `bwrap --seccomp` reads it. Raises EngineError where it cannot be compiled."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        raise EngineError(f"{LIBRARY} is not installed") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    filter_ = library.seccomp_init(_ERROR | DEFAULT)
    if not filter_:
        raise EngineError(f"{LIBRARY} makes no filter")
    try:
        library.seccomp_attr_set(filter_, _OPTIMIZE, 2)  # an older one cannot, and is slower
        if second := SECOND_ABI.get(platform.machine()):
            _do(
                library.seccomp_arch_add(
                    filter_, library.seccomp_arch_resolve_name(second.encode())
                )
            )
        for rule in RULES:
            if rule.error != DEFAULT:  # which the library takes for a mistake
                _add(library, filter_, rule)
        descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
        try:
            _do(library.seccomp_export_bpf(filter_, descriptor))
            return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        finally:
            os.close(descriptor)
    finally:
        library.seccomp_release(filter_)


@functools.cache
def profile() -> str:
    """The same for `security_opt` of a Docker engine, which may run on another machine than this one."""
    architectures = [
        {"architecture": _docker_name(machine), "subArchitectures": [_docker_name(second)]}
        for machine, second in SECOND_ABI.items()
    ]
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": DEFAULT,
            "archMap": architectures,
            "syscalls": [_docker_rule(rule) for rule in RULES],
        }
    )


def _add(library: ctypes.CDLL, filter_: int, rule: Rule) -> None:
    action = _ERROR | rule.error if rule.error else _ALLOW
    when = rule.when
    compared = (_Comparison * 1)()
    if when:
        first, second = (when.mask, when.value) if when.comparison == "masked" else (when.value, 0)
        compared[0] = _Comparison(0, _COMPARISONS[when.comparison], first, second)
    for name in rule.names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN:  # newer than the library: the default is for it
            _do(
                library.seccomp_rule_add_array(
                    filter_, action, number, int(when is not None), compared
                )
            )


def _do(result: int) -> None:
    if result:
        raise EngineError(f"{LIBRARY} makes no filter: {os.strerror(-result)}")


def _docker_name(machine: str) -> str:
    return f"SCMP_ARCH_{machine.upper()}"


def _docker_rule(rule: Rule) -> dict[str, object]:
    told: dict[str, object] = {
        "names": list(rule.names),
        "args": [_docker_argument(rule.when)] if rule.when else [],
    }
    if rule.error:
        return told | {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.error}
    return told | {"action": "SCMP_ACT_ALLOW"}


def _docker_argument(when: When) -> dict[str, object]:
    first, second = (when.mask, when.value) if when.comparison == "masked" else (when.value, 0)
    return {"index": 0, "value": first, "valueTwo": second, "op": _DOCKER[when.comparison]}
