"""harness katas: look into what the katas hold, and remove or pack it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from harness.cli import containers
from harness.cli.archive import write_archive
from harness.cli.options import ENGINE_CHOICES, ENGINES, add_out, console, errors
from harness.cli.status import USAGE
from harness.engines.choice import choose
from harness.engines.folders import state_home
from harness.inside.errors import NoSuchAvatar, UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar, check_kata
from harness.inside.store import Increment, Katas
from harness.katas import commits
from harness.katas.places import VOLUME_PREFIX, open_volume
from harness.measure.units import size
from harness.report import terminal
from harness.report.plain import write_out

Sought = TypeVar("Sought")

_WHOSE = {"KATA": "id of a kata, as `list` shows it", "AVATAR": "name of one of its avatars"}


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "katas",
        help="list, show, download, pack and remove what the katas hold",
        description="Look into what the katas hold: who played, what was sent, and what came out.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(
        name: str, help_text: str, function: Callable[[argparse.Namespace], int], *avatar: str
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(
            name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}."
        )
        for argument in avatar:
            parser.add_argument(argument.lower(), metavar=argument, help=_WHOSE[argument])
        parser.add_argument(
            "-k",
            "--katas",
            metavar="PLACE",
            help="a folder, or volume:NAME (default: all that `harness run` keeps)",
        )
        parser.add_argument(
            "-e",
            "--engine",
            choices=ENGINE_CHOICES,
            metavar="NAME",
            default="auto",
            help=f"the engine that has the volumes: {ENGINES} (default auto)",
        )
        parser.set_defaults(command_function=function)
        return parser

    verb("list", "list the katas with their avatars and test events", _list)
    show = verb(
        "show", "show an avatar's test events, or one of them in full", _show, "KATA", "AVATAR"
    )
    show.add_argument(
        "tag", type=int, nargs="?", metavar="TAG", help="tag of a test event (default: list all)"
    )
    diff = verb(
        "diff", "show what the player changed between two test events", _diff, "KATA", "AVATAR"
    )
    diff.add_argument("old", type=int, metavar="OLD", help="a tag; 0 means before the first one")
    diff.add_argument("new", type=int, metavar="NEW", help="a later tag")
    download = verb("download", "write a whole kata into an archive", _download, "KATA")
    download.description = (
        "Write a whole kata, with all its avatars, into an archive; its presses wait meanwhile. "
        "Players made what it holds, and git runs programs that a folder's .git/config names, even "
        "for `git status`: inspect an unpacked sandbox before you call git in it."
    )
    add_out(download, "the archive (default KATA.tgz); - writes it to stdout")
    remove = verb("remove", "remove a kata, or one of its avatars, for good", _remove, "KATA")
    remove.add_argument("avatar", nargs="?", metavar="AVATAR", help="only this avatar")
    remove.add_argument("--yes", action="store_true", help="confirm; without it nothing is removed")
    verb("pack", "pack all histories now; test events do so only now and then", _pack)
    containers.add(verbs)


def _list(options: argparse.Namespace) -> int:
    empty = True
    problems: list[str] = []
    with _places(options) as places:
        for katas in places:
            if avatars := katas.list(unread=lambda kata, problem: problems.append(problem)):
                console.print(terminal.katas(katas.describe(), avatars))
                empty = False
    for problem in problems:
        errors.print(problem, markup=False, soft_wrap=True)
    if empty and not problems:
        errors.print("there are no katas yet; `harness run DIR` makes one", markup=False)
    return USAGE if problems else 0


def _show(options: argparse.Namespace) -> int:
    with _avatar(options) as (katas, avatar, increments):
        if options.tag is None:
            console.print(terminal.increments(f"{avatar} in {katas.describe()}", increments))
            return 0
        with katas.history(avatar) as history:
            record = commits.read_commit(history, options.tag)
    when = datetime.fromtimestamp(record.time, UTC).isoformat()
    errors.print(
        f"{avatar} tag {record.tag}, {when}, exit status {record.status or 'none'}", markup=False
    )
    console.print(terminal.files(record.files))
    write_out(sys.stdout, record.stdout)
    write_out(sys.stderr, record.stderr)
    return 0


def _diff(options: argparse.Namespace) -> int:
    with _avatar(options) as (katas, avatar, _), katas.history(avatar) as history:
        write_out(sys.stdout, commits.diff(history, options.old, options.new))
    return 0


def _remove(options: argparse.Namespace) -> int:
    with _whom(options) as (katas, whom, events):
        if not options.yes:
            raise UsageError(
                f"this removes {whom} (test events: {events}) from {katas.describe()} for good; "
                "confirm "
                "with --yes"
            )
        katas.remove(options.kata, options.avatar)
    errors.print(f"removed {whom} from {katas.describe()}", markup=False)
    return 0


def _download(options: argparse.Namespace) -> int:
    with _kata(options) as (katas, _):
        write_archive(
            options.out, f"{options.kata}.tgz", lambda write: katas.download(options.kata, write)
        )
    return 0


def _pack(options: argparse.Namespace) -> int:
    with _places(options) as places:
        for katas in places:
            sizes = katas.tidy()
            line = (
                f"{katas.describe()}: histories took {size(sizes.before)} of disk, "
                f"now {size(sizes.after)}"
            )
            errors.print(line, markup=False, soft_wrap=True)
    return 0


@contextmanager
def _avatar(options: argparse.Namespace) -> Iterator[tuple[Katas, Avatar, list[Increment]]]:
    avatar = Avatar(options.kata, options.avatar)
    with _found(
        options,
        lambda katas: katas.list(avatar.kata).get(avatar.kata, {}).get(avatar.name),
        f"there is no avatar {avatar}",
    ) as (katas, increments):
        yield katas, avatar, list(increments)


@contextmanager
def _kata(options: argparse.Namespace) -> Iterator[tuple[Katas, str]]:
    """Find the kata, and count its test events, as "unknown" if it cannot be read."""
    check_kata(options.kata)
    with _found(
        options, lambda katas: _events(katas, options.kata), f"there is no kata {options.kata}"
    ) as kata:
        yield kata


@contextmanager
def _whom(options: argparse.Namespace) -> Iterator[tuple[Katas, str, str]]:
    """Find the named avatar, or else the kata: where it is, its name, its number of test events."""
    if options.avatar:
        with _avatar(options) as (katas, avatar, increments):
            yield katas, str(avatar), str(len(increments))
    else:
        with _kata(options) as (katas, events):
            yield katas, f"kata {options.kata}", events


def _events(katas: Katas, kata: str) -> str | None:
    """Count the kata's test events here; "unknown" if unreadable, None if it is not here."""
    unread: dict[str, str] = {}
    avatars = katas.list(kata, unread=unread.__setitem__).get(kata)
    if avatars is not None:
        return str(sum(map(len, avatars.values())))
    return "unknown" if unread else None


