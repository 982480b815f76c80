"""harness katas containers: list, export and remove data-containers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from harness.cli.archive import write_archive
from harness.cli.options import ENGINE_CHOICES, ENGINES, add_out, console, errors
from harness.engines import Engine, Volume
from harness.engines.choice import choose
from harness.inside.errors import UsageError
from harness.katas.volume_katas import VolumeKatas
from harness.report import terminal


def add(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "containers",
        help="list, export and remove data-containers",
        description="List, export and remove data-containers. A runner makes one for all katas, "
        "one "
        "for each kata, or one for each avatar.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(
        name: str, help_text: str, function: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}."
        )
        parser.add_argument(
            "-e",
            "--engine",
            choices=ENGINE_CHOICES,
            metavar="NAME",
            default="auto",
            help=f"the engine that has the data-containers: {ENGINES} (default auto)",
        )
        parser.set_defaults(command_function=function)
        return parser

    action("list", "list all, with the sizes of visible files, extra files and histories", _list)
    export = action("export", "write everything in one into an archive", _export)
    export.add_argument("name", metavar="NAME", help="the data-container, as `list` shows it")
    add_out(export, "the archive (default NAME.tgz); - writes it to stdout")
    remove = action("remove", "remove one, and all the katas in it, for good", _remove)
    remove.add_argument("name", metavar="NAME", help="the data-container, as `list` shows it")
    remove.add_argument("--yes", action="store_true", help="confirm; without it nothing is removed")


def _list(options: argparse.Namespace) -> int:
    with closing(choose(options.engine).engine) as engine:
        rows = []
        for volume in engine.volumes():
            if not volume.temporary:
                with _katas(engine, volume) as katas:
                    usages = [
                        usage for avatars in katas.usage().values() for usage in avatars.values()
                    ]
                rows.append((volume.name, volume.katas or volume.name, usages))
                for usage in usages:
                    if usage.problem:
                        errors.print(f"{volume.name}: {usage.problem}", markup=False)
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
                f"{volume.name} holds the work of {players} avatar{'s' * (players != 1)}, which "
                "would be "
                "lost; export it first, or confirm with --yes"
            )
        engine.remove_volume(volume.name)
    errors.print(
        f"removed {volume.name}, with {players} avatar{'s' * (players != 1)}", markup=False
    )
    return 0


def _named(engine: Engine, options: argparse.Namespace) -> Volume:
    for volume in engine.volumes():
        if volume.name == options.name:
            return volume
    raise UsageError(
        f"there is no data-container {options.name} on {engine.describe()['engine']}; "
        "`harness katas containers list` shows what is there"
    )


@contextmanager
def _katas(engine: Engine, volume: Volume) -> Iterator[VolumeKatas]:
    with closing(VolumeKatas(engine, volume.name, part_of=volume.katas)) as katas:
        yield katas
