"""Ask an engine for an image by name or id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker
import docker.errors


def find_image(api: docker.APIClient, name: str) -> Mapping[str, Any] | None:
    """What the engine knows of the image (the API's ImageInspect); None when it has no such image."""
    untyped: Any = api  # the stubs leave this call without types
    try:
        found: Mapping[str, Any] = untyped.inspect_image(name)
    except docker.errors.ImageNotFound:
        return None
    return found
