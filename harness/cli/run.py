"""harness run: one test event on a tree of the user's own."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from pathlib import Path
from typing import Any, TextIO

from harness import runners
from harness.cli.options import add_engine, add_exclude, add_runner, errors, positive, remark, warn
from harness.engines import Limits
from harness.engines.choice import warning
from harness.engines.folders import state_home
from harness.inside.errors import KatasError
from harness.inside.layout import Avatar
from harness.inside.store import Increment
from harness.katas.gather import left_out_line
from harness.katas.places import VOLUME, VOLUME_PREFIX
from harness.katas.visible import VisibleFiles
from harness.measure.trials import check_command
from harness.measure.units import ago, seconds
from harness.report import terminal
from harness.report.plain import shown_in_colour
from harness.runners.base import COMMAND, BaseRunner
from harness.runners.library import open_runner
from harness.runners.products import product_lines as told
from harness.runners.run import Outcome, Run

TIMED_OUT = 124
"""Exit status of a run past its limit, as timeout(1) has it."""

TRANSPORT_SECONDS = 60.0
"""How much longer than its command a whole test event may take, where the command may take long."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="play one test event on a folder",
        description="Play one test event: the files of DIR go to an avatar in the katas, and the command runs "
        "on them. Play it again after an edit, and the build is incremental. Exits with the command's own "
        "status, with 124 past the limit, and with 2 where it could not be played, which a line that begins with "
        "'harness:' or 'faulty' tells.",
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the visible files; it is only read"
    )
    add_runner(parser, default="katas-data-container")
    add_engine(parser)
    parser.add_argument(
        "--command", default=COMMAND, help="the command line to run (default %(default)s)"
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=10.0,
        help="limit of the command (default %(default)g)",
    )
    parser.add_argument(
        "--katas",
        metavar="PLACE",
        help="a folder, or volume:NAME (default: kept for you between runs)",
    )
    parser.add_argument("--avatar", default="lion", help="who plays (default %(default)s)")
    parser.add_argument(
        "--kata", metavar="ID", help="10 of 0-9A-Z (default: one that goes with DIR)"
    )
    add_exclude(parser)
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="begin in an empty sandbox; the history of the avatar goes on",
    )
    parser.add_argument(
        "--changes",
        action="store_true",
        help="list the files that the run made, changed and deleted",
    )
    parser.set_defaults(command_function=_run)


def _run(options: argparse.Namespace) -> int:
    place = default_place(options.runner) if options.katas is None else options.katas
    stores = [state_home(), *([] if place.startswith(VOLUME_PREFIX) else [place])]
    files = VisibleFiles.from_folder(options.folder, exclude=options.exclude, stores=stores)
    if files.left_out:
        remark(left_out_line(files.left_out))
    check_command(files, options.command, str(options.folder))
    avatar = Avatar(options.kata or kata_of(options.folder), options.avatar)
    with open_runner(
        options.runner,
        engine=options.engine,
        katas=place,
        image=options.image,
        command=options.command,
        limits=Limits(
            event_seconds=max(Limits.event_seconds, options.max_seconds + TRANSPORT_SECONDS)
        ),
        isolated=False,
        report=remark,
    ) as runner:
        if options.engine != "local-plain":
            warn(warning(runner.engine))
        if not options.fresh and (before := _last(runner, avatar)):
            remark(f"goes on from tag {before.tag} of {ago(before.time)}; --fresh begins anew")
        run = runner.run(
            avatar,
            files,
            max_seconds=options.max_seconds,
            fresh=options.fresh,
            products=options.changes,
        )
        _write(sys.stdout, run.stdout)
        if run.stdout and not run.stdout.endswith("\n") and sys.stdout.isatty():
            sys.stdout.write("\n")
        sys.stdout.flush()
        _write(sys.stderr, run.stderr)
        _explain(
            run,
            f"{runner.name} on {runner.engine.describe()['engine']}, "
            f"avatar {avatar.name} of kata {avatar.kata} in {runner.katas.describe()}",
            options.max_seconds,
        )
        for line in told(run.products) if run.products else ():
            errors.print(line, markup=False, soft_wrap=True)
    if run.outcome is Outcome.FAULTY:
        return 2
    return TIMED_OUT if run.status is None else run.status


def _write(out: TextIO, text: str) -> None:
    """A run's output; a person's terminal does nothing that it says, but to show its colours."""
    out.write(shown_in_colour(text) if out.isatty() else text)


def _last(runner: BaseRunner, avatar: Avatar) -> Increment | None:
    """The avatar's last accepted test event. Another project may have been at this path then."""
    with contextlib.suppress(KatasError):  # the run itself will tell
        increments = runner.katas.list(avatar.kata).get(avatar.kata, {}).get(avatar.name, ())
        return increments[-1] if increments else None
    return None


def kata_of(folder: Path) -> str:
    """A kata id that goes with this folder, so that the next run in it finds what the last one built."""
    digest = int.from_bytes(
        hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).digest()
    )
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(letters[digest // len(letters) ** place % len(letters)] for place in range(10))


def default_place(runner: str) -> str:
    """Where this user's katas are kept: a volume for a data-container, else a folder."""
    # Not in the folder of another runner: a volume mount hands its katas over to the run's uid.
    kind = runners.parse_variant(runner).kind
    if kind.katas_in == VOLUME:
        return f"{VOLUME_PREFIX}harness-katas"
    return str(state_home() / "katas" / kind.name)


def _explain(run: Run, where: str, max_seconds: float) -> None:
    status = "" if run.status is None else f", exit status {run.status}"
    tag = f", tag {run.tag}" if run.tag else ", no tag: the katas are as they were"
    outcome = (
        f"timed out after {max_seconds:g} s (--max-seconds)"
        if run.outcome is Outcome.TIMED_OUT
        else run.outcome
    )
    errors.print(
        f"{outcome}{status}{tag}, {seconds(run.nanoseconds / 1e9)}: {where}",
        markup=False,
        soft_wrap=True,
    )
    if run.reason:
        errors.print(run.reason, markup=False, soft_wrap=True)
    if run.truncated:
        errors.print("the output was longer than 50 KiB a stream and was cut", markup=False)
    for each in run.remarks:
        errors.print(each, markup=False, soft_wrap=True)
    errors.print(terminal.phases_table(run.phases))
