"""Isolated: a run reaches nothing but its own sandbox, neither another avatar's files, another kata's, the host's, the engine,
the network nor the streams that the harness reads; it gains no privileges; and it is bounded.

All that can be tried in one run is: three test events, beside which another avatar's goes on, and one after them, on Docker
five seconds. Canaries are planted outside, and listeners wait there; what a run tells of itself counts too. A sandbox that is
mounted has the bounds of its own disk, and is not filled.
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
from harness.proofs.outside import marker
from harness.proofs.search import Search
from harness.proofs.subject import SECONDS, Subject
from harness.proofs.verdict import Refuted, Untried
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome, Run
from harness.streams import Stream

LIMITS = Limits(
    memory=256 * MIB, sandbox=24 * MIB, temporary=4 * MIB, file=4 * MIB, processes=60, open_files=64
)
"""So small that a run gets to them at once, and no smaller than a compiler needs."""

BOUNDS = {
    "open files": 4 * LIMITS.open_files,
    "a file": 4 * LIMITS.file,
    "/tmp": 4 * LIMITS.temporary,
    "the sandbox": 3 * LIMITS.sandbox,
    "processes": 4 * LIMITS.processes,
    "memory": 4 * LIMITS.memory,
    "memory without a name": 4
    * LIMITS.memory,  # a file that no file system holds, of no process's address space
}
"""How much is taken of each: much more than there may be."""

REACHED = (
    "another avatar's files",
    "another kata's files",
    "a file of the host",
    "another run's process",
    "the engine's socket",
    "the system's files",
    "a capability",
    "new privileges",
    "the network",
    "a socket of the host",
    "a file of the system, as root of a namespace",
    "the uid 0",
    "a mount",
    "a device",
    "another root",
    "a key",
    "a namespace of its own",
    "a process in a namespace of its own",
    "another's namespace",
    "a file system",
    "io_uring",
    "userfaultfd",
    "AF_VSOCK",
    "the calls of 32-bit programs",
    "bpf",
    "perf events",
    "a file by its handle",
    "a module of the kernel",
    "another kernel",
    "the clock",
    "swap and quota",
    "the kernel's log",
    "the memory policy of others",
    "what processes share",
    "another personality",
    "the first process",
    "the harness's streams",
    "output without end",
    *BOUNDS,
    "the end of other runs",
)
"""What a run may not, in the order in which a counterexample is told."""

COMPILE = "[ -x reach ] || cc -w -o reach reach.c || exit 0"

REACH = """
find / \\( -path /proc -o -path /sys -o -path /sandbox \\) -prune -o -name '*{token}*' -print 2>/dev/null |
while read -r path; do
    case $path in
    *avatar.{token}) echo "reached another avatar's files" ;;
    *kata.{token}) echo "reached another kata's files" ;;
    *) echo "reached a file of the host" ;;
    esac
done
{{ echo forged >>{canary}; }} 2>/dev/null
for each in /proc/[0-9]*; do
    case $(tr '\\0' ' ' <"$each/cmdline") in *{mark}*) echo "reached another run's process"; kill -9 "${{each#/proc/}}" ;; esac
done 2>/dev/null
for each in {sockets}; do
    [ ! -S "$each" ] || echo "reached the engine's socket"
done
for each in / /usr /etc /bin /dev /sys /proc/sys/kernel; do
    if echo 1 >"$each/{token}"; then echo "reached the system's files"; rm "$each/{token}"; fi
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

FORGE = """
head -c {fill} /dev/zero | tr '\\0' x
head -c {fill} /dev/zero | tr '\\0' x >&2
timeout 3 sh -c 'for each in /proc/[0-9]*/fd/[0-9]*; do
    [ -f "$each" ] || printf "\\n%s%s\\n" forged- {token} >"$each"
done' 2>/dev/null
:
"""


def prove(subject: Subject, search: Search) -> None:
    """Refuted by the first thing that a run reached, or took too much of."""
    engine = _Listening(subject.engine)
    with replace(subject, engine=cast(Engine, engine)).runner(observe=False, limits=LIMITS) as runner:
        trial = _Trial(subject, runner, engine)

        def check(what: str) -> None:
            if what in trial.reached:
                raise Refuted("it was reached" + (f": {how}" if (how := trial.reached[what]) else ""))

        search.listed("attempts", REACHED, check, show=lambda what: f"a run tries for {what}")


