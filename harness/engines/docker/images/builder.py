"""Build the harness's own images: from Debian packages if possible, else from the Dockerfile."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import docker
import docker.errors
import requests.exceptions

from harness.engines.docker.images.lookup import find_image
from harness.engines.docker.images.recipe import MB, ImageRecipe, ReportProgress
from harness.engines.fixtures import fixture
from harness.inside.errors import ImageError, UsageError

RUN_IMAGE = "harness-gcc"
"""The default image of run-containers: gcc, make, GNU tar and sh."""

KEEPER_IMAGE = "harness-keeper"
"""The image of keepers: Python and GNU tar."""

RECIPE_LABEL = "harness.recipe"
"""Label with the digest of the image's recipe."""

RECIPES = {
    RUN_IMAGE: ImageRecipe(RUN_IMAGE, "gcc"),
    KEEPER_IMAGE: ImageRecipe(KEEPER_IMAGE, "keeper"),
}

_INSTALL = (
    ["apt-get", "update"],
    ["apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"],
)


def ensure(api: docker.APIClient, name: str, *, report: ReportProgress) -> None:
    """Build `name` unless this engine has it from the current recipe.

    Raises ImageError if it cannot be built, and for a missing image that is not the harness's own.
    """
    recipe = RECIPES.get(name)
    with _explained(name):
        if recipe is None:
            if find_image(api, name) is None:
                raise ImageError(f"there is no image {name} on this engine: docker pull {name}")
        elif not _is_current(api, recipe):
            with recipe.alone(report):
                if not _is_current(api, recipe):  # another process may just have built it
                    make_image(api, recipe, report)


def build(api: docker.APIClient, name: str, *, report: ReportProgress) -> None:
    """Build one of the harness's own images on this engine, and remove the older one unless in use.

    `report` gets a short line at each stage, and every second or two while a stage lasts. Raises
    UsageError for another name, and ImageError if it cannot be built.
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise UsageError(f"the harness has no recipe for {name}; it has {', '.join(RECIPES)}")
    with _explained(name), recipe.alone(report):
        make_image(api, recipe, report)


def _is_current(api: docker.APIClient, recipe: ImageRecipe) -> bool:
    image = find_image(api, recipe.image)
    return (
        image is not None
        and (image["Config"].get("Labels") or {}).get(RECIPE_LABEL) == recipe.digest()
    )


def make_image(api: docker.APIClient, recipe: ImageRecipe, report: ReportProgress) -> None:
    """Build the image, or import its root file system. Raises ImageError."""
    started = time.monotonic()
    before = find_image(api, recipe.image)
    if _have_mmdebstrap(report):
        _import(api, recipe, report)
    else:
        _build_dockerfile(api, recipe, report)
    if before is not None:
        _remove_unless_named(api, before["Id"])
    report(f"{recipe.image}: made in {time.monotonic() - started:.0f} s")


def _have_mmdebstrap(report: ReportProgress) -> bool:
    """Return whether mmdebstrap is here, or could be installed: by root, on Debian and the like."""
    if shutil.which("mmdebstrap"):
        return True
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    unattended = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in _INSTALL:
        report(" ".join(command))
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=unattended, check=False
        )
        if done.returncode:
            report(f"`{' '.join(command)}` failed: falling back to the Dockerfile")
            return False
    return True


def _import(api: docker.APIClient, recipe: ImageRecipe, report: ReportProgress) -> None:
    root = recipe.root_tar(report)
    report(f"{recipe.image}: importing {root.stat().st_size / MB:.0f} MB")
    # Given a file name, docker-py sends the file in pieces, and waits as long as the engine needs.
    answer: str = api.import_image_from_file(
        str(root),
        repository=recipe.image,
        tag="latest",
        changes=['CMD ["/bin/sh"]', f"LABEL {RECIPE_LABEL}={recipe.digest()}"],
    )
    _check(recipe.image, (json.loads(line) for line in answer.splitlines()))


def _build_dockerfile(api: docker.APIClient, recipe: ImageRecipe, report: ReportProgress) -> None:
    arguments = {"RECIPE": recipe.digest()}
    if suite := os.environ.get("SUITE"):
        arguments["SUITE"] = suite
    lines: Iterator[Mapping[str, Any]] = api.build(
        path=str(fixture("images")),
        target=recipe.target,
        tag=recipe.image,
        buildargs=arguments,
        forcerm=True,
        decode=True,
    )
    _check(recipe.image, _reported(lines, recipe.image, report))


def _reported(
    lines: Iterable[Mapping[str, Any]], name: str, report: ReportProgress
) -> Iterator[Mapping[str, Any]]:
    """Yield the same lines, and report each step of the Dockerfile."""
    for line in lines:
        said = str(line.get("stream", "")).strip()
        if said.startswith("Step "):
            report(f"{name}: {said}")
        yield line


def _check(name: str, answers: Iterable[Mapping[str, Any]]) -> None:
    """Read all of the engine's answers, and raise ImageError if one is an error."""
    for answer in answers:
        if "error" in answer:
            raise ImageError(f"the engine could not make {name}: {answer['error']}")


def _remove_unless_named(api: docker.APIClient, identity: str) -> None:
    """Remove an image that has lost its only name, unless a container uses it."""
    image = find_image(api, identity)
    if image is not None and not image["RepoTags"]:
        with contextlib.suppress(docker.errors.APIError):
            api.remove_image(identity)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn a failure of the engine into one clear line."""
    try:
        yield
    except docker.errors.APIError as error:
        raise ImageError(
            f"the engine could not make {name}: {error.explanation or error}"
        ) from error
    except requests.exceptions.RequestException as error:
        raise ImageError(
            f"the engine went away while it made {name} ({error}); try again"
        ) from error