@contextmanager
def _found(
    options: argparse.Namespace, look: Callable[[Katas], Sought | None], missing: str
) -> Iterator[tuple[Katas, Sought]]:
    """Find the one place for which `look` returns something, and what it returned.

    Raises NoSuchAvatar with `missing` if there is no such place, UsageError if there are several.
    """
    with _places(options) as places:
        holding = [(katas, sought) for katas in places if (sought := look(katas)) is not None]
        if len(holding) > 1:
            several = "; ".join(katas.describe() for katas, _ in holding)
            raise UsageError(
                f"several places have it, each with a history of its own; choose one with --katas: "
                f"{several}"
            )
        if holding:
            yield holding[0]
            return
        where = (
            ", ".join(katas.describe() for katas in places) or "any place: nothing has been run yet"
        )
        raise NoSuchAvatar(f"{missing} in {where}; `harness katas list` shows what is there")


@contextmanager
def _places(options: argparse.Namespace) -> Iterator[list[Katas]]:
    """Open the katas that --katas names, or all that `harness run` keeps for this user."""
    with ExitStack() as stack:
        named = options.katas
        places: list[Katas] = []
        if named in ("", VOLUME_PREFIX):
            raise UsageError(f"--katas is empty: name a folder, or {VOLUME_PREFIX}NAME")
        if named and not named.startswith(VOLUME_PREFIX):
            if not Path(named).is_dir():
                raise UsageError(f"--katas: there is no folder {named}")
            places.append(FolderKatas(named))
        else:
            engine = stack.enter_context(closing(choose(options.engine).engine))
            wanted = named.removeprefix(VOLUME_PREFIX) if named else None
            volumes = [
                volume.name
                for volume in engine.volumes()
                if (not volume.temporary if wanted is None else volume.name == wanted)
            ]
            if wanted and not volumes:
                raise UsageError(
                    f"the harness has no volume {wanted} on {engine.describe()['engine']}"
                )
            if wanted is None:
                places += [
                    FolderKatas(folder)
                    for folder in sorted((state_home() / "katas").glob("*"))
                    if folder.is_dir()
                ]
            places += [
                stack.enter_context(closing(open_volume(engine, VOLUME_PREFIX + name)))
                for name in volumes
            ]
        yield places
