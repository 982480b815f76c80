"""harness image: make the images that Docker needs."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from harness.cli.options import console, remark
from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "image",
        help="make the images that Docker needs",
        description="Make the images that Docker needs.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    build = verbs.add_parser(
        "build",
        help="build them anew, from Debian packages or with the Dockerfile",
        description="Build the images anew, from Debian packages or with the Dockerfile.",
    )
    build.set_defaults(command_function=_build)


def _build(options: argparse.Namespace) -> int:
    with closing(DockerEngine()) as engine:
        for name in (images.RUN_IMAGE, images.KEEPER_IMAGE):
            images.build(engine.api, name, report=remark)
            console.print(f"made {name} on {engine.describe()['engine']}", markup=False)
    return 0
