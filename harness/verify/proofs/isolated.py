"""Isolated: a run reaches nothing but its own sandbox, gains no privileges, and is bounded.

It reaches neither another avatar's files nor another kata's, neither the host nor the engine nor
the network, and not the streams that the harness reads.

Three test events make all attempts, the first beside a run of another avatar; a fourth must then
be an ordinary one: seven seconds on Docker. A replay of one attempt plays only its own test event.
The proof plants canaries outside and listens there; a run's own report counts too. A mounted
sandbox has the bounds of its own disk, and is not filled.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, cast

from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.engines.spec import MIB
from harness.engines.streams import Stream
from harness.engines.system_calls import REFUSED
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome, Run
from harness.verify.faults.wrapped import WrappedEngine, WrappedStream
from harness.verify.proofs.shared.processes import marker
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import SECONDS, Subject
from harness.verify.proofs.shared.verdict import Refuted, Untried

_LIMITS = Limits(
    memory=256 * MIB,
    sandbox=24 * MIB,
    files=1000,
    temporary=4 * MIB,
    file=4 * MIB,
    processes=60,
    open_files=64,
)
"""So small that a run reaches them at once, and no smaller than a compiler needs."""

BOUNDS = {
    "open files": 4 * _LIMITS.open_files,
    "a file": 4 * _LIMITS.file,
    "/tmp": 4 * _LIMITS.temporary,
    "the sandbox": 3 * _LIMITS.sandbox,
    "many files": 2 * _LIMITS.files,
    "processes": 4 * _LIMITS.processes,
    "memory": 4 * _LIMITS.memory,
    "memory without a name": 4 * _LIMITS.memory,
    "memory of connections": 2 * _LIMITS.memory,
}
"""How much a run takes of each: much more than it may have."""

BESIDE: Mapping[str, str] = {
    "another avatar's files": "a search for a file of its name in all that the run can see",
    "another kata's files": "the same search",
    "a file of the host": "the same search, and a line written to a file that anybody may write",
    "another run's process": "the command line of every visible process, and a SIGKILL",
    "the engine's socket": "the paths on which engines listen",
    "the system's files": (
        "a file written to `/`, `/usr`, `/etc`, `/bin`, `/dev`, `/sys` and `/proc/sys/kernel`"
    ),
    "a capability": "what the kernel reports of the run",
    "new privileges": "what the kernel reports of the run",
    "the network": "a connection to each address of the machine",
    "a socket of the host": "a connection to an abstract socket",
    "a file of the system, as root of a namespace": "`unshare`, then `/etc/shadow`",
    "the uid 0": "`setuid` and `seteuid`",
    "a mount": "a tmpfs over `/tmp`",
    "a device": "`mknod` of a disk, and `/dev/mem`",
    "another root": "`chroot`",
    "a key": "a key of the session and of the user: found, added, and read in `/proc/keys`",
    "a namespace of its own": "`unshare` of user, mount and network",
    "a process in a namespace of its own": "`clone` and `clone3`",
    "another's namespace": "`setns`",
    "a file system": "`mount`, `fsopen`, `open_tree`, `umount2` and `pivot_root`",
    "io_uring": "its three system calls",
    "asynchronous input and output": "`io_setup`, whose limit all of the machine shares",
    "userfaultfd": "one for user space only",
    "AF_VSOCK": "sockets of this family, also with a bit that the kernel does not read",
    "AF_NETLINK": "the same of this family, whose memory no control group counts",
    "the kernel's events": "NETLINK_KOBJECT_UEVENT, bound to hear of the machine's devices",
    "any other family of sockets": "each but AF_UNIX, AF_INET and AF_INET6",
    "the calls of 32-bit programs": (
        "AF_VSOCK by `socketcall` and `socket`, `unshare` and `io_uring_setup`, all by `int $0x80`"
    ),
    "bpf": "the system call",
    "perf events": "the system call",
    "a file by its handle": "`open_by_handle_at`",
    "a module of the kernel": "the three system calls that load and unload one",
    "another kernel": "`kexec_load` and `reboot`",
    "the clock": "`clock_settime` and `settimeofday`",
    "swap and quota": "`swapon`, `quotactl` and `acct`",
    "the kernel's log": "`syslog`",
    "the memory policy of others": "`mbind`, `move_pages` and `migrate_pages`",
    "what processes share": "`kcmp` and `pidfd_getfd`",
    "another personality": "`personality` without address randomisation",
    "any other refused call": "each of `harness.engines.system_calls`, with harmless arguments",
    "the first process": "`ptrace`, and its memory",
    "processes": "as many forks as possible in half a second, beside a run that starts processes",
}
"""What a run tries to reach beside another run, and how; the first that it reaches is reported."""

FORGED: Mapping[str, str] = {
    "the harness's streams": (
        "a line written to every file that any process has open, once all output is used up; "
        "after the command's end, `ptrace` of every new process of the run's user"
    ),
    "output without end": "more than the limit, to both streams",
}
"""What a run tries to do to the harness itself, and how."""

TAKEN: Mapping[str, str] = {
    "open files": "`/dev/null`, opened again and again",
    "a file": "one that grows",
    "/tmp": "files until it is full",
    "the sandbox": "files until it is full; not if it is mounted: its own disk bounds it then",
    "many files": "empty ones in the sandbox; not if it is mounted, nor on Podman",
    # Before those after which the kernel may kill the script itself.
    "memory of connections": (
        "TCP connections to itself, filled both ways; not on Docker with control groups of "
        "version 1, where the machine alone bounds them"
    ),
    "memory": "`malloc`, written to",
    "memory without a name": (
        "files of `memfd_create`, in no file system and no address space, "
        "in as many processes as it takes"
    ),
}
"""What a run takes BOUNDS of, and how."""

AFTERWARDS: Mapping[str, str] = {
    "the end of other runs": (
        "all of these; the run beside it must reach its end, and the next must be ordinary"
    ),
}

ATTEMPTS: Mapping[str, str] = {**BESIDE, **FORGED, **TAKEN, **AFTERWARDS}
"""What a run must not reach or exceed, and how it tries."""

COMPILE = "[ -x reach ] || cc -w -o reach reach.c || exit 0"

REACH = """
./reach processes {processes}
find / \\( -path /proc -o -path /sys -o -path /sandbox \\) -prune \\
    -o -name '*{token}*' -print 2>/dev/null |
