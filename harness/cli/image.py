"""harness image: make the images that runs see, and keep those of the local engine."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.cli.options import console, remark
from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images.recipe import MB
from harness.engines.local.roots.provide import from_archive, from_recipe
from harness.engines.local.roots.store import RootStore, canonical, disk_usage
from harness.inside.errors import UsageError


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "image",
        help="make the images that runs see, and keep those of the local engine",
        description="Make the images that Docker needs, and keep those of the local engine.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    build = verbs.add_parser(
        "build",
        help="build the harness's own anew, from Debian packages or with the Dockerfile",
        description="Build the harness's own images anew: for Docker from Debian packages or with "
        "the Dockerfile, for the local engine from Debian packages, without Docker.",
    )
    build.add_argument(
        "-e",
        "--engine",
        choices=("docker", "local"),
        default="docker",
        help="the engine to build for (default %(default)s)",
    )
    build.set_defaults(command_function=_build)
    taken = verbs.add_parser(
        "import",
        help="take an image from a file for the local engine",
        description="Take an image for the local engine: from what `docker save` writes, or from a "
        "layout of OCI, a folder or an archive. All digests are checked. The root file system is "
        "unpacked once, into the user's cache folder.",
    )
    taken.add_argument("file", type=Path, metavar="FILE", help="an archive, or a folder")
    taken.add_argument(
        "--name",
        metavar="NAME",
        help="what to call it, or which image to take of several (default: as the file says)",
    )
    taken.set_defaults(command_function=_import)
    listed = verbs.add_parser(
        "list",
        help="list the images of the local engine",
        description="List the images of the local engine, with what each takes on the disk.",
    )
    listed.set_defaults(command_function=_list)
    removed = verbs.add_parser(
        "remove",
        help="remove an image of the local engine",
        description="Remove an image of the local engine from the user's cache folder.",
    )
    removed.add_argument("name", metavar="NAME", help="its name, as `harness image list` prints it")
    removed.set_defaults(command_function=_remove)


def _build(options: argparse.Namespace) -> int:
    if options.engine == "local":
        with closing(RootStore()) as store:
            root = from_recipe(store, images.RUN_IMAGE, remark)
            console.print(f"made {images.RUN_IMAGE} on local ({root.digest})", markup=False)
        return 0
    with closing(DockerEngine()) as engine:
        for name in (images.RUN_IMAGE, images.KEEPER_IMAGE):
            images.build(engine.api, name, report=remark)
            console.print(f"made {name} on {engine.describe()['engine']}", markup=False)
    return 0


def _import(options: argparse.Namespace) -> int:
    with closing(RootStore()) as store:
        for name, root in from_archive(store, options.file, options.name, remark):
            console.print(f"imported {name} ({root.digest})", markup=False, soft_wrap=True)
    return 0


def _list(options: argparse.Namespace) -> int:
    with closing(RootStore()) as store:
        for name, about in store.names().items():
            root = store.find(name)
            size = f"{disk_usage(root.folder) / MB:.0f} MB" if root else "gone"
            source = f", from {about.source}" if about.source else ""
            console.print(f"{name}  {about.digest}  {size}{source}", markup=False, soft_wrap=True)
    return 0


def _remove(options: argparse.Namespace) -> int:
    with closing(RootStore()) as store:
        if not store.forget(options.name):
            known = ", ".join(store.names()) or "none"
            raise UsageError(
                f"the local engine has no image {canonical(options.name)}; it has {known}"
            )
        console.print(f"removed {options.name}", markup=False)
    return 0
