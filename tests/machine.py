"""The engines of this machine that tests run on, and why others are missing."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from harness.engines import Engine
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import EngineError

ENGINES = tuple(
    os.environ.get("HARNESS_TEST_ENGINES", "local,local-plain,docker,docker26").split(",")
)
"""Those that a test of any engine runs on; Podman only when it is named, as nearly all that it has
in common with Docker is tried there.
"""
DOCKER26 = "HARNESS_DOCKER26"
"""Environment variable with the DOCKER_HOST of a second engine, Docker 26 or later."""
PODMAN = "HARNESS_PODMAN"
"""The same of a Podman, 4.3 or later."""
ELSEWHERE = {"docker26": (DOCKER26, "Docker 26"), "podman": (PODMAN, "Podman")}


@cache
def missing(name: str) -> str:
    """Why an engine cannot be tested here; empty if it can."""
    if name == "local":
        return bubblewrap_problem()
    variable, what = ELSEWHERE.get(name, ("", ""))
    if variable and not os.environ.get(variable):
        return f"{variable} does not name the socket of a {what}"
    if name.startswith(("docker", "podman")):
        try:
            make_engine(name, Path()).close()
        except EngineError as error:
            return str(error)
    return ""


def make_engine(name: str, home: Path) -> Engine:
    """A fresh engine object; `home` is for the local ones."""
    if name in ELSEWHERE:
        return DockerEngine(os.environ[ELSEWHERE[name][0]])
    if name == "docker":
        return DockerEngine()
    return LocalEngine(home, bubblewrap=name == "local")
