"""Mounts of sandboxes, as the Docker engine takes them."""

from __future__ import annotations

import docker
import docker.types

from harness.engines.docker.failures import explaining
from harness.engines.docker.images.facts import SANDBOX, VOLUME
from harness.engines.overlays import overlay_options
from harness.engines.spec import Mount, Overlay, PartOfVolume, WholeVolume


def docker_mount(api: docker.APIClient, mount: Mount) -> tuple[str, docker.types.Mount]:
    """Return the path of the sandbox in the run-container, and what to mount.

    Raises EngineError if the volume of an overlay cannot be found.
    """
    if isinstance(mount, WholeVolume):
        return f"{VOLUME}/{mount.sandbox}", docker.types.Mount(
            VOLUME, mount.volume, type="volume", no_copy=True
        )
    if isinstance(mount, PartOfVolume):
        part = docker.types.Mount(SANDBOX, mount.volume, type="volume", no_copy=True)
        part["VolumeOptions"]["Subpath"] = mount.folder  # docker-py does not know it
        return SANDBOX, part
    if isinstance(mount, Overlay):
        return SANDBOX, _overlay(api, mount)
    return SANDBOX, docker.types.Mount(SANDBOX, str(mount), type="bind")


def _overlay(api: docker.APIClient, mount: Overlay) -> docker.types.Mount:
    """Return an anonymous volume, which is mounted while the container lives."""
    with explaining(f"the volume {mount.volume} cannot be found"):
        root = str(api.inspect_volume(mount.volume)["Mountpoint"])
    options = overlay_options(root, mount)
    driver = docker.types.DriverConfig(
        "local", {"type": "overlay", "device": "overlay", "o": options}
    )
    return docker.types.Mount(SANDBOX, None, type="volume", no_copy=True, driver_config=driver)
