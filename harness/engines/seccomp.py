"""The table of system calls, in the forms that engines take.

`program` compiles it with libseccomp to a filter for the kernel; `profile` writes it as Docker's
JSON. ctypes calls libseccomp, because its Python bindings are unmaintained, or work only with a
distribution's own Python.
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
_COMPARISONS = {"equal": 4, "above": 6, "masked": 7}  # SCMP_CMP_EQ, _GT, _MASKED_EQ
_UNKNOWN = -1  # __NR_SCMP_ERROR
_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE: a tree in place of a list

_DOCKER = {"equal": "SCMP_CMP_EQ", "above": "SCMP_CMP_GT", "masked": "SCMP_CMP_MASKED_EQ"}


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
    """Say why no filter can be compiled here. Empty: one can."""
    try:
        program()
    except EngineError as error:
        return str(error)
    return ""


@functools.cache
def program() -> bytes:
    """Compile the filter for this machine's kernel, as `bwrap --seccomp` reads it.

    Raises EngineError if it cannot be compiled.
    """
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
        raise EngineError(f"{LIBRARY} cannot make a filter")
    try:
        library.seccomp_attr_set(filter_, _OPTIMIZE, 2)  # old libraries fail, and filter slower
        if second := SECOND_ABI.get(platform.machine()):
            _do(
                library.seccomp_arch_add(
                    filter_, library.seccomp_arch_resolve_name(second.encode())
                )
            )
        for rule in RULES:
            if rule.error != DEFAULT:  # the library rejects a rule that equals its default
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
    """Return the table as Docker's JSON, for `security_opt`, for any machine."""
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
        if number != _UNKNOWN:  # newer than the library: the default applies
            _do(
                library.seccomp_rule_add_array(
                    filter_, action, number, int(when is not None), compared
                )
            )


def _do(result: int) -> None:
    if result:
        raise EngineError(f"{LIBRARY} cannot make a filter: {os.strerror(-result)}")


def _docker_name(machine: str) -> str:
    return f"SCMP_ARCH_{machine.upper()}"


def _docker_rule(rule: Rule) -> dict[str, object]:
    fields: dict[str, object] = {
        "names": list(rule.names),
        "args": [_docker_argument(rule.when)] if rule.when else [],
    }
    if rule.error:
        return fields | {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.error}
    return fields | {"action": "SCMP_ACT_ALLOW"}


def _docker_argument(when: When) -> dict[str, object]:
    first, second = (when.mask, when.value) if when.comparison == "masked" else (when.value, 0)
    return {"index": 0, "value": first, "valueTwo": second, "op": _DOCKER[when.comparison]}
