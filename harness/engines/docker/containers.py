"""The containers of one engine: starting, finding and removing them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http import HTTPStatus
from typing import Any

import docker
import docker.errors
import requests.exceptions

from harness.engines.docker.container_request import (
    RUN_CAPABILITIES,
    container_config,
    create_container,
)
from harness.engines.docker.endpoint import Connection, Endpoint
from harness.engines.docker.failures import explaining
from harness.engines.docker.podman import Podman, is_going
from harness.engines.owner import OWNER_LABEL, Owner
from harness.engines.streams.attached import DockerStream
from harness.inside.errors import EngineError

ATTACH = "stdin=1&stdout=1&stderr=1&stream=1&detachKeys="
"""The query of a request to attach. `detachKeys` is empty, because Podman ends any stream with
those keys.
"""

REMOVAL_SECONDS = 20.0
"""Seconds to wait for a container to disappear: the engine removes it some time after its last
process has ended.
"""


class Containers:
    """The containers that one owner starts, and those that other owners left."""

    def __init__(
        self,
        endpoint: Endpoint,
        api: docker.APIClient,
        owner: Owner,
        security: list[str],
        podman: Podman | None,
    ) -> None:
        """Start containers for `owner`, with the options of `security` (docker-run(1)).

        `podman`: what is known of the engine if it is a Podman, which needs other words.
        """
        self._endpoint, self._api, self._podman = endpoint, api, podman
        self._owner, self._security = str(owner), security
        self._started: set[str] = set()
        self._lock = threading.Lock()

    def start(self, what: str, **options: Any) -> DockerStream:
        """Start a container, and attach to it; `options` are those of `container_config`.

        Raises EngineError, and ImageError where the image has gone.
        """
        control, attaching = (Connection(self._endpoint, self._api.api_version) for _ in range(2))
        with explaining(f"{what} cannot be started"), closing(control), closing(attaching):
            config = self._request(**options)
            container = create_container(control, config)
            with self._lock:
                self._started.add(container)
            try:
                # Attach before the start, so that the HTTP response's read-ahead takes no output.
                attaching.upgrade(f"/containers/{container}/attach?{ATTACH}")
                control.post(f"/containers/{container}/start")
            except BaseException:
                with contextlib.suppress(docker.errors.APIError):
                    self._api.remove_container(container, force=True, v=True)
                raise
            return DockerStream(
                attaching.detach(),
                partial(_quietly, self._api.kill, container),
                stop=partial(_quietly, self._api.stop, container, timeout=0),
                remove=partial(_quietly, self._api.remove_container, container, force=True, v=True),
            )

    def try_to_create(self, image: str) -> None:
        """Create a run-container without starting it, to find out what the engine lacks.

        Raises EngineError.
        """
        with explaining("no run-container can be made"):
            untyped: Any = self._api  # the stubs leave the call without types
            request = self._request(
                image=image, entrypoint=["/bin/sh"], mounts=[], cap_add=RUN_CAPABILITIES, tmpfs={}
            )
            made = untyped.create_container_from_config(request)
            self.remove(str(made["Id"]))

    def remove(self, container: str) -> None:
        """Kill and remove a container; one that has gone or is going is left to itself.

        Raises docker.errors.APIError.
        """
        deadline = time.monotonic() + REMOVAL_SECONDS
        while True:
            try:
                return self._api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                # It has gone, or is going: a container removes itself when its last process ends.
                if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    return None
                if not is_going(str(error.explanation)) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def labelled(self) -> list[dict[str, Any]]:
        """Return the API's ContainerSummary of each that has an owner, running or not."""
        containers: list[dict[str, Any]] = self._api.containers(
            all=True, filters={"label": OWNER_LABEL}
        )
        return containers

    def alive(self) -> set[str]:
        """Return the ids of the containers that this object has started and that still exist."""
        return {container["Id"] for container in self.labelled()} & self._started

    def end_all(self) -> None:
        """Wait for those that this object has started, and remove what does not end by itself."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        with contextlib.suppress(EngineError), explaining("the containers cannot be listed"):
            while time.monotonic() < deadline:
                if not self.alive():
                    break
                time.sleep(0.02)
            for container in self._started if time.monotonic() >= deadline else ():
                with contextlib.suppress(docker.errors.APIError):
                    self.remove(container)

    def translate(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the request for a container in the engine's own words."""
        return self._podman.translate(config) if self._podman else config

    def _request(self, *, image: str, **options: Any) -> dict[str, Any]:
        return self.translate(
            container_config(
                self._api, image, owner=self._owner, security=self._security, **options
            )
        )


def _quietly(end: Callable[..., object], container: str, **options: Any) -> None:
    """End a container by a call of the API. It may have ended, and so may the engine."""
    with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
        end(container, **options)
