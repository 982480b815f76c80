"""Podman has a socket that speaks Docker's interface, and means other things by it: how to ask it for the same, and what for not.

It passes without a word over the options of a mounted volume, so that an empty one takes the place of an overlay or a sub-folder;
over a name without a value, which elsewhere takes a variable of the image away; and, rootless, over the bounds of a process. It
refuses a tmpfs that has an owner, and a filter of system calls that is no file of its own machine. A tmpfs begins as a copy of
the image's folder, and two keys of a terminal end a stream that is none.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines.folders import remove_folder, temporary_folder
from harness.engines.seccomp import profile
from harness.engines.spec import Mount, Overlay, PartOfVolume
from harness.inside.errors import EngineError

_LEAST = (4, 3)
"""The oldest version that was tried."""

GIVE_UP = ["setpriv", "--inh-caps=-chown", "--bounding-set=-chown", "--"]
"""What a command is put behind that gave a folder its owner, and may not do so any more."""

READ_ONLY = {"/var/tmp": "ro,size=4k,notmpcopyup"}
"""Where a root that is read-only can be written to all the same, without a bound, unless it is said otherwise."""

NO_INIT, NO_FILTER = "container-init binary not found", "opening seccomp profile failed"
"""What it says where it lacks either."""

INSTEAD = "take katas-data-container or tmp instead, or Docker"

_ULIMIT = {"core": ("-c", 512), "fsize": ("-f", 512), "nofile": ("-n", 1)}
"""The option of the shell's ulimit, as POSIX has it, and its unit in bytes or files."""


@dataclass(frozen=True)
class Podman:
    """What is known of one."""

    version: str
    rootless: bool
    groups: bool  # whether it makes control groups
    here: bool  # whether it is on this machine, and reads its files
    ours: bool  # whether it is this user's own, or root's

    @classmethod
    def detect(cls, facts: Mapping[str, Any], host: str) -> Podman | None:
        """By what the engine at this host answers when it is asked what it is; None for Docker. Raises EngineError for one that
        is too old.
        """
        if not is_podman(facts):
            return None
        version, rootless = str(facts["ServerVersion"]), bool(facts.get("Rootless"))
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if not numbers or tuple(map(int, numbers.groups())) < _LEAST:
            raise EngineError(
                f"Podman {version} at {host} is older than any that was tried, and may mount or isolate otherwise than it is "
                f"asked to; take Podman {'.'.join(map(str, _LEAST))} or later, or Docker"
            )
        groups = not rootless or (
            facts.get("CgroupVersion") == "2" and facts.get("CgroupDriver") == "systemd"
        )
        here = host.startswith("unix://") and facts.get("Name") == platform.node()
        return cls(version, rootless, groups, here, here and _is_ours(host))

    def __str__(self) -> str:
        return f"podman {self.version}" + (", rootless" if self.rootless else "")

    def gaps(self) -> Iterator[str]:
        """What it leaves open that Docker does not."""
        if not self.here:
            yield (
                "system calls are filtered by Podman's own table alone (it reads another one only from a file of its own machine)"
            )
        if not self.groups:
            yield (
                "memory and processes of a run are not bounded together (a rootless Podman does so with control groups of "
                "version 2 and systemd alone)"
            )

    def refusal(self, mount: type[Mount]) -> str:
        """Why it cannot mount so, and what to take; empty when it can."""
        if issubclass(mount, Overlay):
            return f"Podman {self.version} ignores a volume's options, and would mount an empty one for an overlay; {INSTEAD}"
        if issubclass(mount, PartOfVolume):
            return f"Podman {self.version} ignores volume-subpath, and would mount everybody's files; {INSTEAD}"
        if issubclass(mount, Path) and self.rootless and not self.ours:
            return f"a rootless Podman {self.version} cannot mount the folders of another user; {INSTEAD}"
        return ""

    def translate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The request for a container, by which Podman makes the one that this means to Docker."""
        asked = config["HostConfig"]
        bounds = asked.get("Ulimits") or []
        host = {**asked, "Tmpfs": {}, "Ulimits": [*bounds, *self._unasked(bounds)]}
        words = [_bound(each) for each in bounds if self.rootless]
        become: list[str] = []
        for folder, options in (asked.get("Tmpfs") or {}).items():
            named = dict(each.partition("=")[::2] for each in options.split(",") if each)
            if owner := ":".join(named.pop(each) for each in ("uid", "gid") if each in named):
                words.append(f"chown {owner} {shlex.quote(folder)}")
                host["CapAdd"], become = [*asked["CapAdd"], "CHOWN"], GIVE_UP
            kept = [f"{name}={value}" if value else name for name, value in named.items()]
            host["Tmpfs"][folder] = ",".join([*kept, "notmpcopyup"])
        if asked.get("ReadonlyRootfs"):
            host["Tmpfs"] = {**READ_ONLY, **host["Tmpfs"]}
        if self.rootless and any(each["Type"] == "bind" for each in asked.get("Mounts") or ()):
            host["UsernsMode"] = (
                "keep-id"  # else none but root has the uid in it that the folder's owner has
            )
        entrypoint = list(config["Entrypoint"])
        if words:
            words.append(shlex.join(["exec", *become]) + ' "$@"')
            entrypoint = ["/bin/sh", "-c", " && ".join(words), "begin", *entrypoint]
        variables = [each for each in config.get("Env") or () if "=" in each]
        return {
            **config,
            "Entrypoint": entrypoint,
            "Env": variables,
            "UnsetEnvAll": True,
            "HostConfig": host,
        }

    def _unasked(self, bounds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Bounds that Podman 4 raises unless it is told others: to more than a root without all capabilities may."""
        if self.rootless:
            return []
        asked = {each["Name"] for each in bounds}
        found = {name: most() for name, most in _MOST.items() if name not in asked}
        return [{"Name": name, "Soft": most, "Hard": most} for name, most in found.items()]


