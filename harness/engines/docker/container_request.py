"""Containers: the request for one, and making it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import docker
import docker.errors
import docker.types

from harness.engines.docker.endpoint import Connection
from harness.engines.docker.podman import is_momentary
from harness.engines.guest.environment import trusted
from harness.engines.owner import OWNER_LABEL
from harness.engines.spec import Limits

RUN_CAPABILITIES = ["SETUID", "SETGID", "SETPCAP", "KILL", "DAC_READ_SEARCH"]
"""The guest's capabilities: to become the player, to end it, and to read what it made unreadable.
The player has none.
"""

KEEPER_CAPABILITIES = ["DAC_OVERRIDE", "FOWNER", "FSETID", "CHOWN"]
"""A keeper's capabilities: to read, replace and remove what a run made unreadable, and to change
the owner of files for a run in a mounted volume without losing their set-id bits.
"""

TRIES, PAUSE_SECONDS = 8, 0.2
"""How often to ask an engine that cannot make a container at the moment, and the longest pause."""


def container_config(
    api: docker.APIClient,
    image: str,
    *,
    owner: str,
    security: list[str],
    entrypoint: list[str],
    mounts: list[docker.types.Mount],
    cap_add: list[str],
    tmpfs: dict[str, str],
    variables: Sequence[str] = (),
    checked: bool = False,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Return the request for a container, in Docker's words.

    - `variables`: the image's, each NAME=VALUE; the container's first process does not get them.
    - `checked`: whether the image has a health check, which is switched off.
    - `limits`: None sets no limits.
    """
    options: dict[str, Any] = {}
    if limits:
        options = {
            "mem_limit": limits.memory,
            "memswap_limit": limits.memory,
            "pids_limit": limits.processes,
            "ulimits": [
                # core(5): with 0, the host's kernel may still start a program for it.
                docker.types.Ulimit(name="core", soft=1, hard=1),
                docker.types.Ulimit(name="fsize", soft=limits.file, hard=limits.file),
                docker.types.Ulimit(name="nofile", soft=limits.open_files, hard=limits.open_files),
            ],
        }
    untyped: Any = api  # the stubs leave the call without types
    config: dict[str, Any] = untyped.create_container_config(
        image,
        entrypoint=entrypoint,
        command=[],
        user="0:0",
        working_dir="/",
        stdin_open=True,
        labels={OWNER_LABEL: owner},
        environment=trusted(variables),
        healthcheck=docker.types.Healthcheck(test=["NONE"]) if checked else None,
        host_config=api.create_host_config(
            auto_remove=True,
            init=True,
            read_only=True,
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=cap_add,
            security_opt=security,
            log_config=docker.types.LogConfig(type="none"),
            mounts=mounts,
            tmpfs=tmpfs,
            **options,
        ),
    )
    return config


def create_container(control: Connection, config: Mapping[str, Any]) -> str:
    """Create a container, and return its id. Raises APIError."""
    tries = 1
    while True:
        try:
            return str(control.post("/containers/create", config)["Id"])
        except docker.errors.APIError as error:
            if tries == TRIES or not is_momentary(str(error.explanation)):
                raise
        tries += 1
        time.sleep(random.uniform(0, PAUSE_SECONDS))  # random, so that two do not collide again
