"""Why was the sub-folder mount empty? See the README beside this file."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import docker.errors
import docker.types
import docker.utils
import pytest

from harness.engines.docker import images
from harness.engines.docker.engine import SUBPATH_API, DockerEngine
from harness.engines.owner import OWNER_LABEL, Owner
from harness.engines.spec import PartOfVolume
from harness.inside.errors import EngineError


@pytest.fixture(params=["DOCKER_HOST", "HARNESS_DOCKER26"])
def engine(request: pytest.FixtureRequest) -> Iterator[DockerEngine]:
    host = os.environ.get(request.param)
    if request.param != "DOCKER_HOST" and not host:
        pytest.skip(f"{request.param} is not set")
    try:
        opened = DockerEngine(host)
    except EngineError as error:
        pytest.skip(str(error))
    with closing(opened):
        images.ensure(opened.api, images.KEEPER_IMAGE, report=lambda line: None)
        yield opened


@pytest.fixture
def volume(engine: DockerEngine) -> Iterator[str]:
    """Make a data-container with the sandboxes of two avatars."""
    name = f"harness-subpath-{secrets.token_hex(4)}"
    engine.create_volume(name, temporary=True)
    try:
        run(engine, docker.types.Mount("/katas", name, type="volume"), FILL)
        yield name
    finally:
        engine.remove_volume(name)


FILL = """
import os
for avatar in ("lion", "tiger"):
    os.mkdir(f"/katas/{avatar}")
    open(f"/katas/{avatar}/{avatar}-s", "w").close()
"""

LOOK = "import os; print(*sorted(os.listdir('/sandbox')))"


def run(engine: DockerEngine, mount: docker.types.Mount, code: str) -> list[str]:
    """Return the words that a Python program prints in a container with this mount."""
    api: Any = engine.api
    made = api.create_container(
        images.KEEPER_IMAGE,
        entrypoint=["python3", "-I", "-c", code],
        command=[],
        labels={OWNER_LABEL: str(Owner.current())},
        host_config=api.create_host_config(mounts=[mount], network_mode="none"),
    )
    try:
        api.start(made)
        assert api.wait(made)["StatusCode"] == 0, api.logs(made)
        return str(api.logs(made, stdout=True, stderr=False).decode()).split()
    finally:
        with suppress(docker.errors.APIError):
            api.remove_container(made, force=True)


def test_the_notes_mount_as_it_was(
    engine: DockerEngine, volume: str, figure: Callable[[str], None]
) -> None:
    """`-v /katas/lion:/sandbox` from a container that sees the volume at /katas mounts nothing.

    The engine looks for that folder on its own host, makes it there, and mounts it empty.
    """
    path = f"/tmp/{volume}/lion"
    assert run(
        engine,
        docker.types.Mount("/katas", volume, type="volume"),
        "import os; print(*os.listdir('/katas/lion'))",
    )
    api: Any = engine.api
    made = api.create_container(
        images.KEEPER_IMAGE,
        entrypoint=["python3", "-I", "-c", LOOK],
        command=[],
        labels={OWNER_LABEL: str(Owner.current())},
        host_config=api.create_host_config(binds=[f"{path}:/sandbox:rw"], network_mode="none"),
    )
    try:
        api.start(made)
        assert api.wait(made)["StatusCode"] == 0
        names = str(api.logs(made, stderr=False).decode()).split()
    finally:
        api.remove_container(made, force=True)
        shutil.rmtree(f"/tmp/{volume}", ignore_errors=True)
    assert names == []
    figure(f"the notes' mount on {engine.describe()['engine']} shows {len(names)} files")


def test_a_sub_folder_is_mounted_alone_or_refused(
    engine: DockerEngine, volume: str, figure: Callable[[str], None]
) -> None:
    """An older engine ignores the option silently, and shows the files of all avatars."""
    part = docker.types.Mount("/sandbox", volume, type="volume")
    part["VolumeOptions"] = {"Subpath": "lion"}
    names = run(engine, part, LOOK)
    knows = not docker.utils.version_lt(engine.api.api_version, SUBPATH_API)
    assert names == (["lion-s"] if knows else ["lion", "tiger"])
    assert bool(engine.refusal(PartOfVolume)) == (not knows)
    figure(f"volume-subpath=lion on {engine.describe()['engine']} shows: {' '.join(names)}")