def is_podman(facts: Mapping[str, Any]) -> bool:
    """By what an engine answers when it is asked what it is: no other is made of Buildah."""
    return "BuildahVersion" in facts


def engine_identity(facts: Mapping[str, Any]) -> str:
    """Which engine it is. Podman gives itself another id with each answer."""
    return f"{facts['Name']}:{facts['DockerRootDir']}" if is_podman(facts) else str(facts["ID"])


def is_momentary(said: str) -> bool:
    """Whether an engine that said so may do it all the same when it is asked again: a rootless Podman that looks up the uids of
    its user for several containers at once finds none now and then.
    """
    return "keep-id requires additional UIDs or GIDs" in said


def is_going(said: str) -> bool:
    """Whether Podman refuses to remove a container because that is ending by itself at this moment."""
    return "container state improper" in said


def explained(said: str) -> str:
    """What an engine said, and what to do about it where only Podman says so."""
    if NO_INIT in said:
        return f"Podman has no init for a container, install catatonit where it runs ({said})"
    if NO_FILTER in said:
        return f"Podman cannot read a file of the harness's, set TMPDIR to a folder that it sees ({said})"
    return said


def _is_ours(host: str) -> bool:
    """By who has the socket."""
    try:
        return os.stat(host.removeprefix("unix://")).st_uid in {0, os.geteuid()}
    except OSError:
        return False


def _bound(limit: Mapping[str, Any]) -> str:
    """Shell words for one of the bounds of a process."""
    option, unit = _ULIMIT[limit["Name"]]
    return f"ulimit {option} {int(limit['Hard']) // unit}"


def _most_processes() -> int:
    return _most(resource.RLIMIT_NPROC, int(Path("/proc/sys/kernel/pid_max").read_text()))


def _most_files() -> int:
    return _most(resource.RLIMIT_NOFILE, 1 << 20)


def _most(bound: int, most: int) -> int:
    """What this process may have, which a service on the same machine may, too."""
    _, hard = resource.getrlimit(bound)
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


_MOST = {"nproc": _most_processes, "nofile": _most_files}


class Filter:
    """The table of system calls in a file, which Podman reads whenever it makes a container. It needs a name: what a process
    holds without one, a rootless Podman may not look at.
    """

    def __init__(self) -> None:
        """Raises EngineError."""
        self._folder = temporary_folder("calls")
        self.path = self._folder / "calls.json"
        try:
            self.path.write_text(profile())
            self.path.chmod(0o644)  # whatever the umask: Podman may be another user's
        except OSError as error:
            self.close()
            raise EngineError(
                f"{self.path} cannot be written: {error.strerror}; set TMPDIR to a folder with room"
            ) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # `harness clean` finds it
            remove_folder(self._folder)