while read -r path; do
    case $path in
    *avatar.{token}) echo "reached another avatar's files" ;;
    *kata.{token}) echo "reached another kata's files" ;;
    *) echo "reached a file of the host" ;;
    esac
done
{{ echo forged >>{canary}; }} 2>/dev/null
for process in /proc/[0-9]*; do
    case $(tr '\\0' ' ' <"$process/cmdline") in
    *{mark}*) echo "reached another run's process"; kill -9 "${{process#/proc/}}" ;;
    esac
done 2>/dev/null
for socket in {sockets}; do
    [ ! -S "$socket" ] || echo "reached the engine's socket"
done
for folder in / /usr /etc /bin /dev /sys /proc/sys/kernel; do
    if echo 1 >"$folder/{token}"; then echo "reached the system's files"; rm "$folder/{token}"; fi
done 2>/dev/null
while read -r key value rest; do
    case $key$value in
    Cap???:*[1-9a-f]*) echo "reached a capability" ;;
    NoNewPrivs:0) echo "reached new privileges" ;;
    Uid:0) echo "reached the uid 0" ;;
    esac
done </proc/self/status
./reach reach {port} {addresses} {token} /etc/shadow
"""

NEIGHBOUR = """#!/bin/sh
sleep {mark} &
while kill -0 $! 2>/dev/null; do sleep 0.01 || exit; done
wait $! && echo slept
"""
"""Starts one process after the other, as a build does, while its sleep lasts; then says so."""

FORGE = """
head -c {fill} /dev/zero | tr '\\0' x
head -c {fill} /dev/zero | tr '\\0' x >&2
timeout 3 sh -c 'for file in /proc/[0-9]*/fd/[0-9]*; do
    [ -f "$file" ] || printf "\\n%s%s\\n" forged- {token} >"$file"
