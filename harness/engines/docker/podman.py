"""Podman, whose socket speaks Docker's API with other meanings: how to ask it for the same.

Podman silently ignores:

- the options of a mounted volume, so that an empty volume replaces an overlay or a sub-folder;
- a variable without a value, which removes an image's variable in Docker;
- if rootless, the limits of a process.

It refuses a tmpfs that has an owner or a number of inodes, and a filter of system calls that is not
a file on its own machine. A tmpfs begins as a copy of the image's folder. A terminal's detach keys
end a stream that is not a terminal.
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
"""The oldest version that was tested."""

GIVE_UP = ["setpriv", "--inh-caps=-chown", "--bounding-set=-chown", "--"]
"""Words before a command that give up CHOWN, once a folder has its owner."""

READ_ONLY = {"/var/tmp": "ro,size=4k,notmpcopyup"}
"""Folders that Podman leaves writable on a read-only root, without a limit, unless it gets this."""

NO_INIT, NO_FILTER = "container-init binary not found", "opening seccomp profile failed"
"""What Podman says if it has no init, or cannot read the filter."""

INSTEAD = "take katas-data-container or tmp instead, or use Docker"
"""The end of a refusal."""

_IGNORES: Mapping[type[Mount], str] = {
    Overlay: "ignores a volume's options, and would mount an empty volume for an overlay",
    PartOfVolume: "ignores volume-subpath, and would mount the files of all avatars",
}
"""For each mount that it gets wrong, how."""

_ULIMIT = {"core": ("-c", 512), "fsize": ("-f", 512), "nofile": ("-n", 1)}
"""For each limit, the option of the shell's ulimit, and its unit in bytes or files (POSIX)."""


@dataclass(frozen=True)
class Podman:
    """What is known of a Podman."""

    version: str
    """Its version."""

    rootless: bool
    """Whether it runs without root."""

    groups: bool
    """Whether it can make control groups."""

    here: bool
    """Whether it is on this machine, and can read its files."""

    ours: bool
    """Whether it belongs to this user or root."""

    @classmethod
    def detect(cls, facts: Mapping[str, Any], host: str) -> Podman | None:
        """Detect Podman by the API's info on the engine at this host. Returns None for Docker.

        Raises EngineError if it is too old.
        """
        if not is_podman(facts):
            return None
        version, rootless = str(facts["ServerVersion"]), bool(facts.get("Rootless"))
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if not numbers or tuple(map(int, numbers.groups())) < _LEAST:
            raise EngineError(
                f"Podman {version} at {host} is too old: it was never tested, and may mount or "
                f"isolate wrongly; use Podman {'.'.join(map(str, _LEAST))} or later, or Docker"
            )
        groups = not rootless or (
            facts.get("CgroupVersion") == "2" and facts.get("CgroupDriver") == "systemd"
        )
        here = host.startswith("unix://") and facts.get("Name") == platform.node()
        return cls(version, rootless, groups, here, here and _is_ours(host))

    def __str__(self) -> str:
        return f"podman {self.version}" + (", rootless" if self.rootless else "")

    def gaps(self) -> Iterator[str]:
        """Say what it cannot bound or filter, unlike Docker."""
        if not self.here:
            yield (
                "only Podman's own table filters system calls (it reads another one only from a "
                "file on its own machine)"
            )
        if not self.groups:
            yield (
                "memory and processes of a run are not bounded together (a rootless Podman needs "
                "control groups of version 2 and systemd)"
            )

    def refusal(self, mount: type[Mount]) -> str:
        """Say why it cannot make such a mount, and what to do. Empty: it can."""
        if ignores := _IGNORES.get(mount):
            return f"Podman {self.version} {ignores}; {INSTEAD}"
        if not mount.in_volume and self.rootless and not self.ours:
            return (
                f"a rootless Podman {self.version} cannot mount another user's folders; {INSTEAD}"
            )
        return ""

    def translate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request that has the effect on Podman that `config` has on Docker."""
        asked = config["HostConfig"]
        bounds = asked.get("Ulimits") or []
        host = {**asked, "Tmpfs": {}, "Ulimits": [*bounds, *self._unasked(bounds)]}
        words = [_bound(bound) for bound in bounds if self.rootless]
        become: list[str] = []
        for folder, options in (asked.get("Tmpfs") or {}).items():
            named = dict(option.partition("=")[::2] for option in options.split(",") if option)
            named.pop("nr_inodes", None)
            if owner := ":".join(named.pop(key) for key in ("uid", "gid") if key in named):
                words.append(f"chown {owner} {shlex.quote(folder)}")
                host["CapAdd"], become = [*asked["CapAdd"], "CHOWN"], GIVE_UP
            kept = [f"{name}={value}" if value else name for name, value in named.items()]
            host["Tmpfs"][folder] = ",".join([*kept, "notmpcopyup"])
        if asked.get("ReadonlyRootfs"):
            host["Tmpfs"] = {**READ_ONLY, **host["Tmpfs"]}
        if self.rootless and any(mount["Type"] == "bind" for mount in asked.get("Mounts") or ()):
            # Otherwise only root has the uid of the folder's owner in the container.
            host["UsernsMode"] = "keep-id"
        entrypoint = list(config["Entrypoint"])
        if words:
            words.append(shlex.join(["exec", *become]) + ' "$@"')
            entrypoint = ["/bin/sh", "-c", " && ".join(words), "begin", *entrypoint]
        variables = [variable for variable in config.get("Env") or () if "=" in variable]
        return {
            **config,
            "Entrypoint": entrypoint,
            "Env": variables,
            "UnsetEnvAll": True,
            "HostConfig": host,
        }

    def _unasked(self, bounds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the limits that Podman 4 would otherwise raise beyond what it is allowed to."""
        if self.rootless:
            return []
        asked = {bound["Name"] for bound in bounds}
        unasked = {name: most() for name, most in _MOST.items() if name not in asked}
        return [{"Name": name, "Soft": most, "Hard": most} for name, most in unasked.items()]


