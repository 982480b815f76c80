"""Ask an engine for an image by name or id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker
import docker.errors


def find_image(api: docker.APIClient, name: str) -> Mapping[str, Any] | None:
    """Return the API's ImageInspect, or None if the engine does not have the image."""
    untyped: Any = api  # the stubs leave this call without types
    try:
        image: Mapping[str, Any] = untyped.inspect_image(name)
    except docker.errors.ImageNotFound:
        return None
    return image
