"""Find the image of a run: in the cache, on a Docker engine that has it, or by a recipe."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import docker.errors
import requests.exceptions

from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images.builder import RECIPE_LABEL, RECIPES
from harness.engines.docker.images.lookup import find_image
from harness.engines.docker.images.recipe import MB, ImageRecipe, ReportProgress
from harness.engines.local.roots.archive import (
    StoredImage,
    StoredLayer,
    names_an_image,
    open_archive,
)
from harness.engines.local.roots.store import NamedRoot, Root, RootStore, canonical
from harness.inside.errors import EngineError, ImageError, UsageError

_PIECE = 1 << 20


def provide(store: RootStore, name: str, report: ReportProgress = lambda line: None) -> Root:
    """Return the root of an image, and hold it.

    If it came from Docker, the engine that docker(1) uses is asked, if it answers, whether the name
    stands for another image by now.

    Raises ImageError if nobody has the image.
    """
    about = store.names().get(canonical(name))
    root = store.find(name)
    if root and (about is None or not about.source):
        return root
    try:
        with closing(DockerEngine()) as engine:
            return from_docker(store, engine, name, report)
    except EngineError as error:
        if root:
            return root
        if name in RECIPES and shutil.which("mmdebstrap"):
            return from_recipe(store, name, report)
        made = f", and `harness image build --engine local` makes {name}" if name in RECIPES else ""
        raise ImageError(
            f"the local engine has no image {name}, and Docker gives none ({error}); `harness "
            f"image import FILE` takes what `docker save` writes or a layout of OCI{made}"
        ) from error


def from_docker(store: RootStore, engine: DockerEngine, name: str, report: ReportProgress) -> Root:
    """Take an image from a Docker engine, unless the cache has it as it is there.

    Raises ImageError if the engine does not have it.
    """
    about = store.names().get(canonical(name))
    try:
        found = find_image(engine.api, name)
        if found is None:
            raise ImageError(f"the engine at {engine.host} has no image {name}")
        identity = str(found["Id"])
        if about and about.identity == identity and (root := store.find(name)):
            return root
        report(f"{name}: taking it from {engine.host}, {int(found['Size']) / MB:.0f} MB")
        with store.workshop() as workshop:
            saved = workshop / "saved.tar"
            with saved.open("wb") as file:
                for piece in engine.api.get_image(identity, chunk_size=_PIECE):
                    file.write(piece)
            with open_archive(saved, workshop) as images:
                image = images[0]
                given = NamedRoot(image.digest, engine.host, identity, _recipe(image))
                return store.add(image, [name], given, report=report)
    except docker.errors.APIError as error:
        raise ImageError(f"the engine refused {name}: {error.explanation or error}") from error
    except requests.exceptions.RequestException as error:
        raise ImageError(f"the engine went away while it sent {name} ({error})") from error
    except OSError as error:
        raise ImageError(
            f"{name} cannot be kept in {store.path}: {error.strerror or error}; set "
            "XDG_CACHE_HOME to a folder of your own with room"
        ) from error


def from_archive(
    store: RootStore, path: Path, name: str | None, report: ReportProgress
) -> Sequence[tuple[str, Root]]:
    """Import the images of a file or folder, and return their names and roots.

    `name`: what to call it, or which one to take if the archive holds several. Raises ImageError.
    """
    if name is not None and not names_an_image(name):
        raise UsageError(f"{name!r} cannot name an image")
    with store.workshop() as workshop, open_archive(path, workshop) as images:
        chosen = _chosen(images, name, path)
        made = []
        for image, names in chosen:
            report(f"{', '.join(map(canonical, names))}: unpacking it")
            given = NamedRoot(image.digest, recipe=_recipe(image))
            root = store.add(image, names, given, report=report)
            made += [(canonical(each), root) for each in names]
        return made


def _chosen(
    images: Sequence[StoredImage], name: str | None, path: Path
) -> Iterator[tuple[StoredImage, Sequence[str]]]:
    known = [each for image in images for each in image.names]
    if name is None:
        for image in images:
            if not image.names:
                raise UsageError(f"{path} names no image; give it a name by --name")
            yield image, image.names
    elif len(images) == 1:
        yield images[0], [name]
    else:
        wanted = [
            image
            for image in images
            if canonical(name) in {canonical(each) for each in image.names}
        ]
        if not wanted:
            raise UsageError(
                f"{path} holds {len(images)} images, and none is called {name}: "
                f"{', '.join(known) or 'they have no names'}"
            )
        yield wanted[0], [name]


def from_recipe(store: RootStore, name: str, report: ReportProgress) -> Root:
    """Make one of the harness's own images from Debian packages.

    Raises UsageError for another name, and ImageError if it cannot be made.
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise UsageError(f"the harness has no recipe for {name}; it has {', '.join(RECIPES)}")
    with recipe.alone(report):
        image = _made(recipe, recipe.root_tar(report))
    report(f"{name}: unpacking it")
    return store.add(image, [name], NamedRoot(image.digest, recipe=recipe.digest()), report=report)


def _made(recipe: ImageRecipe, tar: Path) -> StoredImage:
    """Return an image of one layer."""
    with tar.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    config: dict[str, Any] = {
        "config": {"Labels": {RECIPE_LABEL: recipe.digest()}},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    layer = StoredLayer(digest, lambda: tar.open("rb"))
    return StoredImage(json.dumps(config, sort_keys=True).encode(), [layer])


def _recipe(image: StoredImage) -> str:
    with contextlib.suppress(AttributeError):
        return str((image.settings().get("Labels") or {}).get(RECIPE_LABEL, ""))
    return ""
