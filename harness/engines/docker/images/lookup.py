"""Ask an engine for an image by name or id, and for what a run-container takes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors

from harness.engines.docker.failures import explaining
from harness.inside.errors import ImageError


def find_image(api: docker.APIClient, name: str) -> Mapping[str, Any] | None:
    """Return the API's ImageInspect, or None if the engine does not have the image."""
    untyped: Any = api  # the stubs leave this call without types
    try:
        image: Mapping[str, Any] = untyped.inspect_image(name)
    except docker.errors.ImageNotFound:
        return None
    return image


@dataclass(frozen=True)
class RunImage:
    """What a run-container takes from its image."""

    name: str
    """As the user calls it."""

    identity: str
    """Its id, "sha256:..."."""

    variables: tuple[str, ...]
    """Its variables, each NAME=VALUE."""

    checked: bool
    """Whether it has a health check, which would run as root beside the player's files."""


class RunImages:
    """Looks each image up once, so that the image that runs is the one that was examined."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api = api
        self._found: dict[str, RunImage] = {}

    def find(self, name: str) -> RunImage:
        """Return the image of this name. Raises ImageError if the engine does not have it."""
        image = self._found.get(name)
        if image is None:
            with explaining(f"the image {name} cannot be examined"):
                inspected = find_image(self._api, name)
            if inspected is None:
                raise ImageError(
                    f"the run-container cannot be started: there is no image {name} on this "
                    "engine; `harness image build` makes the harness's own"
                )
            config = inspected.get("Config") or {}
            image = RunImage(
                name,
                str(inspected["Id"]),
                tuple(config.get("Env") or ()),
                bool(config.get("Healthcheck")),
            )
            self._found[name] = image
        return image

    def forget(self, image: RunImage) -> None:
        """Look it up again next time: it may be built anew."""
        self._found.pop(image.name, None)
