"""harness katas containers: the data-containers themselves, made on the fly and easily forgotten."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from harness.cli.archive import write_archive
from harness.cli.options import console, errors
from harness.engines import Engine, Volume
from harness.engines.choice import ENGINE_NAMES, choose
from harness.inside.errors import UsageError
from harness.katas.volume_katas import VolumeKatas
from harness.report import terminal


def add(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "containers",
        help="the data-containers: list with their sizes, export, remove",
        description="Look at the data-containers as such: a runner makes one for all katas, for each kata or for each avatar.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(
        name: str, help_text: str, function: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
        found.add_argument(
            "--engine", choices=ENGINE_NAMES, default="auto", help="whose (default auto)"
        )
        found.set_defaults(command_function=function)
        return found

    action("list", "each with its bytes of visible and of extra files, and of history", _list)
    export = action("export", "all that one holds, as one archive", _export)
    export.add_argument("name", metavar="NAME")
    export.add_argument("--out", type=Path, metavar="FILE", help="default NAME.tgz; - for stdout")
    remove = action("remove", "one with all the katas in it, for ever", _remove)
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="without it nothing is removed")


def _list(options: argparse.Namespace) -> int:
    with closing(choose(options.engine).engine) as engine:
        rows = []
        for each in engine.volumes():
            if not each.temporary:
                with _katas(engine, each) as katas:
                    found = [
                        usage for avatars in katas.usage().values() for usage in avatars.values()
                    ]
                rows.append((each.name, each.katas or each.name, found))
                for usage in found:
                    if usage.problem:
                        errors.print(f"{each.name}: {usage.problem}", markup=False)
        console.print(terminal.containers(rows))
    return 0


def _export(options: argparse.Namespace) -> int:
    with (
        closing(choose(options.engine).engine) as engine,
        _katas(engine, _named(engine, options)) as katas,
    ):
        write_archive(options.out, f"{options.name}.tgz", katas.export)
    return 0


def _remove(options: argparse.Namespace) -> int:
    with closing(choose(options.engine).engine) as engine:
        volume = _named(engine, options)
        with _katas(engine, volume) as katas:
            players = sum(len(avatars) for avatars in katas.list().values())
        if not options.yes:
            raise UsageError(
                f"{volume.name} holds the work of {players} avatar{'s' * (players != 1)}, which would be gone for ever: "
                "add --yes if that is meant, or export it first"
            )
        engine.remove_volume(volume.name)
    errors.print(
        f"removed {volume.name}, with {players} avatar{'s' * (players != 1)}", markup=False
    )
    return 0


def _named(engine: Engine, options: argparse.Namespace) -> Volume:
    for each in engine.volumes():
        if each.name == options.name:
            return each
    raise UsageError(
        f"there is no data-container {options.name} on {engine.describe()['engine']}; "
        "`harness katas containers list` shows them all"
    )


@contextmanager
def _katas(engine: Engine, volume: Volume) -> Iterator[VolumeKatas]:
    with closing(VolumeKatas(engine, volume.name, part_of=volume.katas)) as katas:
        yield katas