def is_podman(facts: Mapping[str, Any]) -> bool:
    """Recognise Podman by the API's info: no other engine has Buildah."""
    return "BuildahVersion" in facts


def engine_identity(facts: Mapping[str, Any]) -> str:
    """Return what identifies the engine. Podman has another id in each answer."""
    return f"{facts['Name']}:{facts['DockerRootDir']}" if is_podman(facts) else str(facts["ID"])


def is_momentary(said: str) -> bool:
    """Return whether to ask the engine again after this error.

    A rootless Podman that looks up its user's uids for several containers at once sometimes finds
    none.
    """
    return "keep-id requires additional UIDs or GIDs" in said


def is_going(said: str) -> bool:
    """Return whether Podman refuses to remove a container because it is just ending."""
    return "container state improper" in said


def explained(said: str) -> str:
    """Return what an engine said, with what to do for errors of Podman."""
    if NO_INIT in said:
        return f"Podman has no init for containers; install catatonit on its machine ({said})"
    if NO_FILTER in said:
        return (
            f"Podman cannot read the harness's filter; set TMPDIR to a folder that it sees ({said})"
        )
    return said


def _is_ours(host: str) -> bool:
    """Judge by the owner of the socket."""
    try:
        return os.stat(host.removeprefix("unix://")).st_uid in {0, os.geteuid()}
    except OSError:
        return False


def _bound(limit: Mapping[str, Any]) -> str:
    """Return shell words that set a limit of a process."""
    option, unit = _ULIMIT[limit["Name"]]
    return f"ulimit {option} {int(limit['Hard']) // unit}"


def _most_processes() -> int:
    return _most(resource.RLIMIT_NPROC, int(Path("/proc/sys/kernel/pid_max").read_text()))


def _most_files() -> int:
    return _most(resource.RLIMIT_NOFILE, 1 << 20)


def _most(bound: int, most: int) -> int:
    """Return this process's hard limit, which a service on the same machine has too."""
    _, hard = resource.getrlimit(bound)
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


_MOST = {"nproc": _most_processes, "nofile": _most_files}


class Filter:
    """The table of system calls in a file, which Podman reads each time it makes a container.

    The file needs a name: a rootless Podman may not look at another process's nameless files.
    """

    def __init__(self) -> None:
        """Write the file. Raises EngineError."""
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
        """Remove the file."""
        with contextlib.suppress(OSError):  # `harness clean` will find it
            remove_folder(self._folder)
