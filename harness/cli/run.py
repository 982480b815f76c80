"""harness run: play one test event on a folder of the user's own."""

from __future__ import annotations

import argparse
import hashlib
import sys
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TextIO

from harness import runners
from harness.cli.options import add_engine, add_exclude, add_runner, errors, positive, remark, warn
from harness.engines import Limits
from harness.engines.choice import choose
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
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.products import product_lines
from harness.runners.run import Outcome, Run

TIMED_OUT = 124
"""Exit status of a run past its time limit, as for timeout(1)."""

TRANSPORT_SECONDS = 60.0
"""Seconds that a whole test event may take beyond a long time limit of its command."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="play one test event on a folder",
        description="Play one test event: the files of DIR go to an avatar in the katas, and the "
        "command runs on them. Play it again after an edit for an incremental build. Exits with "
        "the command's own status, or with 124 past the time limit. If the test event could not be "
        "played, exits with 2 after a line that begins with 'harness:' or 'faulty'.",
    )
    parser.add_argument(
        "folder", metavar="DIR", help="the folder of visible files; it is only read"
    )
    add_runner(parser, default=KatasDataContainer.name)
    add_engine(parser)
    parser.add_argument(
        "--command",
        default=COMMAND,
        metavar="LINE",
        help="the command line to run (default %(default)s)",
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=10.0,
        metavar="SECONDS",
        help="time limit of the command (default %(default)g)",
    )
    parser.add_argument(
        "-k",
        "--katas",
        metavar="PLACE",
        help="a folder, or volume:NAME (default: a place of yours that is kept between runs)",
    )
    parser.add_argument(
        "-a",
        "--avatar",
        default="lion",
        metavar="NAME",
        help="the avatar that plays (default %(default)s)",
    )
    parser.add_argument(
        "--kata",
        metavar="ID",
        help="ten characters of 0-9A-Z (default: derived from the path of DIR)",
    )
    add_exclude(parser)
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start with an empty sandbox; the avatar's history goes on",
    )
    parser.add_argument(
        "--changes",
        action="store_true",
        help="list the files that the run created, changed and deleted",
    )
    parser.set_defaults(command_function=_run)


def _run(options: argparse.Namespace) -> int:
    place = default_place(options.runner) if options.katas is None else options.katas
    stores = [state_home(), *([] if place.startswith(VOLUME_PREFIX) else [place])]
    files = VisibleFiles.from_folder(options.folder, exclude=options.exclude, stores=stores)
    if files.left_out:
        remark(left_out_line(files.left_out))
    check_command(files, options.command, options.folder)
    avatar = Avatar(options.kata or kata_of(Path(options.folder)), options.avatar)
    variant = runners.parse_variant(options.runner)
    with ExitStack() as stack:
        choice = choose(options.engine, image=options.image, report=remark)
        engine = stack.enter_context(closing(choice.engine))
        runner = stack.enter_context(
            closing(
                variant.open(
                    engine,
                    place,
                    image=options.image,
                    command=options.command,
                    limits=Limits(
                        event_seconds=max(
                            Limits.event_seconds, options.max_seconds + TRANSPORT_SECONDS
                        )
                    ),
                )
            )
        )
        warn(choice.warning)
        if not options.fresh and (before := _last(runner, avatar)):
            remark(f"continues from tag {before.tag} of {ago(before.time)}; --fresh starts anew")
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
        for line in product_lines(run.products) if run.products else ():
            errors.print(line, markup=False, soft_wrap=True)
    if run.outcome is Outcome.FAULTY:
        return 2
    return TIMED_OUT if run.status is None else run.status


def _write(out: TextIO, text: str) -> None:
    """Write a run's output; on a terminal it may set colours, but send no other commands."""
    out.write(shown_in_colour(text) if out.isatty() else text)


def _last(runner: BaseRunner, avatar: Avatar) -> Increment | None:
    """Return the avatar's last accepted test event, maybe of another project once at this path."""
    with suppress(KatasError):  # the run itself will report it
        increments = runner.katas.list(avatar.kata).get(avatar.kata, {}).get(avatar.name, ())
        return increments[-1] if increments else None
    return None


def kata_of(folder: Path) -> str:
    """Derive a kata id from the folder's path; its next run finds what the last one built."""
    digest = int.from_bytes(
        hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).digest()
    )
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(letters[digest // len(letters) ** place % len(letters)] for place in range(10))


def default_place(runner: str) -> str:
    """Return where this user's katas are kept: a volume for a data-container, else a folder."""
    # Each runner has its own folder, since katas-volume gives its katas to the uid of the run.
    kind = runners.parse_variant(runner).kind
    if kind.katas_in == VOLUME:
        return f"{VOLUME_PREFIX}harness-katas"
    return str(state_home() / "katas" / kind.name)


def _explain(run: Run, where: str, max_seconds: float) -> None:
    status = "" if run.status is None else f", exit status {run.status}"
    tag = f", tag {run.tag}" if run.tag else ", no tag: the katas did not change"
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
        errors.print("the output was cut after 50 KiB of each stream", markup=False)
    for line in run.remarks:
        errors.print(line, markup=False, soft_wrap=True)
    errors.print(terminal.phases_table(run.phases))
