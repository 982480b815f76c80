"""The volumes of one engine: their labels, and how long one stays in use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus

import docker
import docker.errors

from harness.engines import Volume, part_of
from harness.engines.docker.containers import REMOVAL_SECONDS
from harness.engines.docker.failures import explaining
from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.inside.errors import UsageError


class DockerVolumes:
    """The volumes that hold katas. The methods are those of an engine."""

    def __init__(self, api: docker.APIClient, owner: Owner) -> None:
        self._api, self._owner = api, str(owner)

    def create(self, name: str, *, temporary: bool, katas: str = "") -> None:
        labels = {OWNER_LABEL: self._owner, KATAS: katas or name} | (
            {TEMPORARY: "yes"} if temporary else {}
        )
        with explaining(f"the volume {name} cannot be made"):
            try:
                volume = self._api.inspect_volume(name)
            except docker.errors.NotFound:
                self._api.create_volume(name, labels=labels)
            else:
                if OWNER_LABEL not in (volume.get("Labels") or {}):
                    raise UsageError(f"the volume {name} is not the harness's; choose another name")

    def remove(self, name: str) -> None:
        deadline = time.monotonic() + REMOVAL_SECONDS
        with explaining(f"the volume {name} cannot be removed"):
            while True:
                try:
                    return self._api.remove_volume(name)
                except docker.errors.NotFound:
                    return None
                except docker.errors.APIError as error:
                    # Its keeper ends asynchronously, and holds the volume until then.
                    if error.status_code != HTTPStatus.CONFLICT or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def list(self) -> Sequence[Volume]:
        with explaining("the volumes cannot be listed"):
            volumes = self._api.volumes(filters={"label": OWNER_LABEL})["Volumes"] or []
        return [
            Volume(
                volume["Name"],
                TEMPORARY in volume["Labels"],
                part_of(volume["Name"], volume["Labels"].get(KATAS)),
            )
            for volume in volumes
        ]