@dataclass
class _Trial:
    """All that is tried, once it is asked for."""

    subject: Subject
    runner: BaseRunner
    engine: _Listening
    token: str = field(default_factory=lambda: f"harness-proof-{secrets.token_hex(8)}")

    @cached_property
    def reached(self) -> Mapping[str, str]:
        """What was reached, and how, if that can be said."""
        avatar = self.subject.avatar()
        found: dict[str, str] = {}
        with (
            self._canary() as canary,
            self._listeners() as (port, heard),
            self._neighbours(avatar, found) as mark,
        ):
            words = {
                "token": self.token,
                "canary": canary,
                "mark": mark,
                "port": port,
                "addresses": ",".join(_addresses()),
                "sockets": " ".join(_sockets()),
            }
            told = self._play(avatar, REACH.format(**words))
            found.update(_told(told))
            if "refused a mount" not in told.stdout and not found:
                raise Untried("the image has no C compiler, which the attempts need")
            if canary.read_text() != "canary\n":
                found["a file of the host"] = "it was written"
            found.update(heard())
        found.update(self._forged(avatar))
        takes = {
            what: most for what, most in BOUNDS.items() if what != "the sandbox" or not self.engine.mounted
        }
        script = "\n".join(
            f"./reach '{what}' {most}; rm -f full.* /tmp/full.*" for what, most in takes.items()
        )
        found.update(_told(self._play(avatar, script)))
        if self._play(self.subject.avatar(), "echo answers").stdout != "answers\n":
            found["the end of other runs"] = "the next test event is not an ordinary one"
        return found

    def _play(self, avatar: Any, script: str) -> Run:
        run = self.runner.run(avatar, _files(f"{COMPILE}\n{script}"), max_seconds=SECONDS)
        if run.outcome is Outcome.FAULTY:
            raise Refuted(f"the test event was faulty: {run.reason}")
        return run

    def _forged(self, avatar: Any) -> Mapping[str, str]:
        """What came through to the harness when the run had used up all that it may print."""
        self.engine.heard.clear()
        run = self._play(avatar, FORGE.format(fill=LIMITS.output + 8192, token=self.token))
        found = {}
        if f"forged-{self.token}".encode() in bytes(self.engine.heard):
            found["the harness's streams"] = "what it wrote into them arrived"
        if not run.truncated or max(len(run.stdout), len(run.stderr)) > LIMITS.output:
            found["output without end"] = ""
        return found

    @contextmanager
    def _canary(self) -> Iterator[Path]:
        """A file of the host that anybody there may read and write."""
        with tempfile.TemporaryDirectory(prefix=self.token) as folder:
            Path(folder).chmod(0o755)
            canary = Path(folder) / f"host.{self.token}"
            canary.write_text("canary\n")
            canary.chmod(0o666)
            yield canary

    @contextmanager
    def _listeners(self) -> Iterator[tuple[int, Any]]:
        """Who waits on the host for a connection; and what says who got one."""
        with socket.socket() as network, socket.socket(socket.AF_UNIX) as local:
            network.bind(("0.0.0.0", 0))
            local.bind(f"\0{self.token}")
            listeners = {"the network": network, "a socket of the host": local}
            for each in listeners.values():
                each.listen()
                each.setblocking(False)

            def heard() -> dict[str, str]:
                found = {}
                for what, listener in listeners.items():
                    with contextlib.suppress(BlockingIOError):
                        listener.accept()[0].close()
                        found[what] = "a connection arrived"
                return found

            yield network.getsockname()[1], heard

    @contextmanager
    def _neighbours(self, avatar: Any, found: dict[str, str]) -> Iterator[str]:
        """Another avatar of the same kata and one of another kata, with files; a run of the first goes on meanwhile."""
        spider, other = replace(avatar, name="spider"), self.subject.avatar()
        self.runner.run(
            other, {"cyber-dojo.sh": "#!/bin/sh\n", f"kata.{self.token}": "secret"}, max_seconds=SECONDS
        )
        mark = f"1.{marker().replace('.', '')}"
        files = {"cyber-dojo.sh": f"#!/bin/sh\nsleep {mark} && echo slept", f"avatar.{self.token}": "secret"}
        runs: list[Run] = []
        press = threading.Thread(
            target=lambda: runs.append(self.runner.run(spider, files, max_seconds=SECONDS))
        )
        press.start()
        try:
            yield mark
        finally:
            press.join()
        if not runs or runs[0].stdout != "slept\n":
            found["the end of other runs"] = (
                f"a run beside it was {runs[0].outcome if runs else 'broken off'}"
            )


class _Listening:
    """An engine in front of another, which hears all that comes from the run-containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.heard = bytearray()
        self.mounted = False  # the last sandbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def open(self, spec: SandboxSpec) -> Sandbox:
        self.mounted = spec.mount is not None
        sandbox = self._engine.open(spec)
        sandbox.wrap(lambda stream: cast(Stream, _Heard(stream, self.heard)))
        return sandbox


class _Heard:
    def __init__(self, stream: Stream, heard: bytearray) -> None:
        self._stream, self._heard = stream, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, deadline: float) -> tuple[int, bytes]:
        source, data = self._stream.read(deadline)
        self._heard.extend(data)
        return source, data


def _files(script: str) -> dict[str, str | bytes]:
    program = resources.files("harness.proofs").joinpath("reach.c").read_text()
    return {"cyber-dojo.sh": f"#!/bin/sh\n{script}\n", "reach.c": program}


def _told(run: Run) -> dict[str, str]:
    return {
        line.removeprefix("reached "): "" for line in run.stdout.splitlines() if line.startswith("reached ")
    }


def _addresses() -> set[str]:
    """Of this host."""
    found = {"127.0.0.1"}
    with contextlib.suppress(OSError):
        found.update(
            str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        )
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it only tells which address is used
        found.add(probe.getsockname()[0])
    return found


def _sockets() -> set[str]:
    """Where engines listen."""
    named = os.environ.get("DOCKER_HOST", "").removeprefix("unix://")
    return {"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"} | (
        {named} if named.startswith("/") else set()
    )
