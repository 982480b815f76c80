"""harness katas: a look into a store."""

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
from harness.cli.options import USAGE, console, errors
from harness.engines.choice import ENGINE_NAMES, choose
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
        help="list, show, diff and download what the katas hold",
        description="Look into what the katas hold: who played, what was sent, what came out.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(
        name: str, help_text: str, function: Callable[[argparse.Namespace], int], *avatar: str
    ) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
        for argument in avatar:
            found.add_argument(argument.lower(), metavar=argument, help=_WHOSE[argument])
        found.add_argument(
            "--katas",
            metavar="PLACE",
            help="a folder, or volume:NAME (default: all that `harness run` keeps)",
        )
        found.add_argument(
            "--engine", choices=ENGINE_NAMES, default="auto", help="whose volume (default auto)"
        )
        found.set_defaults(command_function=function)
        return found

    verb("list", "the katas, their avatars and test events at a glance", _list)
    show = verb("show", "an avatar's test events, or one of them whole", _show, "KATA", "AVATAR")
    show.add_argument(
        "tag", type=int, nargs="?", metavar="TAG", help="of a test event (default: all of them)"
    )
    diff = verb("diff", "what the player changed between two test events", _diff, "KATA", "AVATAR")
    diff.add_argument("old", type=int, metavar="OLD", help="a tag; 0 is before the first")
    diff.add_argument("new", type=int, metavar="NEW", help="a later tag")
    download = verb("download", "the whole kata, of all avatars, as one archive", _download, "KATA")
    remove = verb("remove", "a kata, or one avatar of it, for good", _remove, "KATA")
    remove.add_argument("avatar", nargs="?", metavar="AVATAR", help="default: all of them")
    remove.add_argument("--yes", action="store_true", help="without it nothing is removed")
    download.description = (
        "The whole kata, of all avatars, as one archive; its presses wait meanwhile. What is in it comes from players: git "
        "runs programs that the .git/config of a folder names, even for `git status`, so look into an unpacked sandbox before "
        "you call git in it."
    )
    download.add_argument("--out", type=Path, metavar="FILE", help="default KATA.tgz; - for stdout")
    verb("pack", "make the histories small now, which each avatar's presses do in time", _pack)
    containers.add(verbs)


def _list(options: argparse.Namespace) -> int:
    empty = True
    problems: list[str] = []
    with _places(options) as places:
        for katas in places:
            if found := katas.list(unread=lambda kata, problem: problems.append(problem)):
                console.print(terminal.katas(katas.describe(), found))
                empty = False
    for problem in problems:
        errors.print(problem, markup=False, soft_wrap=True)
    if empty and not problems:
        errors.print("there are no katas yet; `harness run DIR` makes some", markup=False)
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
                f"{whom} (test events: {events}) would be removed from {katas.describe()} for good; say so with --yes"
            )
        katas.remove(options.kata, options.avatar)
    errors.print(f"{whom} was removed from {katas.describe()}", markup=False)
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
            line = f"{katas.describe()}: histories of {size(sizes.before)} on the disk, now {size(sizes.after)}"
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
    """Where it is, and how many test events it has, which nobody knows of one that cannot be read."""
    check_kata(options.kata)
    with _found(
        options, lambda katas: _events(katas, options.kata), f"there is no kata {options.kata}"
    ) as found:
        yield found


@contextmanager
def _whom(options: argparse.Namespace) -> Iterator[tuple[Katas, str, str]]:
    """An avatar, if one is named, or the whole kata: where it is, its name, and how many test events it has."""
    if options.avatar:
        with _avatar(options) as (katas, avatar, increments):
            yield katas, str(avatar), str(len(increments))
    else:
        with _kata(options) as (katas, events):
            yield katas, f"kata {options.kata}", events


def _events(katas: Katas, kata: str) -> str | None:
    """How many test events of it these katas hold; None where they do not hold it."""
    unread: dict[str, str] = {}
    found = katas.list(kata, unread=unread.__setitem__)
    if kata in found:
        return str(sum(map(len, found[kata].values())))
    return "unknown" if unread else None


@contextmanager
def _found(
    options: argparse.Namespace, look: Callable[[Katas], Sought | None], missing: str
) -> Iterator[tuple[Katas, Sought]]:
    """The one place that has what is looked for, and what was found there."""
    with _places(options) as places:
        holding = [(katas, found) for katas in places if (found := look(katas)) is not None]
        if len(holding) > 1:
            several = "; ".join(katas.describe() for katas, _ in holding)
            raise UsageError(
                f"it is in several places, each with a history of its own: {several}; give --katas"
            )
        if holding:
            yield holding[0]
            return
        where = ", ".join(katas.describe() for katas in places) or "no place: nothing was run yet"
        raise NoSuchAvatar(f"{missing} in {where}; `harness katas list` shows them all")


@contextmanager
def _places(options: argparse.Namespace) -> Iterator[list[Katas]]:
    """The katas that were named, or all that `harness run` keeps for this user."""
    with ExitStack() as stack:
        named = options.katas
        found: list[Katas] = []
        if named and not named.startswith(VOLUME_PREFIX):
            if not Path(named).is_dir():
                raise UsageError(f"there are no katas in {named}: there is no such folder")
            found.append(FolderKatas(named))
        else:
            engine = stack.enter_context(closing(choose(options.engine).engine))
            wanted = named.removeprefix(VOLUME_PREFIX) if named else None
            volumes = [
                each.name
                for each in engine.volumes()
                if (not each.temporary if wanted is None else each.name == wanted)
            ]
            if wanted and not volumes:
                raise UsageError(
                    f"there is no volume {wanted} of the harness's on {engine.describe()['engine']}"
                )
            if wanted is None:
                found += [
                    FolderKatas(each)
                    for each in sorted((state_home() / "katas").glob("*"))
                    if each.is_dir()
                ]
            found += [
                stack.enter_context(closing(open_volume(engine, VOLUME_PREFIX + each)))
                for each in volumes
            ]
        yield found
