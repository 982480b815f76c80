"""harness clean: remove what crashed runs left behind, and nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from harness.cli.options import console, errors
from harness.engines import Engine
from harness.engines.choice import ENGINE_GROUP, choose
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.engine import LocalEngine
from harness.engines.plug_ins import plug_in_names
from harness.inside.errors import HarnessError

_MOST = 8
"""How many things that are left alone for one reason are named."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "clean",
        help="remove what crashed runs left behind",
        description="Remove what crashed runs left behind, and nothing else.",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    parser.set_defaults(command_function=_clean)


def _clean(options: argparse.Namespace) -> int:
    alone: dict[str, list[str]] = {}
    told: set[str] = set()
    others = [partial(_plug_in, name) for name in plug_in_names(ENGINE_GROUP)]
    openers: list[Callable[[], Engine]] = [LocalEngine, DockerEngine, *others]
    for open_engine in openers:
        try:
            engine = open_engine()
        except HarnessError as error:
            errors.print(f"skipped: {error}", style="dim", markup=False)
            continue
        with closing(engine):
            for line in engine.leftovers() if options.dry_run else engine.sweep():
                if line in told:  # by an engine that another one is made of
                    continue
                told.add(line)
                console.print(
                    ("would remove " if options.dry_run else "removed ") + line,
                    markup=False,
                    soft_wrap=True,
                )
            for what, why in engine.left_alone():
                if what not in alone.setdefault(why, []):
                    alone[why].append(what)
    if not told:
        console.print("nothing to remove")
    for why, kept in alone.items():
        more = f" and {len(kept) - _MOST} more" if len(kept) > _MOST else ""
        errors.print(
            f"left alone: {', '.join(kept[:_MOST])}{more}: {why}, so the harness cannot tell from "
            "here "
            "whether it is still needed",
            markup=False,
            soft_wrap=True,
        )
    return 0


def _plug_in(name: str) -> Engine:
    return choose(name).engine