done' 2>/dev/null
"""

TRACE = """
./reach forge {token} >/dev/null 2>&1 &
sleep 0.1
:
"""
"""May kill the processes through which it forges: only for engines that hide other processes."""


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first thing that a run reached, or took too much of."""
    engine = _Listening(subject.engine)
    with replace(subject, engine=cast(Engine, engine)).runner(
        observe=False, limits=_LIMITS
    ) as runner:
        attempts = _Attempts(subject, runner, engine)

        def check(what: str) -> None:
            if (how := attempts.reached(what)) is not None:
                raise Refuted("it was reached" + (f": {how}" if how else ""))

        search.listed("attempts", ATTEMPTS, check, show=lambda what: f"a run tries for {what}")


@dataclass
class _Attempts:
    """All attempts; a test event is played when its first attempt is asked for."""

    subject: Subject
    runner: BaseRunner
    engine: _Listening
    token: str = field(default_factory=lambda: f"harness-proof-{secrets.token_hex(8)}")

    def reached(self, what: str) -> str | None:
        """Return how `what` was reached, as far as that is known; None if it was not."""
        if what in BESIDE:
            return self._beside.get(what)
        if what in FORGED:
            return self._forged.get(what)
        if what in TAKEN:
            return self._taken.get(what)
        found = self._beside.get(what)
        # After everything that a run can do.
        self._forged, self._taken  # noqa: B018 - they are played by being read
        if "answers" not in _lines(self._play(self.subject.avatar(), "echo answers")):
            return "the next test event is not an ordinary one"
        return found

    @cached_property
    def _avatar(self) -> Avatar:
        return self.subject.avatar()

    @cached_property
    def _beside(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        # This compiles the program; a kept tree then saves the time while the other run goes on.
        self._play(self._avatar, ":")
        with (
            self._canary() as canary,
            self._listeners() as (port, heard),
            self._neighbours(self._avatar, found) as mark,
        ):
            words = {
                "token": self.token,
                "canary": canary,
                "mark": mark,
                "port": port,
                "addresses": ",".join(_addresses()),
                "sockets": " ".join(_sockets()),
                "processes": BOUNDS["processes"],
            }
            told = self._play(self._avatar, REACH.format(**words))
            found.update(_told(told))
            if canary.read_text() != "canary\n":
                found["a file of the host"] = "it was written"
            found.update(heard())
        return found

    @cached_property
    def _taken(self) -> Mapping[str, str]:
        script = "\n".join(
            f"./reach '{what}' {BOUNDS[what]}; rm -f full.* /tmp/full.*"
            for what in TAKEN
            if what not in self._unbounded
        )
        return _told(self._play(self._avatar, script))

    @property
    def _unbounded(self) -> Iterator[str]:
        """Yield what the harness does not bound here; the page about trust says so."""
        facts = self.engine.describe()
        if self.engine.mounted:
            yield "the sandbox"
        if self.engine.mounted or facts["engine"].startswith("podman"):
            yield "many files"
        if facts.get("cgroup") == "1":
            yield "memory of connections"

    def _play(self, avatar: Avatar, script: str) -> Run:
        run = self.runner.run(avatar, _files(f"{COMPILE}\n{script}"), max_seconds=SECONDS)
        if run.outcome is Outcome.FAULTY:
            raise Refuted(f"the test event was faulty: {run.reason}")
        return run

    @cached_property
    def _forged(self) -> Mapping[str, str]:
        """Return what reached the harness after the run had used up its output."""
        self.engine.heard.clear()
        script = FORGE + (TRACE if self.runner.engine.isolates else ":")
        run = self._play(self._avatar, script.format(fill=_LIMITS.output + 8192, token=self.token))
        found = {}
        if f"forged-{self.token}".encode() in bytes(self.engine.heard):
            found["the harness's streams"] = "what it wrote into them arrived"
        if not run.truncated or max(len(run.stdout), len(run.stderr)) > _LIMITS.output:
            found["output without end"] = ""
        return found

    @contextmanager
    def _canary(self) -> Iterator[Path]:
        """Make a file of the host that anybody there may read and write."""
        with tempfile.TemporaryDirectory(prefix=self.token) as folder:
            Path(folder).chmod(0o755)
            canary = Path(folder) / f"host.{self.token}"
            canary.write_text("canary\n")
            canary.chmod(0o666)
            yield canary

    @contextmanager
    def _listeners(self) -> Iterator[tuple[int, Any]]:
        """Listen on the host; yield the port, and a function that returns who got a connection."""
        with socket.socket() as network, socket.socket(socket.AF_UNIX) as local:
            network.bind(("0.0.0.0", 0))
            local.bind(f"\0{self.token}")
            listeners = {"the network": network, "a socket of the host": local}
            for listener in listeners.values():
                listener.listen()
                listener.setblocking(False)

            def heard() -> dict[str, str]:
                found = {}
                for what, listener in listeners.items():
                    with contextlib.suppress(BlockingIOError):
                        listener.accept()[0].close()
                        found[what] = "a connection arrived"
                return found

            yield network.getsockname()[1], heard

    @contextmanager
    def _neighbours(self, avatar: Avatar, found: dict[str, str]) -> Iterator[str]:
        """Play another avatar of the same kata during the block; one of another kata has files."""
        spider, other = replace(avatar, name="spider"), self.subject.avatar()
        self.runner.run(
            other,
            {"cyber-dojo.sh": "#!/bin/sh\n", f"kata.{self.token}": "secret"},
            max_seconds=SECONDS,
        )
        mark = f"1.{marker().replace('.', '')}"
        files = {"cyber-dojo.sh": NEIGHBOUR.format(mark=mark), f"avatar.{self.token}": "secret"}
        runs: list[Run] = []
        press = threading.Thread(
            target=lambda: runs.append(self.runner.run(spider, files, max_seconds=SECONDS))
        )
        press.start()
        try:
            yield mark
        finally:
            press.join()
        if not runs or "slept" not in _lines(runs[0]):
            if runs:
                why = runs[0].reason or runs[0].stderr.strip() or "it was killed"
                found["the end of other runs"] = f"a run beside it was {runs[0].outcome}: {why}"
            else:
                found["the end of other runs"] = "a run beside it was broken off"


class _Listening(WrappedEngine):
    """An engine that records all output of its run-containers, and passes the rest on."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.heard = bytearray()
        # Whether the last sandbox was mounted.
        self.mounted = False

    def open(self, spec: SandboxSpec) -> Sandbox:
        self.mounted = spec.mount is not None
        return super().open(spec)

    def wrap_run(self, stream: Stream) -> Stream:
        return _Heard(stream, self.heard)


class _Heard(WrappedStream):
    def __init__(self, stream: Stream, heard: bytearray) -> None:
        super().__init__(stream)
        self._heard = heard

    def read(self, deadline: float) -> tuple[int, bytes]:
        source, data = self.behind.read(deadline)
        self._heard.extend(data)
        return source, data


def _files(script: str) -> dict[str, str | bytes]:
    program = (
        resources.files("harness.verify.proofs").joinpath("reach.c").read_text(encoding="utf-8")
    )
    known = "".join(f'#ifdef SYS_{name}\n{{"{name}", SYS_{name}}},\n#endif\n' for name in REFUSED)
    refused = (
        f"static const struct {{ const char *name; long number; }} refused[] = {{\n{known}}};\n"
    )
    return {"cyber-dojo.sh": f"#!/bin/sh\n{script}\n", "reach.c": program, "refused.h": refused}


def _lines(run: Run) -> list[str]:
    """Return the printed lines; on an engine that isolates nothing, others may write into them."""
    return run.stdout.splitlines()


def _told(run: Run) -> dict[str, str]:
    """Return what a run reports as reached. Raises Untried if it could not try."""
    if not any(line.startswith(("reached ", "refused ")) for line in _lines(run)):
        raise Untried("the image has no C compiler, which the attempts need")
    found: dict[str, str] = {}
    for line in _lines(run):
        if line.startswith("reached "):
            what, _, how = line.removeprefix("reached ").partition(": ")
            found.setdefault(what, how)
    return found


def _addresses() -> set[str]:
    """Return the IPv4 addresses of this host."""
    found = {"127.0.0.1"}
    with contextlib.suppress(OSError):
        found.update(
            str(info[4][0])
            for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        )
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Sends nothing: it only tells which address is used.
        probe.connect(("192.0.2.1", 9))
        found.add(probe.getsockname()[0])
    return found


def _sockets() -> set[str]:
    """Return the paths on which engines listen."""
    named = os.environ.get("DOCKER_HOST", "").removeprefix("unix://")
    return {"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"} | (
        {named} if named.startswith("/") else set()
    )
