"""What owners that have ended left on one engine: containers and temporary volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import docker

from harness.engines.docker.containers import Containers
from harness.engines.docker.failures import explaining
from harness.engines.docker.volumes import DockerVolumes
from harness.engines.owner import OWNER_LABEL, TEMPORARY, Owner

_INHERITED = "it has its label from an image that was made of a container"


class DockerLeftovers:
    """Finds and removes what a crash left. The methods are those of an engine."""

    def __init__(
        self, api: docker.APIClient, containers: Containers, volumes: DockerVolumes
    ) -> None:
        self._api, self._containers, self._volumes = api, containers, volumes

    def find(self) -> Sequence[str]:
        """Say what owners left that have ended, a line each."""
        return _lines(*self._left())

    def sweep(self) -> Sequence[str]:
        """Remove what `find` says, and say what was removed."""
        containers, volumes = self._left()
        with explaining("what a crash left cannot be removed"):
            for container in containers:
                self._containers.remove(container)
        for volume in volumes:
            self._volumes.remove(volume)
        return _lines(containers, volumes)

    def doubts(self) -> Sequence[tuple[str, str]]:
        """Return what may be a leftover but cannot be judged from here, each with the reason."""
        containers, volumes = self._temporary()
        doubts = [(f"container {name}", _INHERITED) for name in self._heirs()]
        doubts += [(f"container {name}", owner.fate().doubt) for name, owner in containers]
        doubts += [(f"volume {name}", owner.fate().doubt) for name, owner in volumes]
        return [(what, doubt) for what, doubt in doubts if doubt]

    def _left(self) -> tuple[list[str], list[str]]:
        containers, volumes = self._temporary()
        return (
            [name for name, owner in containers if owner.has_gone()],
            [name for name, owner in volumes if owner.has_gone()],
        )

    def _heirs(self) -> list[str]:
        """Return the containers whose owner is that of their image: `docker commit` wrote it there.

        They are not the harness's, which gives each container another owner.
        """
        with explaining("the containers cannot be listed"):
            labelled = self._api.images(filters={"label": OWNER_LABEL})
            owners = {image["Id"]: _owner(image) for image in labelled}
            return [
                item["Id"][:12]
                for item in self._containers.labelled()
                if (owner := _owner(item)) and owners.get(item["ImageID"]) == owner
            ]

    def _temporary(self) -> tuple[list[tuple[str, Owner]], list[tuple[str, Owner]]]:
        """Return the containers and volumes that are removed with their owners, and the owners."""
        with explaining("the containers cannot be listed"):
            heirs = self._heirs()
            found = [(item["Id"][:12], _owner(item)) for item in self._containers.labelled()]
            containers = [(name, owner) for name, owner in found if name not in heirs]
            labelled = self._api.volumes(filters={"label": TEMPORARY})["Volumes"] or []
            volumes = [(item["Name"], _owner(item)) for item in labelled]
        return (
            [(name, owner) for name, owner in containers if owner],
            [(name, owner) for name, owner in volumes if owner],
        )


def _lines(containers: Sequence[str], volumes: Sequence[str]) -> list[str]:
    return [
        *(f"container {container}" for container in containers),
        *(f"volume {volume}" for volume in volumes),
    ]


def _owner(labelled: Mapping[str, Any]) -> Owner | None:
    return Owner.parse((labelled.get("Labels") or {}).get(OWNER_LABEL, ""))
