"""Mounts of sandboxes, as the Docker engine takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import docker.types
import docker.utils

from harness.engines.docker.failures import explaining
from harness.engines.docker.images.facts import SANDBOX, VOLUME
from harness.engines.overlays import overlay_options, overlay_refusal
from harness.engines.spec import HostFolder, Mount, Overlay, PartOfVolume, WholeVolume

SUBPATH_API = "1.45"
"""The first version of the API that knows volume-subpath, of Docker 26."""


@dataclass(frozen=True)
class DockerMount:
    """How the engine makes one kind of mount."""

    make: Callable[[docker.APIClient, Any], tuple[str, docker.types.Mount]]
    """Given the API and the mount, returns the path of the sandbox in the run-container, and what
    to mount there. Raises EngineError.
    """

    refusal: Callable[[str, str], str] = lambda api, kernel: ""
    """Given the versions of the API and of the kernel, says why it cannot be made. Empty: it can.
    """

    late: bool = False
    """Whether a run-container starts only at its first use, because nothing may write to what it
    mounts while it is mounted.
    """


def _host_folder(api: docker.APIClient, mount: HostFolder) -> tuple[str, docker.types.Mount]:
    return SANDBOX, docker.types.Mount(SANDBOX, str(mount.path), type="bind")


def _whole_volume(api: docker.APIClient, mount: WholeVolume) -> tuple[str, docker.types.Mount]:
    whole = docker.types.Mount(VOLUME, mount.volume, type="volume", no_copy=True)
    return f"{VOLUME}/{mount.sandbox}", whole


def _part_of_volume(api: docker.APIClient, mount: PartOfVolume) -> tuple[str, docker.types.Mount]:
    part = docker.types.Mount(SANDBOX, mount.volume, type="volume", no_copy=True)
    part["VolumeOptions"]["Subpath"] = mount.folder  # docker-py does not know it
    return SANDBOX, part


def _overlay(api: docker.APIClient, mount: Overlay) -> tuple[str, docker.types.Mount]:
    """Make an anonymous volume, which is mounted while the container lives."""
    with explaining(f"the volume {mount.volume} cannot be found"):
        root = str(api.inspect_volume(mount.volume)["Mountpoint"])
    options = overlay_options(root, mount)
    driver = docker.types.DriverConfig(
        "local", {"type": "overlay", "device": "overlay", "o": options}
    )
    return SANDBOX, docker.types.Mount(
        SANDBOX, None, type="volume", no_copy=True, driver_config=driver
    )


def _no_subpath(api: str, kernel: str) -> str:
    if not docker.utils.version_lt(api, SUBPATH_API):
        return ""
    return (
        f"this engine (API {api}) ignores volume-subpath and would mount the files of all avatars; "
        f"use Docker 26 (API {SUBPATH_API}), or take katas-data-container instead"
    )


DOCKER_MOUNTS: Mapping[type[Mount], DockerMount] = {
    HostFolder: DockerMount(_host_folder),
    WholeVolume: DockerMount(_whole_volume),
    PartOfVolume: DockerMount(_part_of_volume, _no_subpath),
    Overlay: DockerMount(_overlay, lambda api, kernel: overlay_refusal(kernel), late=True),
}
"""Each kind of mount that the engine makes."""
